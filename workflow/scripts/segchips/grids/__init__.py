"""Tile grids: keys, CRSs, bounds and neighbours of tiles, and the tiles that meet an area.

Only this folder knows how a grid is laid out. Other folders use `Tile` and `Grid` (tile.py), `cover_area` (cover.py),
`core_outlines` and `footprints` (outlines.py), `tile_centres` (indices.py), and `neighbour_pairs` (neighbours.py).
"""
