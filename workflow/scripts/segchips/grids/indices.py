"""Tiles as arrays of indices: zone, path and row (n, 3), or one code for each tile."""

from collections.abc import Sequence

import numpy as np

from segchips.arrays import Floats, Ints
from segchips.grids.tile import Grid, Tile
from segchips.grids.utm import to_lonlat, utm_bounds

PATH_STEP, ROW_STEP = 1 << 28, 1
"""How much the codes of two tiles side by side differ."""
_OFFSET = 2**27


def tile_indices(tiles: Sequence[Tile]) -> Ints:
    """Returns zone, path and row (n, 3) of tiles."""
    return np.array([(tile.zone, tile.path, tile.row) for tile in tiles], np.int64).reshape(-1, 3)


def encode_indices(indices: Ints) -> Ints:
    """Returns one number (n) for each zone, path and row (n, 3); paths and rows are from -2**27 to 2**27 - 1."""
    zone, path, row = indices.T
    return np.asarray((zone << 56) + ((path + _OFFSET) << 28) + row + _OFFSET, np.int64)


def decode_indices(codes: Ints) -> Ints:
    """Returns the zone, path and row (n, 3) of codes (n), the reverse of `encode_indices`."""
    return np.column_stack([codes >> 56, (codes >> 28) % (2 * _OFFSET) - _OFFSET, codes % (2 * _OFFSET) - _OFFSET])


def core_bounds(indices: Ints, grid: Grid) -> Floats:
    """Returns west, south, east and north (n, 4) in metres of core boxes, in the CRS of each tile's zone."""
    return utm_bounds(indices[:, 1:], 1, grid.core)


def padded_bounds(indices: Ints, grid: Grid) -> Floats:
    """Returns west, south, east and north (n, 4) in metres with padding, in the CRS of each tile's zone."""
    return core_bounds(indices, grid) + grid.padding * np.array([-1, -1, 1, 1])


def tile_centres(indices: Ints, grid: Grid) -> tuple[Floats, Floats]:
    """Returns longitudes and latitudes (n) in degrees of the centres of tiles; longitudes may exceed 180."""
    west, south, east, north = core_bounds(indices, grid).T
    return to_lonlat((west + east) / 2, (south + north) / 2, indices[:, 0])
