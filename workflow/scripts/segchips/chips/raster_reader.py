"""Bands of raster files read on tile grids; files stay open, and parts of remote ones are fetched."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.transform import Affine

from segchips.arrays import MaskedPixels
from segchips.chips.nodata import any_nodata, is_nodata
from segchips.chips.open_rasters import DatasetPool, OpenRaster
from segchips.chips.overviews import is_like, overview_level
from segchips.chips.raster_checks import check_pinned, check_source
from segchips.chips.raster_pixels import Convert, declared_nodata, read_nearest, read_pixels
from segchips.chips.remote_rasters import PlannedRead, RemoteRaster, fetch_parts, is_on_http, open_copies
from segchips.config.imagery import Nodata
from segchips.errors import SceneError, redact_library_message
from segchips.grids.tile import Tile
from segchips.remote.fetcher import Address
from segchips.remote.remote_files import remote_files
from segchips.remote.tiff_layout import WindowRead
from segchips.scenes.model import Band, file_scaling
from segchips.scenes.signing import strip_signature

_NONE = Nodata(math.nan)
"""Lets no value but NaN count as nodata."""


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
            parts: dict[Address, list[WindowRead]] = {}
            for bands, resampling in files:
                how = bands, tile, resampling, overviews
                with suppress(SceneError), self._open(bands) as full, self._coarsest(full, *how) as source:
                    if source.remote:
                        parts.setdefault(source.remote.address, []).extend(
                            _planned_reads(source, source.remote, bands, tile, resampling)
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
            values, covered = read_nearest(source, [band], tile, _NONE)
            if is_measured:
                covered &= ~any_nodata(values, [value for value in declared_nodata(source, band) if value])
            return values[0], covered[0]

    def describe(self, bands: Sequence[Band]) -> tuple[np.dtype[Any], float | None]:
        """Return the common dtype of the bands, and the first nodata value that a file declares, or None.

        Where neither catalogue nor file declares one, the value that the collection is known to use counts.
        """
        dtypes, nodata = [], []
        for band in bands:
            with self._open([band]) as source:
                dtypes.append(source.dtypes[band.index - 1])
                declared = source.nodata[band.index - 1]
                nodata.append(next(iter(declared_nodata(source, band)), None) if band.nodata is None else declared)
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
            pairs = map(file_scaling, source.dataset.scales, source.dataset.offsets)
            scales, offsets = zip(*pairs, strict=True)
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
                return read_pixels(source, bands, tile, resampling, nodata, convert)

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
            with self._acquire(bands[0], level) as source:
                check_source(source, bands)
                yield source
        except (RasterioError, CPLE_BaseError) as error:
            reason = redact_library_message(str(error.__cause__ or error))
            raise SceneError(
                f"{href}: cannot be read ({reason}); repair it, or take its scene out of the catalogue and resolve"
            ) from error

    @contextmanager
    def _acquire(self, band: Band, level: int | None) -> Iterator[OpenRaster]:
        href, placement = band.href, band.placement
        if not is_on_http(href):
            with self._pool.acquire(self._sign(href) if self._sign else href, level, placement=placement) as source:
                yield source
            return
        address = self._address(href)
        with remote_files():
            copy = open_copies([address])[address.name]
            path = str(copy.path) if copy.shapes else address.url
            with self._pool.acquire(path, level, bool(copy.shapes), placement) as source:
                shape = source.height, source.width
                source.remote = RemoteRaster(address, copy.shapes, shape) if copy.shapes else None
                yield source

    def _address(self, href: str) -> Address:
        return Address(strip_signature(href), self._sign(href) if self._sign else href, self._patience)


def _planned_reads(
    source: OpenRaster, remote: RemoteRaster, bands: Sequence[Band], tile: Tile, resampling: str
) -> list[WindowRead]:
    """What a read needs of a remote file: it ends where it would fetch them, which is before the pixels are read."""
    reads: list[WindowRead] = []
    remote.planned = reads
    try:
        read_pixels(source, bands, tile, resampling, None)
    except PlannedRead:
        return reads
    finally:
        remote.planned = None
    return []
