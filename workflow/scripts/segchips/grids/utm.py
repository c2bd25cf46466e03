"""UTM zones of the DLTile grid: the client library's projection, zone borders, and boxes as lon/lat polygons."""

from typing import Any

import numpy as np
import shapely

from segchips.arrays import Floats, Ints, Mask
from segchips.grids.systems import FALSE_EASTING
from segchips.grids.tile import POLE
from segchips.vectors.geometry import Geometries

ZONE_WIDTH = 6.0
"""Degrees of longitude in a zone."""

# Third flattening of WGS 84, and the radius of its rectifying sphere times UTM's scale factor, in metres.
_N = (1 / 298.257223563) / (2 - 1 / 298.257223563)
_RADIUS = 0.9996 * (6378137 / (1 + _N) * (1 + _N**2 / 4 + _N**4 / 64))


def central_meridian(zone: int | Ints) -> Any:
    """Returns the longitude in degrees in the middle of zones."""
    return ZONE_WIDTH * zone - 183.0


def zone_longitudes(zone: int) -> tuple[float, float]:
    """Returns the longitudes in degrees of a zone's western and eastern border."""
    return central_meridian(zone) - ZONE_WIDTH / 2, central_meridian(zone) + ZONE_WIDTH / 2


def adjacent_zones(zone: int) -> tuple[int, int]:
    """Returns the zones to the west and to the east."""
    return (zone - 2) % 60 + 1, zone % 60 + 1


def to_lonlat(easting: Floats, northing: Floats, zone: int | Ints) -> tuple[Floats, Floats]:
    """Converts UTM coordinates of the northern zones to longitudes and latitudes in degrees.

    The results equal those of the client library (`core.common.dltile.utm`) bit for bit, except that longitudes
    continue beyond 180 instead of jumping to -180.

    Args:
        easting: Eastings in metres, of any shape.
        northing: Northings in metres, negative in the south, of the same shape.
        zone: One zone, or zones of a shape that broadcasts to it.
    """
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
    lat: Floats = np.rad2deg(chi + d1 * np.sin(2 * chi) + d2 * np.sin(4 * chi) + d3 * np.sin(6 * chi))
    lon: Floats = central_meridian(zone) + np.rad2deg(np.arctan(np.sinh(xp) / np.cos(yp)))
    return (lon + 180.0) - 180.0, lat


def corner_lonlats(bounds: Floats, zones: Ints) -> tuple[Floats, Floats]:
    """Returns longitudes and latitudes (n, 4) in degrees of the corners of UTM boxes (n, 4) in zones (n)."""
    return to_lonlat(bounds[:, [0, 2, 2, 0]], bounds[:, [1, 1, 3, 3]], zones[:, None])


def degrees_from_meridian(bounds: Floats, zones: Ints) -> Floats:
    """Returns how many degrees (n, 4) east of its zone's central meridian each corner of UTM boxes (n, 4) lies."""
    lon, _ = corner_lonlats(bounds, zones)
    return np.asarray(lon - central_meridian(zones[:, None]))


def box_outlines(bounds: Floats, zone: int | Ints, steps: int) -> Geometries:
    """Converts UTM boxes to lon/lat polygons.

    Args:
        bounds: West, south, east and north (n, 4) in metres.
        zone: The zone of all boxes, or of each (n).
        steps: Chords that stand for each curved side.

    Returns:
        Polygons (n), whose longitudes may exceed 180. A box that reaches over a pole becomes a cap around the pole.
    """
    ramp = np.arange(steps) / steps
    ones, zeros = np.ones(steps), np.zeros(steps)
    across, up = np.concatenate([ramp, ones, 1 - ramp, zeros]), np.concatenate([zeros, ramp, ones, 1 - ramp])
    west, south, east, north = (side[:, None] for side in bounds.T)
    zones = np.reshape(zone, (-1, 1))
    lon, lat = to_lonlat(west * (1 - across) + east * across, south * (1 - up) + north * up, zones)
    outlines: Geometries = shapely.polygons(np.stack([lon, lat], axis=-1))
    meridian = np.broadcast_to(central_meridian(zones), (len(bounds), 1))[:, 0]
    over_north, over_south = over_poles(bounds)
    for over, edge, pole in ((over_north, lat.min(axis=1), 90.0), (over_south, lat.max(axis=1), -90.0)):
        outlines[over] = shapely.box(meridian[over] - 180, edge[over], meridian[over] + 180, pole)
    return outlines


def over_poles(bounds: Floats) -> tuple[Mask, Mask]:
    """Returns which UTM boxes (n, 4) reach over the north pole, and which over the south pole."""
    return bounds[:, 3] > POLE, bounds[:, 1] < -POLE
