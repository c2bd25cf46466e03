"""Geometries across the antimeridian and around the poles.

The package `antimeridian` does not replace this module. It fails for polygons around a pole, wider than 180 degrees, or
with a hole across the antimeridian, and takes 11 s in place of 1.3 s for 70,000 tile outlines beyond 180 degrees.
"""

from typing import Any

import numpy as np
import pyproj
import shapely

from segchips.errors import InputError
from segchips.vectors.geometry import Geometries, reproject_geometries
from segchips.vectors.layers import VectorLayer

WGS84 = pyproj.CRS(4326)


def to_lonlat_geometries(layer: VectorLayer) -> Geometries:
    """Converts a layer's geometries to lon/lat; those across the antimeridian or around a pole keep their shape.

    Raises:
        InputError: The layer's coordinates do not exist in its CRS.
    """
    moved = reproject_geometries(layer.geometries, layer.crs, WGS84, layer)
    west, _, east, _ = shapely.total_bounds(moved)
    if max(-west, east) > 720:
        extent = f"longitudes from {west:g} to {east:g}"
        raise InputError(f"{layer} has {extent}: {layer.crs.name} cannot be its CRS; assign the right one")
    if moved is layer.geometries:
        return moved
    coordinates, owners = shapely.get_coordinates(moved, return_index=True)
    jumps = (np.abs(np.diff(coordinates[:, 0])) > 180) & (np.diff(owners) == 0)
    crossing = np.unique(owners[1:][jumps])
    moved[crossing] = [_unwrap_antimeridian(geometry) for geometry in moved[crossing]]
    return moved


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


def _unwrap_antimeridian(geometry: Any) -> Any:
    """Rebuilds a polygon whose rings jump between -180 and 180 from rings with continuous longitudes."""
    polygons = []
    for polygon in shapely.get_parts(geometry):
        shell, *holes = (within_globe(np.array([_unwrap_ring(ring)]))[0] for ring in shapely.get_rings(polygon))
        polygons.append(shapely.difference(shell, shapely.union_all(holes)))
    return shapely.union_all(polygons)


def _unwrap_ring(ring: Any) -> Any:
    """Returns the polygon inside a ring; one that runs around the globe encloses the pole of its hemisphere."""
    coordinates = shapely.get_coordinates(ring)
    lon = np.unwrap(coordinates[:, 0], period=360)
    lat = coordinates[:, 1]
    if abs(lon[-1] - lon[0]) > 180:
        pole = np.copysign(90.0, lat.mean())
        lon, lat = np.append(lon, [lon[-1], lon[0]]), np.append(lat, [pole, pole])
    return shapely.make_valid(shapely.Polygon(np.column_stack([lon, lat])), method="structure", keep_collapsed=False)
