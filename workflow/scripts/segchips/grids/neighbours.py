"""The tiles there could be around a tile, in its own UTM zone and the next: a function of its key, not of the area."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import pyproj
import shapely

from segchips.arrays import Floats, Ints, Mask
from segchips.grids.tile import FALSE_EASTING, Grid
from segchips.grids.utm import to_lonlat, utm_bounds

# Scale differs from zone to zone; what is measured across the border is measured with so much room to spare.
_SLACK = 1.003
_HALF = 2**27
_BOW = 1e-9
"""How far, at most, an edge bows in the next zone from a line through its ends and middle, by its square (1 / m)."""
_AROUND = [0, 3, 6, 7, 8, 5, 2, 1]


def encode_indices(places: Ints) -> Ints:
    """Zone, path and row (n, 3) as one number each."""
    zone, path, row = places.T
    return np.asarray((zone << 56) + ((path + _HALF) << 28) + row + _HALF, np.int64)


def decode_indices(codes: Ints) -> Ints:
    """What `encoded` made numbers of."""
    return np.column_stack([codes >> 56, (codes >> 28) % (2 * _HALF) - _HALF, codes % (2 * _HALF) - _HALF])


def tile_centres(places: Ints, grid: Grid) -> tuple[Floats, Floats]:
    """Longitude, beyond 180 where a zone is, and latitude of the tiles' middles."""
    bounds = utm_bounds(places[:, 1:], 1, grid.core)
    lon, lat = to_lonlat((bounds[:, 0] + bounds[:, 2]) / 2, (bounds[:, 1] + bounds[:, 3]) / 2, places[:, 0])
    return lon, lat


def neighbourhood(places: Ints, grid: Grid, guard: float) -> Ints:
    """The sorted codes of all tiles there could be that `close` names.

    Tiles that do not meet the six degrees of their zone count only where they are among `places`.
    """
    codes = mine = np.unique(encode_indices(places))
    reach = _reach(grid, guard)
    for step in (1, 1 << 28):
        codes = np.unique(np.add.outer(np.arange(-reach, reach + 1) * step, codes))
    beyond = [codes for _, codes in _next_zones(places, grid, guard)]
    found = np.unique(np.concatenate([codes, *beyond]))
    return found[_in_their_zone(decode_indices(found), grid) | np.isin(found, mine)]


def neighbour_pairs(places: Ints, grid: Grid, guard: float) -> Iterator[tuple[Ints, Ints]]:
    """Positions of tiles with the codes of others that would share their pixels or be nearer than `guard` metres.

    Metres are those of UTM, across the border of zones those of the other tile's.
    """
    everyone, reach = np.arange(len(places)), _reach(grid, guard)
    for across, up in product(range(-reach, reach + 1), repeat=2):
        gaps = [(abs(step) * grid.tilesize - grid.size) * grid.resolution for step in (across, up)]
        apart = np.hypot(*np.maximum(gaps, 0))
        if (across or up) and (max(gaps) < 0 or apart < guard):
            yield everyone, encode_indices(places + np.array([0, across, up]))
    yield from _next_zones(places, grid, guard)


def _reach(grid: Grid, guard: float) -> int:
    return int(np.ceil((2 * grid.pad * grid.resolution + guard) / grid.core)) + 1


def _next_zones(places: Ints, grid: Grid, guard: float) -> Iterator[tuple[Ints, Ints]]:
    pad = grid.pad * grid.resolution
    outer = utm_bounds(places[:, 1:], 1, grid.core) + np.array([-1, -1, 1, 1]) * (pad + guard * _SLACK + 2 * grid.core)
    lon, _ = _corners(outer, places[:, 0])
    side = lon - (6 * places[:, :1] - 183)
    for step, near in ((-1, side.min(axis=1) < -3), (1, side.max(axis=1) > 3)):
        for zone in np.unique(places[near, 0]):
            members = np.flatnonzero(near & (places[:, 0] == zone))
            other = (zone + step - 1) % 60 + 1
            yield from _across(members, places[members], int(other), grid, guard)


def _across(members: Ints, places: Ints, other: int, grid: Grid, guard: float) -> Iterator[tuple[Ints, Ints]]:
    """Pairs of tiles of one zone and those that the next zone could have beside them."""
    pad = grid.pad * grid.resolution
    west, south, east, north = (utm_bounds(places[:, 1:], 1, grid.core) + [-pad, -pad, pad, pad]).T
    project = pyproj.Transformer.from_crs(32600 + int(places[0, 0]), 32600 + other, always_xy=True).transform
    ring = [project(x, y) for x in (west, (west + east) / 2, east) for y in (south, (south + north) / 2, north)]
    x, y = np.array([x for x, _ in ring]) - FALSE_EASTING, np.array([y for _, y in ring])
    room = pad + guard * _SLACK + grid.resolution
    first = [np.floor((axis.min(axis=0) - room) / grid.core).astype(np.int64) for axis in (x, y)]
    last = [np.floor((axis.max(axis=0) + room) / grid.core).astype(np.int64) for axis in (x, y)]
    counts = [int((stop - start).max()) + 1 for start, stop in zip(first, last, strict=True)]
    outlines = shapely.polygons(np.stack([x, y], axis=-1)[_AROUND].swapaxes(0, 1))
    reach = guard * _SLACK + _BOW * (grid.size * grid.resolution) ** 2
    for across, up in product(*map(range, counts)):
        path, row = first[0] + across, first[1] + up
        corners = np.column_stack([path, row, path + 1, row + 1]) * grid.core + [-pad, -pad, pad, pad]
        there = (path <= last[0]) & (row <= last[1]) & shapely.dwithin(outlines, shapely.box(*corners.T), reach)
        found = np.column_stack([np.full(len(path), other), path, row])
        yield members[there], encode_indices(found[there])


def _corners(bounds: Floats, zones: Ints) -> tuple[Floats, Floats]:
    """Longitudes and latitudes (n, 4) of the corners of UTM boxes."""
    lon, lat = to_lonlat(bounds[:, [0, 2, 2, 0]], bounds[:, [1, 1, 3, 3]], zones[:, None])
    return lon, lat


def _in_their_zone(places: Ints, grid: Grid) -> Mask:
    """Whether the core boxes meet the six degrees of their zone."""
    lon, _ = _corners(utm_bounds(places[:, 1:], 1, grid.core), places[:, 0])
    side = lon - (6 * places[:, :1] - 183)
    return np.asarray((side.max(axis=1) > -3) & (side.min(axis=1) < 3))
