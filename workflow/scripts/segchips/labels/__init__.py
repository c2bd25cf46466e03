"""Features burned into label chips."""
