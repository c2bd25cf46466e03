"""Tile grids: keys, CRSs, bounds and neighbours of tiles, and the tiles that meet an area.

Only this folder knows how a grid is laid out. A `Grid` (tile.py) is a system of CRSs (systems.py: the UTM zones, or one
projected CRS) with sizes in pixels. Other folders use `Tile` and `Grid`, `cover_area` (cover.py), `core_outlines` and
`footprints` (outlines.py), `tile_centres` (ground.py), `neighbour_pairs` (neighbours.py), and `to_tile_crs`
(geometries.py). `utm.py` and `projected.py` know the two kinds of CRSs; `ground.py` chooses between them.
"""
