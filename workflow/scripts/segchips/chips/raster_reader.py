"""Bands of raster files read on tile grids: nearest and mode by arithmetic, other resampling by GDAL's warper."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.warp import reproject
from rasterio.windows import Window

from segchips.arrays import Mask, MaskedPixels, Pixels
from segchips.chips.mode_resampling import pixel_extents, resample_mode
from segchips.chips.nodata import any_nodata, is_nodata
from segchips.chips.open_rasters import DatasetPool, OpenRaster
from segchips.chips.overviews import is_like, overview_level
from segchips.chips.pixel_index import PixelIndex, aligned_corner, has_pixels_of, pixel_index
from segchips.chips.raster_checks import check_pinned, check_source
from segchips.chips.remote_rasters import PlannedRead, RemoteRaster, fetch_parts, is_on_http, open_copies
from segchips.chips.source_window import source_window, turn_of_raster
from segchips.config.imagery import Nodata
from segchips.errors import SceneError, redact_library_message
from segchips.grids.tile import Tile
from segchips.remote.byte_ranges import ByteRange
from segchips.remote.fetcher import Address
from segchips.remote.remote_files import remote_files
from segchips.scenes.model import Band
from segchips.scenes.signing import strip_signature

_NONE = Nodata(math.nan)
"""Lets no value but NaN count as nodata."""
Convert = Callable[[Pixels, Mask], Pixels]


@dataclass(frozen=True)
class RasterHeader:
    """What a file declares of its bands.

    Attributes:
        count: How many bands it has, without an alpha band.
        scales: Physical units of one step of each band's value.
        offsets: The physical value of each band's 0.
    """

    count: int
    scales: Sequence[float]
    offsets: Sequence[float]


class RasterReader:
    """Reads bands of raster files on tile grids, and keeps the files open.

    Args:
        limit: How many unused files stay open.
        sign: Returns the URL to read a URL from, with a signature.
        patience: Seconds that a part of a remote file may take in total, including waits and retries.
    """

    def __init__(self, limit: int, sign: Callable[[str], str] | None = None, patience: float = 300) -> None:
        self._pool = DatasetPool(limit)
        self._sign, self._patience = sign, patience

    def prefetch(self, reads: Iterable[tuple[Sequence[Band], str]], tile: Tile, overviews: bool | None = False) -> None:
        """Fetch at once what several reads need of remote files.

        What cannot be fetched is left to the read that needs it, which raises the error.

        Args:
            reads: The bands and the resampling method of each read.
            tile: The tile on whose padded grid they are read.
            overviews: As in `read`.
        """
        files = [
            (list(group), resampling)
            for bands, resampling in reads
            for href, group in groupby(bands, key=lambda band: band.href)
            if is_on_http(href)
        ]
        with suppress(SceneError), remote_files():
            with suppress(SceneError):
                open_copies({self._address(bands[0].href) for bands, _ in files})
            parts: dict[Address, list[ByteRange]] = {}
            for bands, resampling in files:
                how = bands, tile, resampling, overviews
                with suppress(SceneError), self._open(bands) as full, self._coarsest(full, *how) as source:
                    if source.remote:
                        parts.setdefault(source.remote.address, []).extend(
                            _planned_ranges(source, source.remote, bands, tile, resampling)
                        )
            fetch_parts(parts)

    def read(
        self,
        bands: Sequence[Band],
        tile: Tile,
        resampling: str,
        nodata: Nodata | None = None,
        convert: Convert | None = None,
        overviews: bool | None = False,
    ) -> MaskedPixels:
        """Read bands of one scene.

        Args:
            bands: The bands, of one file or several.
            tile: The tile on whose padded grid they are read.
            resampling: The name of a GDAL resampling method.
            nodata: Replaces the nodata values that catalogue and file declare.
            convert: Returns other values for those of a file and which of them are valid, before any are mixed.
            overviews: Whether overviews are read where the tile's pixels are larger than the file's; None leaves it to
                the resampling method.

        Returns:
            Pixels (band, row, column) in the files' dtype, or that of `convert`, and which of them are valid.

        Raises:
            SceneError: A file cannot be read; the message names it.
        """
        files = [list(group) for _, group in groupby(bands, key=lambda band: band.href)]
        if len(files) == 1:
            return self._read_file(files[0], tile, resampling, nodata, convert, overviews)
        across_files = nodata is not None and nodata.when == "all"
        if across_files and resampling != "nearest":
            raise SceneError(
                f"{bands[0].href}: nodata with 'when: all' compares bands of several files, which only resampling "
                "'nearest' can do; choose it, or a file that holds all bands"
            )
        rule = _NONE if across_files else nodata
        parts = [self._read_file(group, tile, resampling, rule, convert, overviews) for group in files]
        valid = np.concatenate([valid for _, valid in parts])
        if nodata is not None and across_files:
            valid &= ~np.concatenate([is_nodata(data, nodata.value) for data, _ in parts]).all(axis=0)
        return np.concatenate([data for data, _ in parts]), valid

    def read_mask(
        self, band: Band, tile: Tile, is_measured: bool = False, overviews: bool | None = False
    ) -> MaskedPixels:
        """Read a mask band, nearest: values (row, column), and where the raster covers the tile and is not masked.

        Values that equal nodata count; where the band `is_measured`, such as in percent, only 0, which may be a value.
        """
        with self._open([band]) as full, self._coarsest(full, [band], tile, "nearest", overviews) as source:
            values, covered = _read_nearest(source, [band], tile, _NONE)
            if is_measured:
                covered &= ~any_nodata(values, [value for value in _declared_nodata(source, band) if value])
            return values[0], covered[0]

    def describe(self, bands: Sequence[Band]) -> tuple[np.dtype[Any], float | None]:
        """Return the common dtype of the bands, and the first nodata value that a file declares, or None.

        Where neither catalogue nor file declares one, the value that the collection is known to use counts.
        """
        dtypes, nodata = [], []
        for band in bands:
            with self._open([band]) as source:
                dtypes.append(source.dataset.dtypes[band.index - 1])
                declared = source.dataset.nodatavals[band.index - 1]
                nodata.append(next(iter(_declared_nodata(source, band)), None) if band.nodata is None else declared)
        return np.result_type(*dtypes), next((value for value in nodata if value is not None), None)

    def colour(self, band: Band) -> str:
        """Return the colour that a file declares for a band, such as `red` or `undefined`."""
        with self._open([band]) as source:
            return str(source.dataset.colorinterp[band.index - 1].name)

    def header(self, band: Band) -> RasterHeader:
        """Return what the file of a band declares of all its bands; SceneError where it cannot be read."""
        with self._open([band]) as source:
            colours = source.dataset.colorinterp
            count = source.dataset.count - (len(colours) > 1 and colours[-1] == ColorInterp.alpha)
            scales = [scale if math.isfinite(scale) and scale else 1.0 for scale in source.dataset.scales]
            offsets = [offset if math.isfinite(offset) else 0.0 for offset in source.dataset.offsets]
            return RasterHeader(count, scales, offsets)

    def layout(self, band: Band) -> tuple[CRS, Affine, int]:
        """Return CRS, geotransform and pixels of a file's shorter side; SceneError where that cannot be read."""
        with self._open([band]) as source:
            return source.crs, source.transform, min(source.width, source.height)

    def _read_file(
        self,
        bands: Sequence[Band],
        tile: Tile,
        resampling: str,
        nodata: Nodata | None,
        convert: Convert | None,
        overviews: bool | None,
    ) -> MaskedPixels:
        with self._open(bands) as full:
            check_pinned(full, bands)
            with self._coarsest(full, bands, tile, resampling, overviews) as source:
                return _read_source(source, bands, tile, resampling, nodata, convert)

    @contextmanager
    def _coarsest(
        self, full: OpenRaster, bands: Sequence[Band], tile: Tile, resampling: str, overviews: bool | None
    ) -> Iterator[OpenRaster]:
        """Open the overview of a file that is read for a tile; the file itself where that is read."""
        level = overview_level(full, tile, resampling, overviews)
        if level is None:
            yield full
            return
        with self._open(bands, level) as overview:
            yield overview if is_like(overview, full) else full

    @contextmanager
    def _open(self, bands: Sequence[Band], level: int | None = None) -> Iterator[OpenRaster]:
        href = bands[0].href
        try:
            with self._acquire(href, level) as source:
                check_source(source, bands)
                yield source
        except (RasterioError, CPLE_BaseError) as error:
            reason = redact_library_message(str(error.__cause__ or error))
            raise SceneError(
                f"{href}: cannot be read ({reason}); repair it, or take its scene out of the catalogue and resolve"
            ) from error

    @contextmanager
    def _acquire(self, href: str, level: int | None) -> Iterator[OpenRaster]:
        if not is_on_http(href):
            with self._pool.acquire(self._sign(href) if self._sign else href, level) as source:
                yield source
            return
        address = self._address(href)
        with remote_files():
            copy = open_copies([address])[address.name]
            path = str(copy.path) if copy.layout else address.url
            with self._pool.acquire(path, level, is_copy=copy.layout is not None) as source:
                source.remote = (
                    RemoteRaster(address, copy.layout, (source.height, source.width)) if copy.layout else None
                )
                yield source

    def _address(self, href: str) -> Address:
        return Address(strip_signature(href), self._sign(href) if self._sign else href, self._patience)


