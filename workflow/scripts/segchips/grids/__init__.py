"""Tile grids: arithmetic of keys, bounds and neighbours, without files."""
