"""Small rasters on or near a tile, and a slow nearest-neighbour reader to compare with."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import rasterio
import shapely
from rasterio.transform import Affine

from segchips.grids.tile import Tile

OUTSIDE = object()
"""Stands for a pixel centre that lies outside the raster."""


def write_raster(
    path: Path,
    data: npt.NDArray[Any],
    transform: Affine,
    crs: str | None,
    nodata: float | None = None,
    mask: npt.NDArray[Any] | None = None,
    **profile: Any,
) -> Path:
    """Write a GeoTIFF of data (band, row, column) or (row, column)."""
    data = np.atleast_3d(data.T).T if data.ndim == 2 else data
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = data.shape
    shape = {"count": count, "height": height, "width": width, "dtype": data.dtype}
    with rasterio.open(
        path, "w", driver="GTiff", crs=crs, transform=transform, nodata=nodata, **shape, **profile
    ) as file:
        file.write(data)
        if mask is not None:
            file.write_mask(mask)
    return path


def transform_over(
    tile: Tile,
    shape: Sequence[int],
    step: float | tuple[float, float],
    crs: str | None = None,
    shift: tuple[float, float] = (0.0, 0.0),
    rotate: float = 0.0,
    south_up: bool = False,
) -> Affine:
    """The geotransform that centres a raster on a tile.

    Args:
        tile: The tile.
        shape: Rows and columns of the raster.
        step: Pixel size in units of `crs`, or one size for each axis.
        crs: The raster's CRS; the tile's by default.
        shift: Pixels by which the raster moves right and down.
        rotate: Degrees.
        south_up: Whether the first row is the southernmost.
    """
    crs = crs or tile.crs
    west, south, east, north = tile.bounds
    x, y = pyproj.Transformer.from_crs(tile.crs, crs, always_xy=True).transform((west + east) / 2, (south + north) / 2)
    across, down = step if isinstance(step, tuple) else (step, step)
    x, y = x + shift[0] * across, y - shift[1] * down
    flip = Affine.scale(across, down if south_up else -down)
    return Affine.translation(x, y) @ Affine.rotation(rotate) @ flip @ Affine.translation(-shape[1] / 2, -shape[0] / 2)


def raster_outline(path: Path) -> dict[str, Any]:
    """The GeoJSON outline of a raster in lon/lat."""
    with rasterio.open(path) as file:
        corners = [(0, 0), (file.width, 0), (file.width, file.height), (0, file.height), (0, 0)]
        ring = [file.transform @ corner for corner in corners]
        lonlat = pyproj.Transformer.from_crs(file.crs, 4326, always_xy=True).itransform(ring)
        return shapely.geometry.mapping(shapely.Polygon(list(lonlat)))


def nearest_by_loop(path: Path, tile: Tile, bands: Sequence[int] = (1,)) -> list[list[list[Any]]]:
    """Read the raster under each of the tile's pixel centres, point by point.

    Returns:
        Values as [band][row][column]; OUTSIDE where the raster does not reach.
    """
    with rasterio.open(path) as file:
        data, inverse, crs = file.read(list(bands)), ~file.transform, pyproj.CRS(file.crs.to_wkt())
    project = None if crs == pyproj.CRS(tile.crs) else pyproj.Transformer.from_crs(tile.crs, crs, always_xy=True)
    west, step, _, north, _, _ = tile.geotransform
    size = tile.grid.size
    values: list[list[list[Any]]] = [[[OUTSIDE] * size for _ in range(size)] for _ in bands]
    for row in range(size):
        for column in range(size):
            point = west + (column + 0.5) * step, north - (row + 0.5) * step
            across, down = inverse @ (project.transform(*point) if project else point)
            # a centre on an edge belongs to the pixel right of and below it
            i, j = math.floor(down + 1e-6), math.floor(across + 1e-6)
            if 0 <= i < data.shape[1] and 0 <= j < data.shape[2]:
                for number in range(len(bands)):
                    values[number][row][column] = data[number, i, j]
    return values
