"""Mode resampling: each tile pixel takes the value that covers the largest part of its area.

GDAL's own mode depends on its release: before 3.11 it counts source pixels, later it weighs them by the area covered,
and which of several equal values it takes depends on the orientation of the raster.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segchips.arrays import Floats, Ints, Mask, MaskedPixels, Pixels
from segchips.chips.open_rasters import OpenRaster
from segchips.chips.pixel_index import source_positions
from segchips.grids.tile import Tile

_STEP_BITS = 20
"""Extents are whole steps of 2**-20 source pixels: areas add up without rounding, so ties are ties on every machine."""


@dataclass(frozen=True)
class PixelExtents:
    """The part of a raster that each tile pixel covers, an upright rectangle; each edge is size x size, in steps."""

    left: Ints
    right: Ints
    top: Ints
    bottom: Ints


def pixel_extents(tile: Tile, source: OpenRaster) -> PixelExtents:
    """Project a tile's pixels into a raster.

    A pixel that is not upright there becomes the upright rectangle with its centre and with sides of the length that
    the pixel's own sides have, so that rotation keeps its area.

    Args:
        tile: The tile whose pixels are projected.
        source: The raster they are projected into.

    Returns:
        The extents, counted from the raster's upper left corner; a pixel that cannot be projected is empty.
    """
    west, step, _, north, _, _ = tile.geotransform
    edges = np.arange(tile.size + 1) * step
    columns, rows = source_positions(tile, source, *np.meshgrid(west + edges, north - edges))
    with np.errstate(invalid="ignore"):
        return PixelExtents(*_extent(columns), *_extent(rows))


def _extent(corners: Floats) -> tuple[Ints, Ints]:
    """Lowest and highest coordinate of each pixel along one axis, from those of the corners."""
    upper_left, upper_right = corners[:-1, :-1], corners[:-1, 1:]
    lower_left, lower_right = corners[1:, :-1], corners[1:, 1:]
    centre = (upper_left + upper_right + lower_left + lower_right) / 4
    along_row = (upper_right - upper_left + lower_right - lower_left) / 2
    along_column = (lower_left - upper_left + lower_right - upper_right) / 2
    half = np.hypot(along_row, along_column) / 2
    low, high = (np.rint(np.ldexp(edge, _STEP_BITS)) for edge in (centre - half, centre + half))
    finite = np.isfinite(low) & np.isfinite(high)
    return np.where(finite, low, 0).astype(np.int64), np.where(finite, high, 0).astype(np.int64)


def resample_mode(pixels: Pixels, valid: Mask, extents: PixelExtents, origin: tuple[int, int]) -> MaskedPixels:
    """Take the value that covers the largest part of each tile pixel; of several equal ones the smallest.

    Args:
        pixels: A window of the raster (band, row, column).
        valid: Which of them are valid; others cover nothing.
        extents: What each tile pixel covers, in the whole raster.
        origin: Row and column of the window's upper left pixel.

    Returns:
        Pixels (band, row, column) of the tile in the dtype of `pixels`, and which have any valid value.
    """
    size = extents.left.shape[0]
    result = np.zeros((len(pixels), size, size), pixels.dtype)
    covered = np.zeros(result.shape, bool)
    for row in range(size):
        rows, heights = _overlaps(extents.top[row], extents.bottom[row], origin[0], pixels.shape[1])
        columns, widths = _overlaps(extents.left[row], extents.right[row], origin[1], pixels.shape[2])
        place = rows[:, :, None], columns[:, None, :]
        area = heights[:, :, None] * widths[:, None, :]
        for band in range(len(pixels)):
            weights = np.where(valid[band][place], area, 0).reshape(size, -1)
            result[band, row], largest = _weighted_mode(pixels[band][place].reshape(size, -1), weights)
            covered[band, row] = largest > 0
    return result, covered


def _overlaps(low: Ints, high: Ints, origin: int, length: int) -> tuple[npt.NDArray[np.intp], Ints]:
    """Along one axis: the window's pixels that each extent meets, and the steps of each that it covers."""
    low, high = (np.clip(edge - (origin << _STEP_BITS), 0, length << _STEP_BITS) for edge in (low, high))
    first = low >> _STEP_BITS
    most = int((((high - 1) >> _STEP_BITS) - first).max()) + 1
    places = first[:, None] + np.arange(max(1, most))
    start = np.maximum(low[:, None], places << _STEP_BITS)
    stop = np.minimum(high[:, None], (places + 1) << _STEP_BITS)
    return np.minimum(places, length - 1), np.maximum(stop - start, 0)


def _weighted_mode(values: Pixels, weights: Ints) -> tuple[Pixels, Ints]:
    """In each row, the value whose weights have the largest sum, the smallest of several such, and that sum."""
    order = np.argsort(values, axis=1, kind="stable")
    values, weights = np.take_along_axis(values, order, 1), np.take_along_axis(weights, order, 1)
    total = np.cumsum(weights, axis=1)
    starts = np.ones(values.shape, bool)
    starts[:, 1:] = values[:, 1:] != values[:, :-1]
    before = np.maximum.accumulate(np.where(starts, total - weights, 0), axis=1)
    best = np.argmax(total - before, axis=1)[:, None]
    return np.take_along_axis(values, best, 1)[:, 0], np.take_along_axis(total - before, best, 1)[:, 0]
