"""Which split each tile belongs to."""
