"""Longitudes in -180..180: wraps those beyond, and follows edges across the antimeridian and around the poles.

The package `antimeridian` does not replace this module. It fails for polygons around a pole, wider than 180 degrees, or
with a hole across the antimeridian, and takes 11 s in place of 1.3 s for 70,000 tile outlines beyond 180 degrees.
"""

from typing import Any

import numpy as np
import shapely

from segchips.arrays import Ints
from segchips.vectors.geometry import EARTH_RADIUS, Geometries

_ROUNDING = 1e-9
"""Degrees by which a longitude of 180 may be written too small."""
_HALF_TURN = 180 * np.deg2rad(EARTH_RADIUS)
"""Metres from the meridian of Greenwich to the antimeridian in EPSG:3857."""


def within_globe(geometries: Geometries) -> Geometries:
    """Wraps longitudes into -180..180 and clips latitudes to -90..90.

    Args:
        geometries: Lon/lat geometries (n), whose longitudes may leave -180..180 by any number of turns.

    Returns:
        The geometries (n), split where they cross the antimeridian.
    """
    bounds = shapely.bounds(geometries)
    outside = ((bounds < [-180, -90, -180, -90]) | (bounds > [180, 90, 180, 90])).any(axis=1)
    if not outside.any():
        return geometries
    west, east = bounds[outside, 0].min(), bounds[outside, 2].max()
    turns = np.arange(np.floor((west + 180) / 360), np.floor((east + 180) / 360) + 1) * 360
    pieces = []
    for turn in turns:
        piece = shapely.intersection(geometries[outside], shapely.box(turn - 180, -90, turn + 180, 90))
        pieces.append(shapely.transform(piece, lambda lonlat, turn=turn: lonlat - [turn, 0.0]))
    result = geometries.copy()
    result[outside] = shapely.union_all(np.stack(pieces), axis=0)
    return result


def within_web_mercator(geometries: Geometries) -> Geometries:
    """Wraps coordinates of EPSG:3857 that lie beyond 180 degrees, as `within_globe` does longitudes."""
    outside = (np.abs(shapely.bounds(geometries)[:, [0, 2]]) > _HALF_TURN).any(axis=1)
    if not outside.any():
        return geometries
    scale = np.array([180, 90]) / _HALF_TURN
    result = geometries.copy()
    scaled = shapely.transform(geometries[outside], lambda points: points * scale)
    result[outside] = shapely.transform(within_globe(scaled), lambda points: points / scale)
    return result


def unwrap_longitudes(geometries: Geometries) -> tuple[Geometries, Ints]:
    """Rebuilds geometries with edges of more than 180 degrees, which cross the antimeridian by the short way.

    A polygon that reaches from -180 to 180 exactly spans the globe, and stays as it is.

    Args:
        geometries: Lon/lat geometries (n).

    Returns:
        The geometries (n), split where they cross the antimeridian, and the indices of those that were rebuilt.
    """
    coordinates, owners = shapely.get_coordinates(geometries, return_index=True)
    jumps = (np.abs(np.diff(coordinates[:, 0])) > 180) & (np.diff(owners) == 0)
    candidates = np.unique(owners[1:][jumps])
    crossing: Ints = np.array([index for index in candidates if _has_long_edge(geometries[index])], dtype=np.int64)
    if crossing.size:
        geometries = geometries.copy()
        geometries[crossing] = [_unwrap(geometry) for geometry in geometries[crossing]]
    return geometries, crossing


def _has_long_edge(geometry: Any) -> bool:
    """Whether a part has an edge of more than 180 degrees, other than a polygon that spans the globe."""
    for part in shapely.get_parts(geometry):
        lon = shapely.get_coordinates(part)[:, 0]
        if part.geom_type == "Polygon" and (np.abs(lon) >= 180 - _ROUNDING).all():
            continue
        for line in shapely.get_rings(part) if part.geom_type == "Polygon" else [part]:
            if (np.abs(np.diff(shapely.get_coordinates(line)[:, 0])) > 180).any():
                return True
    return False


def _unwrap(geometry: Any) -> Any:
    """Rebuilds the parts of one geometry from continuous longitudes."""
    parts = []
    for part in shapely.get_parts(geometry):
        if part.geom_type == "Polygon":
            parts.append(_unwrap_polygon(part))
        else:
            lonlat = shapely.get_coordinates(part)
            lonlat[:, 0] = np.unwrap(lonlat[:, 0], period=360)
            parts.append(within_globe(np.array([shapely.set_coordinates(part, lonlat)]))[0])
    return shapely.union_all(parts)


def _unwrap_polygon(polygon: Any) -> Any:
    lon = shapely.get_coordinates(polygon)[:, 0]
    if (np.abs(lon) >= 180 - _ROUNDING).all():
        return polygon
    shell, *holes = (within_globe(np.array([_unwrap_ring(ring)]))[0] for ring in shapely.get_rings(polygon))
    return shapely.difference(shell, shapely.union_all(holes))


def _unwrap_ring(ring: Any) -> Any:
    """Returns the polygon inside a ring; one that runs around the globe encloses the pole of its hemisphere."""
    coordinates = shapely.get_coordinates(ring)
    lon = np.unwrap(coordinates[:, 0], period=360)
    lat = coordinates[:, 1]
    if abs(lon[-1] - lon[0]) > 180:
        pole = np.copysign(90.0, lat.mean())
        lon, lat = np.append(lon, [lon[-1], lon[0]]), np.append(lat, [pole, pole])
    return shapely.make_valid(shapely.Polygon(np.column_stack([lon, lat])), method="structure", keep_collapsed=False)
