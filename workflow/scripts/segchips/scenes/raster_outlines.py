"""Outlines of rasters in longitude and latitude, cut at 180 degrees, also across it and around the poles."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import shapely

from segchips.arrays import Floats
from segchips.errors import InputError
from segchips.vectors.longitudes import unwrap_longitudes, within_globe

Json = dict[str, Any]
_GLOBE = shapely.box(-180, -90, 180, 90)


def raster_outline(file: Any, path: Path) -> Json:
    """Returns a raster's outline as GeoJSON; edges have seven points between corners, because they bend.

    A raster that reaches beyond the earth, such as the whole disk of a geostationary satellite, gets the box around the
    ground that it shows.

    Args:
        file: The rasterio dataset.
        path: Its path, for messages.

    Raises:
        InputError: No place of the raster has a longitude and latitude.
    """
    crs = pyproj.CRS(file.crs.to_wkt())
    to_lonlat = pyproj.Transformer.from_crs(crs, 4326, always_xy=True)
    ring = _lonlat(file, to_lonlat, _edge(file.width, file.height))
    if not np.isfinite(ring).all():
        outline = _box_of_ground(file, path, to_lonlat)
    elif poles := [] if crs.is_geographic else _poles_inside(file, to_lonlat):
        outline = _around_pole(ring, poles[0]) if len(poles) == 1 else _GLOBE
    else:
        polygons, _ = unwrap_longitudes(np.array([shapely.Polygon(ring.round(7))]))
        outline = within_globe(polygons)[0]
    geometry: Json = json.loads(shapely.to_geojson(shapely.orient_polygons(outline)))
    return geometry


def _edge(width: int, height: int) -> Floats:
    """Columns and rows of points along the edge, without the first at the end."""
    parts = np.arange(8) / 8
    columns = [0 * parts, parts * width, 0 * parts + width, (1 - parts) * width]
    rows = [parts * height, 0 * parts + height, (1 - parts) * height, 0 * parts]
    return np.column_stack([np.concatenate(columns), np.concatenate(rows)])


def _lonlat(file: Any, to_lonlat: pyproj.Transformer, pixels: Floats) -> Floats:
    """Longitudes and latitudes of points in pixels; inf for those that are not on the earth."""
    x, y = file.transform @ (pixels[:, 0], pixels[:, 1])
    return np.column_stack(to_lonlat.transform(x, y))


def _poles_inside(file: Any, to_lonlat: pyproj.Transformer) -> list[float]:
    """The latitudes of the poles that lie inside the raster."""
    inside = []
    for pole in (-90.0, 90.0):
        x, y = to_lonlat.transform(0.0, pole, direction="INVERSE")
        column, row = ~file.transform @ (x, y)
        if 0 < column < file.width and 0 < row < file.height:
            inside.append(pole)
    return inside


def _around_pole(ring: Floats, pole: float) -> Any:
    """The polygon inside a ring around a pole."""
    lon = np.unwrap(np.append(ring[:, 0], ring[0, 0]), period=360)
    lat = np.append(ring[:, 1], ring[0, 1])
    lonlat = np.column_stack([np.append(lon, [lon[-1], lon[0]]), np.append(lat, [pole, pole])]).round(7)
    return within_globe(np.array([shapely.make_valid(shapely.Polygon(lonlat))]))[0]


def _box_of_ground(file: Any, path: Path, to_lonlat: pyproj.Transformer) -> Any:
    across, down = np.meshgrid(np.linspace(0, file.width, 65), np.linspace(0, file.height, 65))
    lonlat = _lonlat(file, to_lonlat, np.column_stack([across.ravel(), down.ravel()]))
    lonlat = lonlat[np.isfinite(lonlat).all(axis=1)]
    if not len(lonlat):
        raise InputError(f"'{path}': none of its pixels has a longitude and latitude; check its CRS and geotransform")
    middle = lonlat[len(lonlat) // 2, 0]
    lon = middle + (lonlat[:, 0] - middle + 180) % 360 - 180
    west, south, east, north = lon.min(), lonlat[:, 1].min(), lon.max(), lonlat[:, 1].max()
    reach_lon, reach_lat = (east - west) / 16 + 0.1, (north - south) / 16 + 0.1
    south, north = max(-90.0, south - reach_lat), min(90.0, north + reach_lat)
    if east - west + 2 * reach_lon >= 360:
        return shapely.box(-180, south, 180, north)
    box = shapely.box(west - reach_lon, south, east + reach_lon, north)
    return within_globe(np.array([shapely.set_precision(box, 1e-7)]))[0]
