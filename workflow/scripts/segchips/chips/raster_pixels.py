"""Pixels of one open raster on a tile's grid: nearest and mode by arithmetic, other resampling by GDAL's warper."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.warp import reproject
from rasterio.windows import Window
from rasterio.windows import transform as window_transform

from segchips.arrays import Mask, MaskedPixels, Pixels
from segchips.chips.mode_resampling import pixel_extents, resample_mode
from segchips.chips.nodata import any_nodata
from segchips.chips.open_rasters import OpenRaster
from segchips.chips.pixel_index import PixelIndex, aligned_corner, has_pixels_of, pixel_index
from segchips.chips.source_window import source_window, turn_of_raster
from segchips.config.imagery import Nodata
from segchips.grids.tile import Tile
from segchips.scenes.model import Band

Convert = Callable[[Pixels, Mask], Pixels]
"""Returns other values for those of a file and which of them are valid."""


def read_pixels(
    source: OpenRaster,
    bands: Sequence[Band],
    tile: Tile,
    resampling: str,
    nodata: Nodata | None,
    convert: Convert | None = None,
) -> MaskedPixels:
    """Read bands of an open raster on a tile's padded grid.

    Args:
        source: The raster.
        bands: The bands, of this raster.
        tile: The tile.
        resampling: The name of a GDAL resampling method.
        nodata: Replaces the nodata values that catalogue and file declare.
        convert: Returns other values for those of the file and which of them are valid, before any are mixed.

    Returns:
        Pixels (band, row, column) in the raster's dtype, or that of `convert`, and which of them are valid.
    """
    if resampling == "nearest" or has_pixels_of(tile, source):
        pixels, valid = read_nearest(source, bands, tile, nodata)
        return (convert(pixels, valid) if convert else pixels), valid
    return _read_warped(source, bands, tile, resampling, nodata, convert)


def read_nearest(source: OpenRaster, bands: Sequence[Band], tile: Tile, nodata: Nodata | None) -> MaskedPixels:
    """Read the pixel under the centre of each pixel of a tile; as `read_pixels`."""
    if corner := aligned_corner(tile, source):
        return _read_aligned(source, bands, tile.size, corner, nodata)
    index = pixel_index(tile, source)
    shape = (len(bands), tile.size, tile.size)
    if index.empty:
        return np.zeros(shape, _stored_dtype(source, bands)), np.zeros(shape, bool)
    rows, columns = np.clip(index.rows, 0, source.height - 1), np.clip(index.columns, 0, source.width - 1)
    if source.turn and columns.shape == index.inside.shape and np.ptp(columns[index.inside]) > source.width // 2:
        return _read_across_seam(source, bands, index, nodata)
    return _read_at(source, bands, rows, columns, index.inside, nodata)


def _read_aligned(
    source: OpenRaster, bands: Sequence[Band], size: int, corner: tuple[int, int], nodata: Nodata | None
) -> MaskedPixels:
    """Read pixels of a tile that are pixels of the raster, from the raster's column and row at the tile's corner."""
    column, row = corner
    left, right = max(column, 0), min(column + size, source.width)
    top, bottom = max(row, 0), min(row + size, source.height)
    if left >= right or top >= bottom:
        shape = (len(bands), size, size)
        return np.zeros(shape, _stored_dtype(source, bands)), np.zeros(shape, bool)
    data, valid = _read_window(source, bands, Window(left, top, right - left, bottom - top), nodata)
    if data.shape[1:] == (size, size):
        return data, valid
    margins = ((0, 0), (top - row, row + size - bottom), (left - column, column + size - right))
    return np.pad(data, margins, "edge"), np.pad(valid, margins)


def _read_across_seam(
    source: OpenRaster, bands: Sequence[Band], index: PixelIndex, nodata: Nodata | None
) -> MaskedPixels:
    """Read both ends of a raster that goes around the earth, for a tile on which they meet."""
    rows, columns = (np.broadcast_to(axis, index.inside.shape) for axis in (index.rows, index.columns))
    shape = (len(bands), *index.inside.shape)
    pixels, valid = np.zeros(shape, _stored_dtype(source, bands)), np.zeros(shape, bool)
    for half in (columns < source.width // 2, columns >= source.width // 2):
        here = half & index.inside
        pixels[:, here], valid[:, here] = _read_at(source, bands, rows[here], columns[here], here[here], nodata)
    return pixels, valid


def _read_at(
    source: OpenRaster, bands: Sequence[Band], rows: Any, columns: Any, inside: Mask, nodata: Nodata | None
) -> MaskedPixels:
    """Read the pixels at these rows and columns, through the window around all of them."""
    top, left = int(rows.min()), int(columns.min())
    window = Window(left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1)
    data, valid = _read_window(source, bands, window, nodata)
    rows, columns = rows - top, columns - left
    return data[:, rows, columns], valid[:, rows, columns] & inside


def _read_window(source: OpenRaster, bands: Sequence[Band], window: Window, nodata: Nodata | None) -> MaskedPixels:
    """Pixels of a window as stored, and which are valid: not nodata, not masked, finite."""
    indexes = [band.index for band in bands]
    if source.remote:
        also = [source.shadowed_alpha] if source.shadowed_alpha else []
        source.remote.fetch([*indexes, *also], window, source.masked)
    if len({source.dtypes[index - 1] for index in indexes}) == 1:
        data = source.dataset.read(indexes, window=window)
    else:  # which GDAL reads one by one
        dtype = _stored_dtype(source, bands)
        data = np.stack([source.dataset.read(index, window=window) for index in indexes]).astype(dtype)
    valid = ~_equal_nodata(source, bands, data, nodata)
    if source.masked:
        valid &= source.dataset.read_masks(indexes, window=window) != 0
    if source.shadowed_alpha:
        alpha = source.dataset.read(source.shadowed_alpha, window=window) != 0
        valid &= alpha | (np.array(indexes) == source.shadowed_alpha)[:, None, None]
    if data.dtype.kind == "f":
        valid &= np.isfinite(data)
    return data, valid


def _equal_nodata(source: OpenRaster, bands: Sequence[Band], data: Pixels, nodata: Nodata | None) -> Mask:
    """Which values of bands equal nodata, in the shape of `data`."""
    if nodata is not None:
        equal = any_nodata(data, [nodata.value])
        return np.broadcast_to(equal.all(axis=0), data.shape) if nodata.when == "all" else equal
    declared = [declared_nodata(source, band) for band in bands]
    if all(values == declared[0] for values in declared):
        return any_nodata(data, declared[0])
    return np.stack([any_nodata(values, of_band) for values, of_band in zip(data, declared, strict=True)])


def _stored_dtype(source: OpenRaster, bands: Sequence[Band]) -> np.dtype[Any]:
    """The common dtype of some bands of a raster."""
    return np.result_type(*(source.dtypes[band.index - 1] for band in bands))


def declared_nodata(source: OpenRaster, band: Band) -> list[float]:
    """Return the nodata values of catalogue and file; where both, and masks, are silent, that of the collection."""
    declared = [value for value in (band.nodata, source.nodata[band.index - 1]) if value is not None]
    known = [] if declared or band.known_nodata is None or source.says_what_is_valid else [band.known_nodata]
    return declared or known


def _read_warped(
    source: OpenRaster,
    bands: Sequence[Band],
    tile: Tile,
    resampling: str,
    nodata: Nodata | None,
    convert: Convert | None,
) -> MaskedPixels:
    """Resample the window under the tile over valid pixels: mode by area, others by GDAL to 1/8 of a source pixel."""
    size = tile.size
    window = source_window(source, tile, resampling)
    if window is None:
        dtype = _stored_dtype(source, bands)
        return np.zeros((len(bands), size, size), dtype), np.zeros((len(bands), size, size), bool)
    data, valid = _read_window(source, bands, window, nodata)
    if convert:
        data = convert(data, valid)
    if resampling == "mode":
        return resample_mode(data, valid, pixel_extents(tile, source), (window.row_off, window.col_off))
    transform = Affine.translation(turn_of_raster(tile, source), 0) @ window_transform(window, source.transform)
    source_values = np.where(valid, data, np.nan).astype(np.float64)
    warped = np.full((len(bands), size, size), np.nan)
    for number in range(len(bands)):
        reproject(
            source_values[number],
            warped[number],
            src_transform=transform,
            src_crs=source.crs,
            src_nodata=np.nan,
            dst_transform=Affine.from_gdal(*tile.geotransform),
            dst_crs=CRS.from_string(tile.crs),
            dst_nodata=np.nan,
            resampling=Resampling[resampling],
        )
    valid = ~np.isnan(warped)
    if np.issubdtype(data.dtype, np.integer):
        limits = np.iinfo(data.dtype)
        warped = np.clip(np.floor(np.where(valid, warped, 0) + 0.5), limits.min, limits.max)
    return warped.astype(data.dtype), valid
