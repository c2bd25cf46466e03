"""Vector geometries in the CRS of tiles, and tiles in the CRS of a vector layer."""

import re
from typing import Any

import numpy as np
import pyproj
import shapely

from segchips.grids.planar_cover import split_at_seam
from segchips.grids.projected import MAX_BEYOND, projected_crs
from segchips.grids.utm import zone_longitudes
from segchips.vectors.antimeridian import WGS84
from segchips.vectors.geometry import Geometries, reproject_geometries
from segchips.vectors.longitudes import within_globe

_METRES_PER_DEGREE = 111_320
# A tile's box in a layer's CRS is enlarged by this share of its width, so that curved edges stay inside.
_SEARCH_MARGIN = 0.02
_EVERYWHERE = 1e12
"""A coordinate beyond those of all layers."""
_UTM = re.compile(r"EPSG:326(0[1-9]|[1-5]\d|60)")


def to_tile_crs(geometries: Geometries, source: pyproj.CRS, crs: str, name: object) -> Geometries:
    """Moves geometries to the CRS of tiles; wide ones are clipped to the surroundings of where the CRS is used first.

    In a CRS of the whole world, what lies at one end is also given beyond the other end, where tiles show it too.

    Args:
        geometries: Geometries (n).
        source: Their CRS.
        crs: The CRS of tiles, such as `EPSG:32633`.
        name: How messages name the layer.

    Raises:
        InputError: Coordinates do not exist in one of the CRSs.
    """
    return _beyond_both_ends(_reprojected(geometries, source, crs, name), crs)


def _beyond_both_ends(geometries: Geometries, crs: str) -> Geometries:
    """Geometries (n) with copies beyond the ends of the world of what lies within ten degrees of the other end."""
    seam = None if _UTM.fullmatch(crs) else projected_crs(crs).seam
    if seam is None:
        return geometries
    (west, east), world = seam, seam[1] - seam[0]
    reach, bounds = world * MAX_BEYOND / 360, shapely.bounds(geometries)
    result = geometries.copy()
    for near, turn, begin in (
        (bounds[:, 0] < west + reach, world, east),
        (bounds[:, 2] > east - reach, -world, west - reach),
    ):
        copies = shapely.transform(geometries[near], lambda points, turn=turn: points + [turn, 0.0])
        beyond = shapely.intersection(copies, shapely.box(begin, -_EVERYWHERE, begin + reach, _EVERYWHERE))
        result[near] = shapely.union(result[near], beyond)
    return result


def _reprojected(geometries: Geometries, source: pyproj.CRS, crs: str, name: object) -> Geometries:
    target = pyproj.CRS(crs)
    if source.equals(target, ignore_axis_order=True):
        return geometries
    if source.is_geographic and not _UTM.fullmatch(crs):
        geometries = split_at_seam(geometries, projected_crs(crs).central_meridian)
    bounds = shapely.bounds(geometries)
    limit = MAX_BEYOND * (1 if source.is_geographic else _METRES_PER_DEGREE)
    wide = np.max(bounds[:, 2:] - bounds[:, :2], axis=1) > limit
    if not wide.any():
        return reproject_geometries(geometries, source, target, name)
    lonlat = reproject_geometries(geometries[wide], source, WGS84, name)
    reprojected = geometries.copy()
    clipped = shapely.intersection(lonlat, _surroundings(crs))
    reprojected[wide] = reproject_geometries(clipped, WGS84, target, name)
    if not wide.all():
        reprojected[~wide] = reproject_geometries(geometries[~wide], source, target, name)
    return reprojected


def _surroundings(crs: str) -> Any:
    """The lon/lat polygon of the ground where a CRS is used, and of ten degrees around it."""
    if match := _UTM.fullmatch(crs):
        west, east = zone_longitudes(int(match[1]))
        return within_globe(np.array([shapely.box(west - MAX_BEYOND, -90, east + MAX_BEYOND, 90)]))[0]
    west, south, east, north = projected_crs(crs).use_bounds or (-180.0, -90.0, 180.0, 90.0)
    if east - west + 2 * MAX_BEYOND >= 360:
        west, east = -180 + MAX_BEYOND, 180 - MAX_BEYOND
    south, north = max(south - MAX_BEYOND, -90.0), min(north + MAX_BEYOND, 90.0)
    return within_globe(np.array([shapely.box(west - MAX_BEYOND, south, east + MAX_BEYOND, north)]))[0]


def boxes_in_layer(boxes: Geometries, crs: str, layer_crs: pyproj.CRS) -> Geometries:
    """Returns boxes (n) in a layer's CRS that enclose boxes (n) in the CRS of tiles."""
    seam = None if _UTM.fullmatch(crs) else projected_crs(crs).seam
    if seam is None and layer_crs.equals(pyproj.CRS(crs), ignore_axis_order=True):
        return boxes
    bounds = shapely.bounds(boxes)
    margin = _SEARCH_MARGIN * np.max(bounds[:, 2:] - bounds[:, :2])
    enlarged = shapely.segmentize(shapely.buffer(boxes, margin, join_style="mitre"), max(margin * 10, 1.0))
    moved = shapely.bounds(reproject_geometries(enlarged, pyproj.CRS(crs), layer_crs, f"the grid of {crs}"))
    if layer_crs.is_geographic and not _UTM.fullmatch(crs):
        over_south, over_north = projected_crs(crs).over_poles(shapely.bounds(enlarged))
        moved[over_south | over_north, 0], moved[over_south | over_north, 2] = -180, 180
        moved[over_south, 1], moved[over_north, 3] = -90, 90
    across = (bounds[:, 0] < seam[0]) | (bounds[:, 2] > seam[1]) if seam else np.zeros(len(boxes), bool)
    if layer_crs.is_geographic:
        across |= moved[:, 2] - moved[:, 0] > 180
    moved[across, 0], moved[across, 2] = -_EVERYWHERE, _EVERYWHERE
    if not layer_crs.is_geographic:
        moved[across, 1], moved[across, 3] = -_EVERYWHERE, _EVERYWHERE
    return shapely.box(*moved.T)