def _planned_ranges(
    source: OpenRaster, remote: RemoteRaster, bands: Sequence[Band], tile: Tile, resampling: str
) -> list[ByteRange]:
    """The bytes that a read needs: it ends where it would fetch them, which is before the pixels are read."""
    ranges: list[ByteRange] = []
    remote.planned = ranges
    try:
        _read_source(source, bands, tile, resampling, None)
    except PlannedRead:
        return ranges
    finally:
        remote.planned = None
    return []


def _read_source(
    source: OpenRaster,
    bands: Sequence[Band],
    tile: Tile,
    resampling: str,
    nodata: Nodata | None,
    convert: Convert | None = None,
) -> MaskedPixels:
    if resampling == "nearest" or has_pixels_of(tile, source):
        pixels, valid = _read_nearest(source, bands, tile, nodata)
        return (convert(pixels, valid) if convert else pixels), valid
    return _read_warped(source, bands, tile, resampling, nodata, convert)


def _read_nearest(source: OpenRaster, bands: Sequence[Band], tile: Tile, nodata: Nodata | None) -> MaskedPixels:
    if corner := aligned_corner(tile, source):
        return _read_aligned(source, bands, tile.size, corner, nodata)
    index = pixel_index(tile, source)
    shape = (len(bands), tile.size, tile.size)
    if index.empty:
        return np.zeros(shape, source.dataset.dtypes[bands[0].index - 1]), np.zeros(shape, bool)
    rows, columns = np.clip(index.rows, 0, source.height - 1), np.clip(index.columns, 0, source.width - 1)
    if source.turn and columns.shape == index.inside.shape and np.ptp(columns[index.inside]) > source.width // 2:
        return _read_across_seam(source, bands, index, nodata)
    return _read_pixels(source, bands, rows, columns, index.inside, nodata)


