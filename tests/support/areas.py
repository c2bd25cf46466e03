"""Areas that tests cut into tiles, points in them, and which tile holds a point."""

import warnings

import numpy as np
import pyproj
import shapely
from earthdaily.earthone.geo import DLTile
from numpy.random import Generator
from numpy.typing import NDArray

from segchips.grids.tile import Grid

GRID = Grid(64, 2, 10)
GLOBE = shapely.box(-180, -90, 180, 90)
ACROSS = shapely.box(11.97, 47.0, 12.03, 47.05)
"""Ground on both sides of the border of zones 32 and 33."""


def client_keys(aoi: shapely.Geometry, grid: Grid) -> list[str]:
    """The keys of the tiles that the client library finds for a well-behaved shape."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape = shapely.segmentize(aoi, 0.05)
        return list(DLTile.from_shape(shape, grid.resolution, grid.tilesize, grid.pad, keys_only=True))


def blob(rng: Generator, lon: float, lat: float, radius: float, vertices: int = 20) -> shapely.Geometry:
    """A random polygon around a point that reaches at most `radius` degrees."""
    angle = np.sort(rng.uniform(0, 2 * np.pi, vertices))
    reach = radius * rng.uniform(0.3, 1, vertices)
    ring = np.column_stack([lon + reach * np.cos(angle) / np.cos(np.radians(lat)), lat + reach * np.sin(angle)])
    return shapely.make_valid(shapely.Polygon(ring), method="structure", keep_collapsed=False)


def points_in(aoi: shapely.Geometry, count: int, seed: int = 0) -> NDArray[np.float64]:
    """Those of `count` random points in the area's bounds that lie in the area (n, 2)."""
    rng = np.random.default_rng(seed)
    west, south, east, north = aoi.bounds
    points = np.column_stack([rng.uniform(west, east, count), rng.uniform(south, north, count)])
    return points[shapely.contains_xy(aoi, points)]


def tile_at(grid: Grid, lon: float, lat: float) -> tuple[int, int, int]:
    """The zone, path and row of the core box that holds a point, by PROJ's UTM."""
    zone = int((lon + 180) // 6) + 1
    east, north = pyproj.Transformer.from_crs(4326, 32600 + zone, always_xy=True).transform(lon, lat)
    return zone, int((east - 500_000) // grid.core), int(north // grid.core)
