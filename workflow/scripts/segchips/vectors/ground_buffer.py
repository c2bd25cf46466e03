"""Areas around points and lines, measured on the ground."""

import numpy as np
import pyproj
import shapely

from segchips.arrays import Floats
from segchips.vectors.geometry import EARTH_RADIUS, Geometries, reproject_geometries
from segchips.vectors.longitudes import unwrap_longitudes

_PIECE = 50_000.0
"""Metres along a line beyond which it is cut into pieces, each with the scale of its own place."""
_QUADRANT = 16
"""Edges of a quarter circle: at most 0.12 % of the distance is lost between two vertices."""
_WIDEST = 1e7
"""More units of a CRS than an area around a point or a piece of a line is wide, unless it lies at both ends."""


def buffer_on_ground(geometries: Geometries, crs: pyproj.CRS, metres: Floats) -> Geometries:
    """Returns polygons around points and lines, at true distances on the ground.

    Args:
        geometries: Points, lines and polygons (n) or None; polygons stay as they are.
        crs: Their CRS, in which the result is, too.
        metres: The distance around each (n).
    """
    result = geometries.copy()
    chosen = np.flatnonzero((shapely.get_dimensions(geometries) < 2) & ~shapely.is_missing(geometries))
    if not chosen.size:
        return result
    lonlat, _ = unwrap_longitudes(reproject_geometries(geometries[chosen], crs, pyproj.CRS(4326), "a layer"))
    parts, owners = shapely.get_parts(_cut(lonlat), return_index=True)
    middle = shapely.get_coordinates(shapely.point_on_surface(parts))
    areas = np.full(len(parts), None, dtype=object)
    zones = np.clip(np.floor((middle[:, 0] + 180) / 6).astype(int) + 1, 1, 60)
    for zone in np.unique(zones):
        here = zones == zone
        utm = pyproj.CRS(32600 + int(zone))
        scale = np.sqrt(np.asarray(pyproj.Proj(utm).get_factors(*middle[here].T).areal_scale))
        plane = reproject_geometries(parts[here], pyproj.CRS(4326), utm, "a layer")
        around = shapely.buffer(plane, metres[chosen][owners[here]] * scale, quad_segs=_QUADRANT)
        areas[here] = _from_zone(around, utm, crs)
    first = np.searchsorted(owners, np.arange(len(chosen)))
    counts = np.bincount(owners, minlength=len(chosen))
    result[chosen] = areas[first]
    for index in np.flatnonzero(counts > 1):
        result[chosen[index]] = shapely.union_all(areas[first[index] : first[index] + counts[index]])
    return result


def _from_zone(areas: Geometries, utm: pyproj.CRS, crs: pyproj.CRS) -> Geometries:
    """Moves areas from a UTM zone to the CRS of their layer; those that lie at both its ends are cut in two."""
    moved = reproject_geometries(areas, utm, crs, "a layer")
    if crs.is_geographic:
        return unwrap_longitudes(moved)[0]
    bounds = shapely.bounds(moved)
    at_both_ends = bounds[:, 2] - bounds[:, 0] > _WIDEST
    if at_both_ends.any():
        moved, wgs84 = moved.copy(), pyproj.CRS(4326)
        halves, _ = unwrap_longitudes(reproject_geometries(areas[at_both_ends], utm, wgs84, "a layer"))
        moved[at_both_ends] = reproject_geometries(halves, wgs84, crs, "a layer")
    return moved


def _cut(lonlat: Geometries) -> Geometries:
    """Cuts lines into pieces of at most `_PIECE` metres; everything else stays."""
    lengths = shapely.length(lonlat) * np.deg2rad(1) * EARTH_RADIUS
    long = np.flatnonzero(lengths > _PIECE)
    if long.size:
        lonlat = lonlat.copy()
        lonlat[long] = [_pieces(geometry) for geometry in lonlat[long]]
    return lonlat


def _pieces(line: object) -> object:
    step = np.rad2deg(_PIECE / EARTH_RADIUS)
    points, part = shapely.get_coordinates(shapely.segmentize(shapely.get_parts(line), step), return_index=True)
    pieces, start = [], 0
    travelled = np.append(0, np.hypot(*np.diff(points, axis=0).T))
    for end in range(1, len(points)):
        is_last = end + 1 == len(points) or part[end + 1] != part[end]
        if is_last or travelled[start + 1 : end + 2].sum() > step:
            pieces.append(shapely.LineString(points[start : end + 1]))
            start = end + 1 if is_last else end
    return shapely.MultiLineString(pieces)
