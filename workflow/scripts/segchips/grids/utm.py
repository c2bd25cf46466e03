"""TODO: describe."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely

from segchips.arrays import Floats, Ints, Mask
from segchips.grids.tile import FALSE_EASTING, Tile
from segchips.vectors.geometry import Geometries

POLE = 9_997_964.943
"""Metres along the central meridian from the equator to a pole, as the client library has it."""
HALF_ZONE = 334_000.0

_N = (1 / 298.257223563) / (2 - 1 / 298.257223563)
_RADIUS = 0.9996 * (6378137 / (1 + _N) * (1 + _N**2 / 4 + _N**4 / 64))


def tile_indices(tiles: Sequence[Tile]) -> Ints:
    """Zone, path and row (n, 3) of tiles."""
    return np.array([(tile.zone, tile.path, tile.row) for tile in tiles], np.int64).reshape(-1, 3)


def to_lonlat(easting: Floats, northing: Floats, zone: int | Ints) -> tuple[Any, Any]:
    """The client library's inverse UTM, bit for bit, except that longitudes go on beyond 180."""
    b1 = 1 / 2 * _N - 2 / 3 * _N**2 + 37 / 96 * _N**3
    b2 = 1 / 48 * _N**2 + 1 / 15 * _N**3
    b3 = 17 / 480 * _N**3
    d1 = 2 * _N - 2 / 3 * _N**2 - 2 * _N**3
    d2 = 7 / 3 * _N**2 - 8 / 5 * _N**3
    d3 = 56 / 15 * _N**3
    y, x = northing / _RADIUS, (easting - FALSE_EASTING) / _RADIUS
    yp = y - (
        b1 * np.sin(2 * y) * np.cosh(2 * x) + b2 * np.sin(4 * y) * np.cosh(4 * x) + b3 * np.sin(6 * y) * np.cosh(6 * x)
    )
    xp = x - (
        b1 * np.cos(2 * y) * np.sinh(2 * x) + b2 * np.cos(4 * y) * np.sinh(4 * x) + b3 * np.cos(6 * y) * np.sinh(6 * x)
    )
    chi = np.arcsin(np.sin(yp) / np.cosh(xp))
    lat = np.rad2deg(chi + d1 * np.sin(2 * chi) + d2 * np.sin(4 * chi) + d3 * np.sin(6 * chi))
    lon = 6.0 * zone - 183.0 + np.rad2deg(np.arctan(np.sinh(xp) / np.cos(yp)))
    return (lon + 180.0) - 180.0, lat


def box_outlines(bounds: Floats, zone: int | Ints, steps: int) -> Geometries:
    """UTM boxes (n, 4) as lon/lat polygons of `steps` chords a side; one that reaches over a pole becomes a cap."""
    ramp = np.arange(steps) / steps
    ones, zeros = np.ones(steps), np.zeros(steps)
    across, up = np.concatenate([ramp, ones, 1 - ramp, zeros]), np.concatenate([zeros, ramp, ones, 1 - ramp])
    west, south, east, north = (side[:, None] for side in bounds.T)
    zones = np.reshape(zone, (-1, 1))
    lon, lat = to_lonlat(west * (1 - across) + east * across, south * (1 - up) + north * up, zones)
    outlines: Geometries = shapely.polygons(np.stack([lon, lat], axis=-1))
    middle = np.broadcast_to(6.0 * zones - 183.0, (len(bounds), 1))[:, 0]
    over_north, over_south = over_poles(bounds)
    for over, edge, pole in ((over_north, lat.min(axis=1), 90.0), (over_south, lat.max(axis=1), -90.0)):
        outlines[over] = shapely.box(middle[over] - 180, edge[over], middle[over] + 180, pole)
    return outlines


def over_poles(bounds: Floats) -> tuple[Mask, Mask]:
    return bounds[:, 3] > POLE, bounds[:, 1] < -POLE


def utm_bounds(blocks: Ints, span: int, core: float) -> Floats:
    """West, south, east, north (n, 4) in metres of blocks of `span` x `span` tiles, by column and row (n, 2)."""
    low, high = blocks * span * core, (blocks + 1) * span * core
    return np.concatenate([low, high], axis=1) + [FALSE_EASTING, 0, FALSE_EASTING, 0]