def _read_aligned(
    source: OpenRaster, bands: Sequence[Band], size: int, corner: tuple[int, int], nodata: Nodata | None
) -> MaskedPixels:
    """Read pixels of a tile that are pixels of the raster, from the raster's column and row at the tile's corner."""
    column, row = corner
    left, right = max(column, 0), min(column + size, source.width)
    top, bottom = max(row, 0), min(row + size, source.height)
    if left >= right or top >= bottom:
        shape = (len(bands), size, size)
        return np.zeros(shape, source.dataset.dtypes[bands[0].index - 1]), np.zeros(shape, bool)
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
    pixels, valid = np.zeros(shape, source.dataset.dtypes[bands[0].index - 1]), np.zeros(shape, bool)
    for half in (columns < source.width // 2, columns >= source.width // 2):
        here = half & index.inside
        pixels[:, here], valid[:, here] = _read_pixels(source, bands, rows[here], columns[here], here[here], nodata)
    return pixels, valid


def _read_pixels(
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
    data = source.dataset.read(indexes, window=window)
    valid = source.dataset.read_masks(indexes, window=window) != 0 if source.masked else np.ones(data.shape, bool)
    if nodata is None:
        for number, band in enumerate(bands):
            valid[number] &= ~any_nodata(data[number], _declared_nodata(source, band))
    else:
        equal = any_nodata(data, [nodata.value])
        valid &= ~(equal.all(axis=0) if nodata.when == "all" else equal)
    if source.shadowed_alpha:
        alpha = source.dataset.read(source.shadowed_alpha, window=window) != 0
        valid &= alpha | (np.array(indexes) == source.shadowed_alpha)[:, None, None]
    if np.issubdtype(data.dtype, np.floating):
        valid &= np.isfinite(data)
    return data, valid


def _declared_nodata(source: OpenRaster, band: Band) -> list[float]:
    """The nodata values of catalogue and file; where both, and masks, are silent, that of the collection."""
    declared = [value for value in (band.nodata, source.dataset.nodatavals[band.index - 1]) if value is not None]
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
        dtype = source.dataset.dtypes[bands[0].index - 1]
        return np.zeros((len(bands), size, size), dtype), np.zeros((len(bands), size, size), bool)
    data, valid = _read_window(source, bands, window, nodata)
    if convert:
        data = convert(data, valid)
    if resampling == "mode":
        return resample_mode(data, valid, pixel_extents(tile, source), (window.row_off, window.col_off))
    transform = Affine.translation(turn_of_raster(tile, source), 0) @ source.dataset.window_transform(window)
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
