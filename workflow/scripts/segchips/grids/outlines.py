"""The ground of tiles as lon/lat polygons."""

from collections.abc import Iterator, Sequence

import numpy as np

from segchips.grids.ground import box_outlines, metres_per_unit
from segchips.grids.indices import core_bounds, tile_indices
from segchips.grids.systems import UtmZones
from segchips.grids.tile import Tile
from segchips.vectors.geometry import Geometries
from segchips.vectors.longitudes import within_globe

CHORD, PROJECTED_CHORD = 5_000.0, 1_000.0
"""Metres, at most, of the chords that stand for curved sides: in UTM, and in other CRSs, where sides may curve more."""
_BATCH = 50_000
"""Tiles whose outlines are in memory at once."""


def core_outlines(tiles: Sequence[Tile]) -> Geometries:
    """Returns the core boxes of tiles.

    Args:
        tiles: At least one tile, all of one grid.

    Returns:
        Lon/lat polygons (n) that follow curved sides, split at the antimeridian.
    """
    return _outlines(tiles, padding=0.0)


def footprints(tiles: Sequence[Tile]) -> Geometries:
    """Returns the padded boxes of tiles, which are what their chips show; else as `core_outlines`."""
    return _outlines(tiles, tiles[0].grid.padding)


def outline_batches(tiles: Sequence[Tile]) -> Iterator[Geometries]:
    """Yields `core_outlines` of successive parts of many tiles."""
    return (core_outlines(tiles[start : start + _BATCH]) for start in range(0, len(tiles), _BATCH))


def _outlines(tiles: Sequence[Tile], padding: float) -> Geometries:
    indices, grid = tile_indices(tiles), tiles[0].grid
    bounds = core_bounds(indices, grid) + padding * np.array([-1, -1, 1, 1])
    chord = CHORD if isinstance(grid.system, UtmZones) else PROJECTED_CHORD
    steps = int(np.ceil((grid.core + 2 * padding) * metres_per_unit(grid) / chord))
    return within_globe(box_outlines(bounds, indices[:, 0], grid, steps))
