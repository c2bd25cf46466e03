"""Which tiles share ground with a tile or lie close to it: in its own CRS, in the next UTM zone, beyond a seam.

The answer follows from the tile alone: it counts all tiles that the grid has there, whether or not an area holds them.
Only on a grid whose tiles begin at any pixel does it count the given tiles alone.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np
import pyproj
import shapely

from segchips.arrays import Ints, Mask
from segchips.grids.ground import metres_per_unit, projection_of
from segchips.grids.indices import PATH_STEP, ROW_STEP, core_bounds, decode_indices, encode_indices, padded_bounds
from segchips.grids.sparse_neighbours import pairs_among
from segchips.grids.tile import Grid
from segchips.grids.utm import ZONE_WIDTH, adjacent_zones, degrees_from_meridian

# The scale of UTM differs from zone to zone, so distances across a border are measured with this factor to spare.
_SCALE_MARGIN = 1.003
# In the next zone an edge bends away from the line through its ends and middle by at most this, times its length
# squared (1 / m).
_CURVATURE = 1e-9
# Tiles on both sides of a seam share pixels where they overlap by more than this part of a pixel.
_SEAM_TOLERANCE = 1e-3
# The order in which a 3 x 3 raster of points, column by column, runs around its middle.
_RING = [0, 3, 6, 7, 8, 5, 2, 1]


def neighbour_pairs(indices: Ints, grid: Grid, guard: float) -> Iterator[tuple[Ints, Ints]]:
    """Yields pairs of tiles that share pixels or are nearer to one another than a distance.

    Args:
        indices: Zone, path and row (n, 3) of tiles.
        grid: Their grid.
        guard: The distance between padded boxes, in metres of the CRS; across a border, of the neighbour's zone.

    Yields:
        Positions (m) in `indices`, and the code (m) of one neighbour of each. A neighbour in the next zone may lie
        outside its six degrees.
    """
    guard = guard / metres_per_unit(grid)
    if grid.is_sparse:
        yield from pairs_among(indices, grid, guard)
        return
    positions, reach = np.arange(len(indices)), _reach(grid, guard)
    for across, up in product(range(-reach, reach + 1), repeat=2):
        gaps = [(abs(step) * grid.pixel_step - grid.size) * grid.resolution for step in (across, up)]
        distance = np.hypot(*np.maximum(gaps, 0))
        if (across or up) and (max(gaps) < 0 or distance < guard):
            yield positions, encode_indices(indices + np.array([0, across, up]))
    yield from _pairs_across_border(indices, grid, guard)


def neighbourhood(indices: Ints, grid: Grid, guard: float) -> Ints:
    """Returns the sorted codes (m) of the tiles themselves and of all neighbours that `neighbour_pairs` yields.

    Of the tiles that do not meet the six degrees of their zone, or lie beyond a seam, it has only those that are in
    `indices`.
    """
    guard = guard / metres_per_unit(grid)
    codes = own = np.unique(encode_indices(indices))
    if grid.is_sparse:
        return own
    reach = _reach(grid, guard)
    for step in (ROW_STEP, PATH_STEP):
        codes = np.unique(np.add.outer(np.arange(-reach, reach + 1) * step, codes))
    across = [codes for _, codes in _pairs_across_border(indices, grid, guard)]
    nearby = np.unique(np.concatenate([codes, *across]))
    return nearby[_on_own_ground(decode_indices(nearby), grid) | np.isin(nearby, own)]


def _reach(grid: Grid, guard: float) -> int:
    """Returns how many tiles away, at most, a neighbour in the same CRS is."""
    return int(np.ceil((2 * grid.padding + grid.core - grid.step + guard) / grid.step)) + 1


def _pairs_across_border(indices: Ints, grid: Grid, guard: float) -> Iterator[tuple[Ints, Ints]]:
    projection = projection_of(grid)
    if projection is None:
        yield from _pairs_across_zones(indices, grid, guard)
    elif projection.seam:
        yield from _pairs_across_seam(indices, grid, guard, *projection.seam)


def _pairs_across_seam(
    indices: Ints, grid: Grid, guard: float, west_end: float, east_end: float
) -> Iterator[tuple[Ints, Ints]]:
    """Yields pairs of tiles at both ends of the world, where it ends at one x each."""
    world, reach = east_end - west_end, grid.padding + guard
    west, _, east, _ = padded_bounds(indices, grid).T
    ups = range(-_reach(grid, guard), _reach(grid, guard) + 1)
    for turn, near in ((-world, east + reach > east_end), (world, west - reach < west_end)):
        members = np.flatnonzero(near)
        low, high = west[members] + turn, east[members] + turn
        first = np.floor((low - reach - grid.core - grid.origin[0]) / grid.step).astype(np.int64)
        count = int(np.ceil((grid.size * grid.resolution + 2 * reach + 2 * grid.core) / grid.step)) + 1
        for across, up in product(range(count), ups):
            path = first + across
            core_west = grid.origin[0] + path * grid.step
            gap = np.maximum(core_west - grid.padding - high, low - core_west - grid.core - grid.padding)
            gap_up = (abs(up) * grid.pixel_step - grid.size) * grid.resolution
            shares = np.maximum(gap, gap_up) < -_SEAM_TOLERANCE * grid.resolution
            close = shares | (np.hypot(np.maximum(gap, 0), max(gap_up, 0)) < guard)
            close &= (core_west < east_end) & (core_west + grid.core > west_end)
            rows = indices[members, 2] + up
            candidates = np.column_stack([np.full(len(path), indices[0, 0]), path, rows])
            yield members[close], encode_indices(candidates[close])


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
    project = pyproj.Transformer.from_crs(grid.crs(zone), grid.crs(other), always_xy=True).transform
    points = [project(x, y) for x in (west, (west + east) / 2, east) for y in (south, (south + north) / 2, north)]
    origin_east, origin_north = grid.origin
    x, y = np.array([x for x, _ in points]) - origin_east, np.array([y for _, y in points]) - origin_north
    margin = grid.padding + guard * _SCALE_MARGIN + grid.resolution
    overlap = grid.core - grid.step
    first = [np.floor((axis.min(axis=0) - margin - overlap) / grid.step).astype(np.int64) for axis in (x, y)]
    last = [np.floor((axis.max(axis=0) + margin) / grid.step).astype(np.int64) for axis in (x, y)]
    counts = [int((stop - start).max()) + 1 for start, stop in zip(first, last, strict=True)]
    outlines = shapely.polygons(np.stack([x, y], axis=-1)[_RING].swapaxes(0, 1))
    distance = guard * _SCALE_MARGIN + _CURVATURE * (grid.size * grid.resolution) ** 2
    pad = grid.padding
    for across, up in product(*map(range, counts)):
        path, row = first[0] + across, first[1] + up
        boxes = np.column_stack([path, row, path + 1, row + 1]) * grid.step + [-pad, -pad, pad + overlap, pad + overlap]
        close = (path <= last[0]) & (row <= last[1]) & shapely.dwithin(outlines, shapely.box(*boxes.T), distance)
        candidates = np.column_stack([np.full(len(path), other), path, row])
        yield members[close], encode_indices(candidates[close])


def _on_own_ground(indices: Ints, grid: Grid) -> Mask:
    """Returns whether core boxes meet the six degrees of their zone, or the world of their CRS."""
    bounds, projection = core_bounds(indices, grid), projection_of(grid)
    if projection is None:
        degrees = degrees_from_meridian(bounds, indices[:, 0])
        return np.asarray((degrees.max(axis=1) > -ZONE_WIDTH / 2) & (degrees.min(axis=1) < ZONE_WIDTH / 2))
    west_end, east_end = projection.seam or (-np.inf, np.inf)
    return np.asarray((bounds[:, 0] < east_end) & (bounds[:, 2] > west_end))
