"""Geometries as what GDAL's rasteriser is given, made at once for all of a tile."""

import itertools
from typing import Any

import numpy as np
import shapely

from segchips.vectors.geometry import Geometries


def as_geojson(geometries: Geometries) -> list[Any]:
    """Turn polygons without holes into GeoJSON, which shapely does one vertex after another.

    Args:
        geometries: Geometries (n).

    Returns:
        A GeoJSON object for each polygon without holes; the other geometries as they are (n).
    """
    found = list(geometries)
    is_plain = shapely.get_type_id(geometries) == shapely.GeometryType.POLYGON
    is_plain &= shapely.get_num_interior_rings(geometries) == 0
    vertices = shapely.get_coordinates(geometries[is_plain]).tolist()
    stops = np.cumsum(shapely.get_num_coordinates(geometries[is_plain])).tolist()
    for place, (start, stop) in zip(np.flatnonzero(is_plain).tolist(), itertools.pairwise([0, *stops]), strict=True):
        found[place] = {"type": "Polygon", "coordinates": [vertices[start:stop]]}
    return found
