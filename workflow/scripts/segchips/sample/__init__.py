"""The synthetic landscape of the sample dataset and its scenes."""
