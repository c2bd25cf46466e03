"""TODO: describe."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from segchips.arrays import Ints, Mask
from segchips.errors import InputError

Geometries = npt.NDArray[np.object_]

EARTH_RADIUS = 6_378_137.0
FARTHEST = 1e8
"""Metres from a CRS's origin beyond which coordinates are no place on earth."""
MAX_EDGE = 1000.0
"""Metres on the ground beyond which an edge is densified before it moves to another CRS."""

MAX_CROSSINGS = 1e9
"""Pairs of edges of a feature with overlapping boxes that may be looked at: minutes; usual are a few million."""


def polygonal(geometries: Geometries) -> tuple[Geometries, Mask]:
    """Each geometry's polygonal part, valid, or None; and which of them were invalid.

    Rings that overlap count as one area ("structure"), where "linework" would cut holes into it.
    """
    result = np.array(geometries, dtype=object)
    mixed = shapely.get_type_id(result) == shapely.GeometryType.GEOMETRYCOLLECTION
    if mixed.any():
        parts, owners = polygon_parts(result[mixed])
        joined = np.full(mixed.sum(), None, dtype=object)
        shapely.multipolygons(parts, indices=owners, out=joined)
        result[mixed] = joined
    areal = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
    result[~np.isin(shapely.get_type_id(result), areal)] = None
    invalid = ~shapely.is_valid(result) & ~shapely.is_missing(result)
    result[invalid] = shapely.make_valid(_finite(result[invalid]), method="structure", keep_collapsed=False)
    result[shapely.is_empty(result)] = None
    return result, invalid


def polygon_parts(geometries: Geometries) -> tuple[Geometries, Ints]:
    """The single polygons in the geometries, however deep, and the index of the geometry each came from."""
    parts, owners = shapely.get_parts(geometries, return_index=True)
    while (shapely.get_type_id(parts) > shapely.GeometryType.POLYGON).any():
        parts, inner = shapely.get_parts(parts, return_index=True)
        owners = owners[inner]
    keep = (shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & ~shapely.is_empty(parts)
    return parts[keep], owners[keep]


def reproject_geometries(geometries: Geometries, source: pyproj.CRS, target: pyproj.CRS, name: object) -> Geometries:
    """Move geometries to another CRS, edges where they were on the ground; InputError names the layer by `name`."""
    if source.equals(target, ignore_axis_order=True):
        return geometries
    astray = InputError(f"{name} has coordinates that do not exist in {target.name}; is {source.name} its CRS?")
    if np.abs(shapely.total_bounds(geometries)).max() > FARTHEST / _ground_unit(source):
        raise astray
    project = pyproj.Transformer.from_crs(source, target, always_xy=True).transform
    dense = shapely.segmentize(geometries, max_segment_length=MAX_EDGE / _ground_unit(source))
    moved: Geometries = shapely.transform(dense, project, interleaved=False)
    if not np.isfinite(shapely.get_coordinates(moved)).all():
        raise astray
    return moved


def _ground_unit(crs: pyproj.CRS) -> float:
    """Metres on the ground, at most, in one unit of the CRS's coordinates."""
    unit = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0
    return float(unit * (EARTH_RADIUS if crs.is_geographic else 1.0))


def check_edges(geometries: Geometries, fids: Ints, layer: str) -> None:
    """InputError names a feature whose edges lie across one another so often that hardly anything can be told of it."""
    for index in np.flatnonzero(shapely.get_num_coordinates(geometries) > np.sqrt(2 * MAX_CROSSINGS)):
        if _crossings(geometries[index]) > MAX_CROSSINGS:
            count = f"{shapely.get_num_coordinates(geometries[index]):,}"
            raise InputError(
                f"{layer}: feature FID {fids[index]} has {count} vertices on long edges side by side, as of a star, "
                "and would take hours; simplify it or cut it into parts"
            )


def _crossings(geometry: Any) -> float:
    """How many pairs of edges have overlapping boxes, estimated from 64 of the edges."""
    parts, _ = polygon_parts(np.array([geometry], dtype=object))
    points, ring = shapely.get_coordinates(shapely.get_rings(parts), return_index=True)
    inner = ring[1:] == ring[:-1]
    low, high = np.minimum(points[1:], points[:-1])[inner], np.maximum(points[1:], points[:-1])[inner]
    some: Any = np.linspace(0, len(low) - 1, 64).astype(int) if len(low) else []
    met = [((low <= high[one]) & (high >= low[one])).all(axis=1).sum() for one in some]
    return sum(met) / 64 * len(low) / 2


def _finite(geometries: Geometries) -> Geometries:
    coordinates, owners = shapely.get_coordinates(geometries, return_index=True)
    lost = owners[~np.isfinite(coordinates).all(axis=1)]
    geometries[lost] = None
    return geometries
