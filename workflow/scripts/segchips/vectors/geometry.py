"""Repair, reprojection and checks of geometries."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from segchips.arrays import Ints, Mask
from segchips.errors import InputError

Geometries = npt.NDArray[np.object_]

EARTH_RADIUS = 6_378_137.0
"""Metres from the earth's centre to the equator (WGS 84)."""
MAX_COORDINATE = 1e8
"""Metres from a CRS's origin beyond which coordinates are not on the earth."""
MAX_EDGE = 1000.0
"""Metres on the ground beyond which an edge gets more vertices before it moves to another CRS."""
MAX_CROSSINGS = 1e9
"""Pairs of a feature's edges with overlapping boxes that are still handled, in minutes; a few million are common."""
_SAMPLED_EDGES = 64
_AREAL = 2
"""The dimension of polygons."""


def extract_polygons(geometries: Geometries) -> tuple[Geometries, Mask]:
    """Extracts and repairs the polygonal part of each geometry.

    Args:
        geometries: Geometries (n) of any type.

    Returns:
        Valid polygons or multipolygons (n), None where there is no area, and which geometries (n) were invalid.
    """
    shapes = extract_shapes(geometries)
    shapes[shapely.get_dimensions(shapes) < _AREAL] = None
    return repair_polygons(shapes)


def extract_shapes(geometries: Geometries) -> Geometries:
    """Reduces collections to their parts of the highest dimension.

    Args:
        geometries: Geometries (n) of any type.

    Returns:
        Polygons, lines, points or several of one of them (n), not repaired; None where there is no geometry.
    """
    result = np.array(geometries, dtype=object)
    mixed = shapely.get_type_id(result) == shapely.GeometryType.GEOMETRYCOLLECTION
    if mixed.any():
        parts, owners = _single_parts(result[mixed])
        joined = np.full(mixed.sum(), None, dtype=object)
        dimensions = shapely.get_dimensions(parts)
        for dimension, join in enumerate((shapely.multipoints, shapely.multilinestrings, shapely.multipolygons)):
            chosen = dimensions == dimension
            join(parts[chosen], indices=owners[chosen], out=joined)
        result[mixed] = joined
    result[shapely.is_empty(result)] = None
    return result


def repair_polygons(shapes: Geometries) -> tuple[Geometries, Mask]:
    """Repairs invalid polygons, in place; returns the shapes (n), None where nothing is left, and which were invalid.

    Rings that overlap count as one area (GEOS's method "structure"; "linework" would cut holes into it).
    """
    invalid = ~shapely.is_valid(shapes) & (shapely.get_dimensions(shapes) == _AREAL)
    shapes[invalid] = shapely.make_valid(_drop_non_finite(shapes[invalid]), method="structure", keep_collapsed=False)
    others = shapely.get_dimensions(shapes) < _AREAL
    shapes[others] = _drop_non_finite(shapes[others])
    shapes[shapely.is_empty(shapes)] = None
    return shapes, invalid


def polygon_parts(geometries: Geometries) -> tuple[Geometries, Ints]:
    """Returns the single polygons (m) in geometries, however nested, and the index (m) of the geometry of each."""
    parts, owners = _single_parts(geometries)
    keep = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    return parts[keep], owners[keep]


def _single_parts(geometries: Geometries) -> tuple[Geometries, Ints]:
    """Returns the parts (m) that are not empty, however nested, and the index (m) of the geometry of each."""
    parts, owners = shapely.get_parts(geometries, return_index=True)
    while (shapely.get_type_id(parts) > shapely.GeometryType.POLYGON).any():
        parts, inner = shapely.get_parts(parts, return_index=True)
        owners = owners[inner]
    keep = ~shapely.is_empty(parts) & ~shapely.is_missing(parts)
    return parts[keep], owners[keep]


def reproject_geometries(geometries: Geometries, source: pyproj.CRS, target: pyproj.CRS, name: object) -> Geometries:
    """Moves geometries to another CRS; edges stay where they were on the ground.

    Args:
        geometries: Geometries (n).
        source: Their CRS.
        target: The CRS of the result.
        name: How messages name the layer.

    Returns:
        The geometries (n), which are the same array where both CRSs are equal.

    Raises:
        InputError: Coordinates do not exist in one of the CRSs.
    """
    if source.equals(target, ignore_axis_order=True):
        return geometries
    error = InputError(f"{name} has coordinates that do not exist in {target.name}; is {source.name} its CRS?")
    if np.abs(shapely.total_bounds(geometries)).max() > MAX_COORDINATE / _metres_per_unit(source):
        raise error
    try:
        project = pyproj.Transformer.from_crs(source, target, always_xy=True).transform
    except pyproj.exceptions.ProjError as problem:
        raise InputError(
            f"{name} has the CRS {source.name}, which cannot be transformed to {target.name}; assign a CRS of the earth"
        ) from problem
    dense = shapely.segmentize(geometries, max_segment_length=MAX_EDGE / _metres_per_unit(source))
    moved: Geometries = shapely.transform(dense, project, interleaved=False)
    if not np.isfinite(shapely.get_coordinates(moved)).all():
        raise error
    return moved


def _metres_per_unit(crs: pyproj.CRS) -> float:
    """Returns the metres on the ground, at most, in one unit of the CRS's coordinates."""
    unit = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0
    return float(unit * (EARTH_RADIUS if crs.is_geographic else 1.0))


def check_edges(geometries: Geometries, fids: Ints, layer: str) -> None:
    """Raises InputError for a feature whose edges overlap so often that repairing it takes hours.

    Args:
        geometries: Geometries (n).
        fids: Their feature ids (n).
        layer: How messages name the layer.
    """
    for index in np.flatnonzero(shapely.get_num_coordinates(geometries) > np.sqrt(2 * MAX_CROSSINGS)):
        if _count_crossings(geometries[index]) > MAX_CROSSINGS:
            count = f"{shapely.get_num_coordinates(geometries[index]):,}"
            raise InputError(
                f"{layer}: feature FID {fids[index]} has {count} vertices on long edges side by side, as of a star, "
                "and would take hours; simplify it or cut it into parts"
            )


def _count_crossings(geometry: Any) -> float:
    """Estimates from a sample of edges how many pairs of edges have overlapping boxes."""
    parts, _ = polygon_parts(np.array([geometry], dtype=object))
    points, ring = shapely.get_coordinates(shapely.get_rings(parts), return_index=True)
    same_ring = ring[1:] == ring[:-1]
    low, high = np.minimum(points[1:], points[:-1])[same_ring], np.maximum(points[1:], points[:-1])[same_ring]
    sample: Any = np.linspace(0, len(low) - 1, _SAMPLED_EDGES).astype(int) if len(low) else []
    overlaps = [((low <= high[edge]) & (high >= low[edge])).all(axis=1).sum() for edge in sample]
    return sum(overlaps) / _SAMPLED_EDGES * len(low) / 2


def _drop_non_finite(geometries: Geometries) -> Geometries:
    """Sets geometries with infinite or missing coordinates to None, in place."""
    coordinates, owners = shapely.get_coordinates(geometries, return_index=True)
    geometries[owners[~np.isfinite(coordinates).all(axis=1)]] = None
    return geometries
