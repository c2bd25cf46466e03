"""Layers in lon/lat."""

import pyproj

from segchips.vectors.geometry import Geometries, reproject_geometries
from segchips.vectors.layers import VectorLayer
from segchips.vectors.longitudes import unwrap_longitudes

WGS84 = pyproj.CRS(4326)


def to_lonlat_geometries(layer: VectorLayer) -> Geometries:
    """Converts a layer's geometries to lon/lat; those across the antimeridian or around a pole keep their shape.

    Raises:
        InputError: The layer's coordinates do not exist in its CRS.
    """
    moved = reproject_geometries(layer.geometries, layer.crs, WGS84, layer)
    return moved if moved is layer.geometries else unwrap_longitudes(moved)[0]
