"""Which of a few given tiles share ground or lie close to one another, where tiles may begin at any pixel."""

from collections.abc import Iterator

import numpy as np
import pyproj
import shapely

from segchips.arrays import Ints
from segchips.grids.ground import projection_of
from segchips.grids.indices import encode_indices, padded_bounds
from segchips.grids.systems import NO_ZONE
from segchips.grids.tile import Grid
from segchips.grids.utm import adjacent_zones
from segchips.vectors.geometry import Geometries

_TOLERANCE = 1e-3
"""Boxes share pixels where they overlap by more than this part of a pixel."""
_EDGE_SEGMENTS = 16


def pairs_among(indices: Ints, grid: Grid, guard: float) -> Iterator[tuple[Ints, Ints]]:
    """Yields pairs of the given tiles that share pixels or are nearer to one another than a distance.

    Args:
        indices: Zone, path and row (n, 3) of tiles.
        grid: Their grid.
        guard: The distance between padded boxes, in units of the CRS.

    Yields:
        Positions (m) in `indices`, and the code (m) of one neighbour of each.
    """
    boxes, codes = shapely.box(*padded_bounds(indices, grid).T), encode_indices(indices)
    inner = shapely.box(*(padded_bounds(indices, grid) + grid.resolution * _TOLERANCE * np.array([1, 1, -1, -1])).T)
    zones = indices[:, 0]
    for zone in np.unique(zones).tolist():
        members = np.flatnonzero(zones == zone)
        for other, moved in _neighbouring(zone, members, inner, grid):
            others = np.flatnonzero(zones == other)
            tree = shapely.STRtree(boxes[others])
            one, two = tree.query(moved, predicate="intersects")
            near_one, near_two = tree.query(moved, predicate="dwithin", distance=guard) if guard else (one[:0], two[:0])
            one, two = np.concatenate([one, near_one]), np.concatenate([two, near_two])
            differ = members[one] != others[two]
            yield members[one[differ]], codes[others[two[differ]]]


def _neighbouring(zone: int, members: Ints, boxes: Geometries, grid: Grid) -> Iterator[tuple[int, Geometries]]:
    """Yields the zones whose tiles may be close to those of a zone, with the zone's boxes in their CRS."""
    own = boxes[members]
    yield zone, own
    projection = projection_of(grid)
    if zone != NO_ZONE:
        dense = shapely.segmentize(own, grid.size * grid.resolution / _EDGE_SEGMENTS)
        for other in adjacent_zones(zone):
            project = pyproj.Transformer.from_crs(grid.crs(zone), grid.crs(other), always_xy=True).transform
            yield other, shapely.transform(dense, project, interleaved=False)
    elif projection and projection.seam:
        world = projection.seam[1] - projection.seam[0]
        for turn in (-world, world):
            yield zone, shapely.transform(own, lambda points, turn=turn: points + [turn, 0.0])
