"""TODO: describe."""

from collections.abc import Sequence

import numpy as np

from segchips.grids.tile import Tile
from segchips.grids.utm import box_outlines, tile_indices, utm_bounds
from segchips.vectors.antimeridian import within_globe
from segchips.vectors.geometry import Geometries

OUTLINE_STEP = 5_000.0


def footprints(tiles: Sequence[Tile]) -> Geometries:
    """The padded boxes of tiles of one grid as lon/lat polygons, curved edges followed, split at the antimeridian."""
    return _tile_outlines(tiles, tiles[0].grid.pad * tiles[0].grid.resolution)


def outlines(tiles: Sequence[Tile]) -> Geometries:
    """The core boxes of tiles of one grid as lon/lat polygons, curved edges followed, split at the antimeridian."""
    return _tile_outlines(tiles, pad=0.0)


def _tile_outlines(tiles: Sequence[Tile], pad: float) -> Geometries:
    """The core boxes of tiles of one grid, `pad` metres added on each side, as lon/lat polygons within the globe."""
    core = tiles[0].grid.core
    places = tile_indices(tiles)
    bounds = utm_bounds(places[:, 1:], 1, core) + [-pad, -pad, pad, pad]
    return within_globe(box_outlines(bounds, places[:, 0], int(np.ceil((core + 2 * pad) / OUTLINE_STEP))))
