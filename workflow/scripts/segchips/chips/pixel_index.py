"""Pixel indices: which raster pixel lies under each pixel centre of a tile."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyproj

from segchips.arrays import Array, Floats, Mask
from segchips.chips.open_rasters import OpenRaster
from segchips.grids.pixel_grid import MAX_SHIFT
from segchips.grids.tile import Tile

# A centre on the edge of two source pixels belongs to the right and lower one, however its coordinates are rounded.
_EDGE = 1e-6
_SAME_SIZE = 1e-9
"""The part of a pixel's side by which pixels of one size may differ."""


@dataclass(frozen=True)
class PixelIndex:
    """Where a tile's pixel centres fall in a raster.

    Attributes:
        rows: The raster's row of each centre; broadcasts with `columns` to size x size.
        columns: The raster's column of each centre.
        inside: Size x size, True where the centre lies inside the raster.
    """

    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]
    inside: Mask

    @property
    def empty(self) -> bool:
        """Whether no centre lies inside the raster."""
        return not self.inside.any()


_local = threading.local()


def cached_transformer(tile: Tile, source: OpenRaster) -> pyproj.Transformer:
    """Return the transformation from a tile's CRS to a raster's, cached for each thread."""
    cache: dict[tuple[str, str], pyproj.Transformer] = _local.__dict__.setdefault("transformers", {})
    key = (tile.crs, str(source.epsg) if source.epsg else source.crs.to_wkt())
    if key not in cache:
        cache[key] = pyproj.Transformer.from_crs(key[0], f"EPSG:{key[1]}" if source.epsg else key[1], always_xy=True)
    return cache[key]


def pixel_centres(tile: Tile) -> tuple[Array, Array]:
    """Return the easting of each column and the northing of each row of pixel centres, in units of the CRS."""
    west, step, _, north, _, _ = tile.geotransform
    middle = (np.arange(tile.size) + 0.5) * step
    return west + middle, north - middle


def has_pixels_of(tile: Tile, source: OpenRaster) -> bool:
    """Return whether a tile's pixels are pixels of a raster, so that nothing has to be resampled."""
    if not (source.has_crs(tile.crs) and source.upright):
        return False
    west, step, _, north, _, _ = tile.geotransform
    inverse = source.inverse
    scales = inverse.a * step, inverse.e * step
    corner = inverse.a * west + inverse.c, inverse.e * north + inverse.f
    return all(abs(abs(scale) - 1) < _SAME_SIZE for scale in scales) and all(
        abs(place - round(place)) < MAX_SHIFT for place in corner
    )


def aligned_corner(tile: Tile, source: OpenRaster) -> tuple[int, int] | None:
    """Return the raster's column and row at the tile's upper left corner, where its pixels are those of the raster.

    Returns:
        Whole numbers that may lie outside the raster; None where pixels differ or the raster is not north-up.
    """
    if not (source.has_crs(tile.crs) and source.upright):
        return None
    west, step, _, north, _, _ = tile.geotransform
    a, _, c, _, e, f = source.inverse[:6]
    if abs(a * step - 1) >= _SAME_SIZE or abs(e * step + 1) >= _SAME_SIZE:
        return None
    column, row = a * west + c, e * north + f
    whole = round(column), round(row)
    return whole if abs(column - whole[0]) < MAX_SHIFT and abs(row - whole[1]) < MAX_SHIFT else None


def pixel_index(tile: Tile, source: OpenRaster) -> PixelIndex:
    """Return the raster's pixel under each of the tile's pixel centres, cached for each thread."""
    cache: OrderedDict[object, PixelIndex] = _local.__dict__.setdefault("pixel_indices", OrderedDict())
    key = (tile.key, tile.size, source.epsg or source.crs.to_wkt(), source.transform, source.width, source.height)
    if key not in cache:
        cache[key] = _compute_pixel_index(tile, source)
        if len(cache) > 32:
            cache.popitem(last=False)
    return cache[key]


def source_coordinates(tile: Tile, source: OpenRaster, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Transform coordinates from a tile's CRS to a raster's; those that have no equivalent become inf or NaN.

    Longitudes are those nearest to the raster's centre, so that rasters beyond 180 degrees, and from 0 to 360, are read
    where they are.
    """
    if not source.has_crs(tile.crs):
        x, y = cached_transformer(tile, source).transform(x, y)
        if source.turn:
            with np.errstate(invalid="ignore"):
                x = x + source.turn * np.round((source.centre[0] - x) / source.turn)
    return x, y


def source_positions(tile: Tile, source: OpenRaster, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return columns and rows of points of a tile's CRS, in pixels from the raster's upper left corner."""
    x, y = source_coordinates(tile, source, x, y)
    inverse = source.inverse
    with np.errstate(invalid="ignore"):
        return inverse.a * x + inverse.b * y + inverse.c, inverse.d * x + inverse.e * y + inverse.f


def _compute_pixel_index(tile: Tile, source: OpenRaster) -> PixelIndex:
    x, y = pixel_centres(tile)
    if source.has_crs(tile.crs) and source.upright:
        inverse = source.inverse
        columns, rows = (inverse.a * x + inverse.c)[None, :], (inverse.e * y + inverse.f)[:, None]
    else:
        columns, rows = source_positions(tile, source, *np.meshgrid(x, y))
    with np.errstate(invalid="ignore"):
        inside = (
            (columns + _EDGE >= 0)
            & (columns + _EDGE < source.width)
            & (rows + _EDGE >= 0)
            & (rows + _EDGE < source.height)
        )
        rows = np.floor(np.nan_to_num(rows, nan=-1, posinf=-1, neginf=-1) + _EDGE).astype(np.intp)
        columns = np.floor(np.nan_to_num(columns, nan=-1, posinf=-1, neginf=-1) + _EDGE).astype(np.intp)
    return PixelIndex(rows, columns, np.broadcast_to(inside, (tile.size, tile.size)))
