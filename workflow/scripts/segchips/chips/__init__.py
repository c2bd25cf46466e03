"""Pixels of one tile: scenes read, composited and written as an image chip."""
