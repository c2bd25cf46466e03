"""Tiles as arrays of indices: zone, path and row (n, 3), or one code for each tile."""

from collections.abc import Sequence

import numpy as np

from segchips.arrays import Floats, Ints
from segchips.errors import InputError
from segchips.grids.tile import Grid, Tile
from segchips.grids.tile_array import TileArray

PATH_STEP, ROW_STEP = 1 << 28, 1
"""How much the codes of two tiles side by side differ."""
_OFFSET = 2**27


def tile_indices(tiles: Sequence[Tile]) -> Ints:
    """Returns zone, path and row (n, 3) of tiles."""
    return TileArray.of(tiles).indices if len(tiles) else np.empty((0, 3), np.int64)


def encode_indices(indices: Ints) -> Ints:
    """Returns one number (n) for each zone, path and row (n, 3); paths and rows are from -2**27 to 2**27 - 1."""
    zone, path, row = indices.T
    return np.asarray((zone << 56) + ((path + _OFFSET) << 28) + row + _OFFSET, np.int64)


def decode_indices(codes: Ints) -> Ints:
    """Returns the zone, path and row (n, 3) of codes (n), the reverse of `encode_indices`."""
    return np.column_stack([codes >> 56, (codes >> 28) % (2 * _OFFSET) - _OFFSET, codes % (2 * _OFFSET) - _OFFSET])


def block_bounds(blocks: Ints, span: int, grid: Grid) -> Floats:
    """Returns west, south, east and north (n, 4), in units of the CRS, of square blocks of tiles.

    Args:
        blocks: Column and row (n, 2) of blocks, counted from the grid's origin.
        span: Tiles along a side of a block.
        grid: The grid.
    """
    low, high = blocks * span * grid.step, (blocks + 1) * span * grid.step + (grid.core - grid.step)
    return np.concatenate([low, high], axis=1) + np.tile(grid.origin, 2)


def core_bounds(indices: Ints, grid: Grid) -> Floats:
    """Returns west, south, east and north (n, 4) of core boxes, in units of each tile's CRS."""
    low = indices[:, 1:] * grid.step + grid.origin
    return np.concatenate([low, low + grid.core], axis=1)


def padded_bounds(indices: Ints, grid: Grid) -> Floats:
    """Returns west, south, east and north (n, 4) with padding, in units of each tile's CRS."""
    return core_bounds(indices, grid) + grid.padding * np.array([-1, -1, 1, 1])


def check_indices(indices: Ints | Floats) -> None:
    """Raises InputError for tiles (n, 3) whose path or row is too large for a code."""
    if indices.size and np.abs(indices[:, 1:]).max() >= _OFFSET:
        raise InputError(
            f"tiles lie more than {_OFFSET:,} tiles, or pixels where tiles begin at any pixel, from the grid's origin; "
            "set tiles.grid to {crs, origin} with an origin near the area"
        )


def in_grid_order(indices: Ints) -> Ints:
    """Returns tiles (n, 3) ordered by zone, then row from north to south, then path from west to east."""
    zone, path, row = indices.T
    return indices[np.lexsort((path, -row, zone))]
