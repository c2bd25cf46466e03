"""Which tiles share ground with a tile or lie close to it, in its own UTM zone and in the next.

The answer follows from the tile alone: it counts all tiles that the grid has there, whether or not an area holds them.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np
import pyproj
import shapely

from segchips.arrays import Ints, Mask
from segchips.grids.indices import PATH_STEP, ROW_STEP, core_bounds, decode_indices, encode_indices, padded_bounds
from segchips.grids.tile import Grid
from segchips.grids.utm import ZONE_WIDTH, adjacent_zones, degrees_from_meridian

# The scale of UTM differs from zone to zone, so distances across a border are measured with this factor to spare.
_SCALE_MARGIN = 1.003
# In the next zone an edge bends away from the line through its ends and middle by at most this, times its length
# squared (1 / m).
_CURVATURE = 1e-9
# The order in which a 3 x 3 raster of points, column by column, runs around its middle.
_RING = [0, 3, 6, 7, 8, 5, 2, 1]


def neighbour_pairs(indices: Ints, grid: Grid, guard: float) -> Iterator[tuple[Ints, Ints]]:
    """Yields pairs of tiles that share pixels or are nearer to one another than a distance.

    Args:
        indices: Zone, path and row (n, 3) of tiles.
        grid: Their grid.
        guard: The distance between padded boxes, in metres of UTM; across a border, of the neighbour's zone.

    Yields:
        Positions (m) in `indices`, and the code (m) of one neighbour of each. A neighbour in the next zone may lie
        outside its six degrees.
    """
    positions, reach = np.arange(len(indices)), _reach(grid, guard)
    for across, up in product(range(-reach, reach + 1), repeat=2):
        gaps = [(abs(step) * grid.tilesize - grid.size) * grid.resolution for step in (across, up)]
        distance = np.hypot(*np.maximum(gaps, 0))
        if (across or up) and (max(gaps) < 0 or distance < guard):
            yield positions, encode_indices(indices + np.array([0, across, up]))
    yield from _pairs_across_zones(indices, grid, guard)


def neighbourhood(indices: Ints, grid: Grid, guard: float) -> Ints:
    """Returns the sorted codes (m) of the tiles themselves and of all neighbours that `neighbour_pairs` yields.

    Of the tiles that do not meet the six degrees of their zone, it has only those that are in `indices`.
    """
    codes = own = np.unique(encode_indices(indices))
    reach = _reach(grid, guard)
    for step in (ROW_STEP, PATH_STEP):
        codes = np.unique(np.add.outer(np.arange(-reach, reach + 1) * step, codes))
    across = [codes for _, codes in _pairs_across_zones(indices, grid, guard)]
    nearby = np.unique(np.concatenate([codes, *across]))
    return nearby[_in_own_zone(decode_indices(nearby), grid) | np.isin(nearby, own)]


def _reach(grid: Grid, guard: float) -> int:
    """Returns how many tiles away, at most, a neighbour in the same zone is."""
    return int(np.ceil((2 * grid.pad * grid.resolution + guard) / grid.core)) + 1


def _pairs_across_zones(indices: Ints, grid: Grid, guard: float) -> Iterator[tuple[Ints, Ints]]:
    margin = grid.padding + guard * _SCALE_MARGIN + 2 * grid.core
    zones = indices[:, 0]
    degrees = degrees_from_meridian(core_bounds(indices, grid) + margin * np.array([-1, -1, 1, 1]), zones)
    near_west, near_east = degrees.min(axis=1) < -ZONE_WIDTH / 2, degrees.max(axis=1) > ZONE_WIDTH / 2
    for side, near in enumerate((near_west, near_east)):
        for zone in np.unique(zones[near]).tolist():
            members = np.flatnonzero(near & (zones == zone))
            yield from _pairs_with_zone(members, indices[members], adjacent_zones(zone)[side], grid, guard)


def _pairs_with_zone(members: Ints, indices: Ints, other: int, grid: Grid, guard: float) -> Iterator[tuple[Ints, Ints]]:
    """Yields pairs of tiles of one zone, at positions `members`, with tiles of the zone `other`."""
    west, south, east, north = padded_bounds(indices, grid).T
    zone = int(indices[0, 0])
    project = pyproj.Transformer.from_crs(grid.epsg(zone), grid.epsg(other), always_xy=True).transform
    points = [project(x, y) for x in (west, (west + east) / 2, east) for y in (south, (south + north) / 2, north)]
    origin_east, origin_north = grid.origin
    x, y = np.array([x for x, _ in points]) - origin_east, np.array([y for _, y in points]) - origin_north
    margin = grid.padding + guard * _SCALE_MARGIN + grid.resolution
    first = [np.floor((axis.min(axis=0) - margin) / grid.core).astype(np.int64) for axis in (x, y)]
    last = [np.floor((axis.max(axis=0) + margin) / grid.core).astype(np.int64) for axis in (x, y)]
    counts = [int((stop - start).max()) + 1 for start, stop in zip(first, last, strict=True)]
    outlines = shapely.polygons(np.stack([x, y], axis=-1)[_RING].swapaxes(0, 1))
    distance = guard * _SCALE_MARGIN + _CURVATURE * (grid.size * grid.resolution) ** 2
    pad = grid.padding
    for across, up in product(*map(range, counts)):
        path, row = first[0] + across, first[1] + up
        boxes = np.column_stack([path, row, path + 1, row + 1]) * grid.core + [-pad, -pad, pad, pad]
        close = (path <= last[0]) & (row <= last[1]) & shapely.dwithin(outlines, shapely.box(*boxes.T), distance)
        candidates = np.column_stack([np.full(len(path), other), path, row])
        yield members[close], encode_indices(candidates[close])


def _in_own_zone(indices: Ints, grid: Grid) -> Mask:
    """Returns whether core boxes meet the six degrees of their zone."""
    degrees = degrees_from_meridian(core_bounds(indices, grid), indices[:, 0])
    return np.asarray((degrees.max(axis=1) > -ZONE_WIDTH / 2) & (degrees.min(axis=1) < ZONE_WIDTH / 2))
