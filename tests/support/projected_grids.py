"""Grids in projected CRSs, and where their areas lie."""

from functools import lru_cache

import pyproj
import shapely

from segchips.grids.systems import ProjectedSystem
from segchips.grids.tile import Grid

AREAS = {
    "EPSG:6933": (170.0, -40.0, 190.0, -38.0),
    "EPSG:3035": (5.0, 46.0, 17.0, 48.0),
    "EPSG:5070": (-100.0, 38.0, -98.0, 39.0),
    "EPSG:2056": (7.2, 46.8, 7.6, 47.0),
    "EPSG:28992": (5.0, 52.0, 5.4, 52.3),
    "EPSG:27700": (-4.2, 55.0, -3.8, 55.2),
    "EPSG:3031": (-180.0, -90.0, 180.0, -89.0),
    "EPSG:3413": (175.0, 80.0, 185.0, 82.0),
    "EPSG:3857": (10.0, 59.0, 10.5, 59.2),
    "EPSG:2193": (177.5, -39.0, 181.0, -38.0),
    "EPSG:2263": (-74.0, 40.6, -73.8, 40.8),
    "ESRI:102008": (-96.0, 45.0, -95.0, 45.5),
}
"""West, south, east and north in degrees of an area in each CRS; some cross the antimeridian or hold a pole."""


def projected_grid(code: str, size=64, pad=2, resolution=10.0, stride=None, origin=(0.0, 0.0)) -> Grid:
    return Grid(size, pad, resolution, stride, ProjectedSystem(code, origin))


def area_of(code: str) -> shapely.Geometry:
    return shapely.box(*AREAS[code])


@lru_cache
def to_crs(code: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(4326, code, always_xy=True)
