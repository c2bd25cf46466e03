"""Reading a scene's bands on a tile's grid: handles kept open, nearest by arithmetic, the rest by GDAL's warper."""

import math
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.enums import MaskFlags, Resampling
from rasterio.env import ensure_env_with_credentials
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.transform import Affine
from rasterio.warp import reproject
from rasterio.windows import Window

from segchips.errors import SceneError
from segchips.grid import Tile
from segchips.scenes import Band

Pixels = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

GDAL_OPTIONS = {
    "GDAL_CACHEMAX": 512 * 1024**2,
    "CPL_VSIL_CURL_CACHE_SIZE": str(128 * 1024**2),
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "1",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
    "GDAL_HTTP_CONNECTTIMEOUT": "60",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1",
    "GDAL_HTTP_LOW_SPEED_TIME": "60",
    "GDAL_TIFF_INTERNAL_MASK": "YES",
}
_REMOTE_FORMATS = ["GTiff", "JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2MrSID", "HFA"]
"""Those that hold their own pixels; a VRT under the name of a GeoTIFF could show any file of this machine."""
_KERNEL_RADIUS = {"bilinear": 1, "cubic": 2, "cubic_spline": 2, "lanczos": 3}
# A pixel centre on the edge of two source pixels belongs to the one right of and below it, whatever the last bit says.
_EDGE = 1e-6


class Source:
    """One open raster with what is asked of it for every tile."""

    def __init__(self, href: str) -> None:
        with rasterio.Env(**GDAL_OPTIONS):
            self.dataset = (
                ensure_env_with_credentials(_open_remote)(href)
                if "://" in href
                else rasterio.open(os.path.abspath(href))
            )
        self.crs: CRS = self.dataset.crs
        self.transform: Affine = self.dataset.transform
        self.width, self.height = self.dataset.width, self.dataset.height
        self.masked = any(
            MaskFlags.per_dataset in flags and MaskFlags.all_valid not in flags
            for flags in self.dataset.mask_flag_enums
        )

    @cached_property
    def epsg(self) -> int | None:
        """The EPSG code, where the CRS has one."""
        return self.crs.to_epsg() if self.crs else None

    @property
    def upright(self) -> bool:
        """Whether rows and columns run along the axes."""
        return self.transform.b == 0 and self.transform.d == 0


def _open_remote(href: str) -> DatasetReader:
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
        return DatasetReader(href, driver=_REMOTE_FORMATS, sharing=False)


class Handles:
    """Open rasters shared by all threads: one is lent to one thread at a time, the longest unused is closed first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._idle: OrderedDict[int, tuple[str, Source]] = OrderedDict()
        self._by_address: dict[str, list[int]] = {}
        self._lock = threading.Lock()
        self._serial = 0

    @contextmanager
    def lend(self, address: str) -> Iterator[Source]:
        """Lend the raster at an address, opened where none is idle; a new signature makes a new address."""
        source = self._take(address) or Source(address)
        try:
            yield source
        except BaseException:
            source.dataset.close()
            raise
        self._give_back(address, source)

    def _take(self, address: str) -> Source | None:
        with self._lock:
            idle = self._by_address.get(address)
            return self._idle.pop(idle.pop())[1] if idle else None

    def _give_back(self, address: str, source: Source) -> None:
        closed = None
        with self._lock:
            self._serial += 1
            self._idle[self._serial] = (address, source)
            self._by_address.setdefault(address, []).append(self._serial)
            if len(self._idle) > self._limit:
                serial, (oldest, closed) = self._idle.popitem(last=False)
                self._by_address[oldest].remove(serial)
        if closed:
            closed.dataset.close()


@dataclass(frozen=True)
class Footing:
    """Where a tile's pixel centres fall in a raster: indices of rows and columns and which lie inside it."""

    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]
    inside: Mask

    @property
    def empty(self) -> bool:
        """Whether no centre lies inside."""
        return not self.inside.any()


_local = threading.local()


def _transformer(tile: Tile, source: Source) -> pyproj.Transformer:
    cache: dict[tuple[str, str], pyproj.Transformer] = _local.__dict__.setdefault("transformers", {})
    key = (tile.crs, str(source.epsg) if source.epsg else source.crs.to_wkt())
    if key not in cache:
        cache[key] = pyproj.Transformer.from_crs(key[0], f"EPSG:{key[1]}" if source.epsg else key[1], always_xy=True)
    return cache[key]


def centres(tile: Tile) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Easting of each column and northing of each row of pixel centres, in metres."""
    west, step, _, north, _, _ = tile.geotransform
    middle = (np.arange(tile.grid.size) + 0.5) * step
    return west + middle, north - middle


def footing(tile: Tile, source: Source) -> Footing:
    """The raster's pixel under each of the tile's pixel centres; arrays broadcast to size x size."""
    cache: OrderedDict[object, Footing] = _local.__dict__.setdefault("footings", OrderedDict())
    key = (tile.key, source.epsg or source.crs.to_wkt(), source.transform, source.width, source.height)
    if key not in cache:
        cache[key] = _footing(tile, source)
        if len(cache) > 32:
            cache.popitem(last=False)
    return cache[key]


def _footing(tile: Tile, source: Source) -> Footing:
    x, y = centres(tile)
    inverse = ~source.transform
    same = source.epsg is not None and f"EPSG:{source.epsg}" == tile.crs
    if same and source.upright:
        columns, rows = (inverse.a * x + inverse.c)[None, :], (inverse.e * y + inverse.f)[:, None]
    else:
        x, y = np.meshgrid(x, y)
        if not same:
            x, y = _transformer(tile, source).transform(x, y)
        columns, rows = inverse.a * x + inverse.b * y + inverse.c, inverse.d * x + inverse.e * y + inverse.f
    with np.errstate(invalid="ignore"):
        inside = (
            (columns + _EDGE >= 0)
            & (columns + _EDGE < source.width)
            & (rows + _EDGE >= 0)
            & (rows + _EDGE < source.height)
        )
        rows = np.floor(np.nan_to_num(rows, nan=-1, posinf=-1, neginf=-1) + _EDGE).astype(np.intp)
        columns = np.floor(np.nan_to_num(columns, nan=-1, posinf=-1, neginf=-1) + _EDGE).astype(np.intp)
    return Footing(rows, columns, np.broadcast_to(inside, (tile.grid.size, tile.grid.size)))


class Reader:
    """Reads bands on tile grids through a pool of open handles; `sign` turns an address into one that may be read."""

    def __init__(self, limit: int, sign: Callable[[str], str] | None = None) -> None:
        self._handles = Handles(limit)
        self._sign = sign

    def read(
        self, bands: Sequence[Band], tile: Tile, resampling: str, nodata: float | None = None
    ) -> tuple[Pixels, Mask]:
        """Pixels (band, row, column) in the scene's dtype and which of them are valid; `nodata` overrides the scene's.

        SceneError names the file that cannot be read.
        """
        parts: list[tuple[Pixels, Mask]] = []
        start = 0
        while start < len(bands):
            stop = start + 1
            while stop < len(bands) and bands[stop].href == bands[start].href:
                stop += 1
            parts.append(self._read_file(bands[start:stop], tile, resampling, nodata))
            start = stop
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([data for data, _ in parts]), np.concatenate([valid for _, valid in parts])

    def read_raw(self, band: Band, tile: Tile) -> tuple[Pixels, Mask]:
        """A mask band's values (row, column), nearest, and which pixels the raster covers, nodata or not."""
        with self._open([band]) as source:
            place = footing(tile, source)
            return _nearest(source, [band], tile, None)[0][0], place.inside

    def describe(self, bands: Sequence[Band]) -> tuple[np.dtype[Any], float | None]:
        """The common dtype of bands, and the nodata value that the first file with one declares."""
        dtypes, nodata = [], []
        for band in bands:
            with self._open([band]) as source:
                dtypes.append(source.dataset.dtypes[band.index - 1])
                nodata.append(source.dataset.nodatavals[band.index - 1])
        return np.result_type(*dtypes), next((value for value in nodata if value is not None), None)

    def _read_file(
        self, bands: Sequence[Band], tile: Tile, resampling: str, nodata: float | None
    ) -> tuple[Pixels, Mask]:
        with self._open(bands) as source:
            if resampling == "nearest":
                return _nearest(source, bands, tile, nodata)
            return _warped(source, bands, tile, resampling, nodata)

    @contextmanager
    def _open(self, bands: Sequence[Band]) -> Iterator[Source]:
        href = bands[0].href
        try:
            with self._handles.lend(self._sign(href) if self._sign else href) as source:
                _check_source(source, bands, href)
                yield source
        except (RasterioError, CPLE_BaseError) as error:
            reason = _public(str(error.__cause__ or error))
            raise SceneError(
                f"{href}: cannot be read ({reason}); repair it, or take its scene out of the catalogue and resolve"
            ) from error


def _public(text: str) -> str:
    """A message without the query part of an address, which may be signed."""
    return re.sub(r"\?\S*", "", text.splitlines()[0])


def _check_source(source: Source, bands: Sequence[Band], href: str) -> None:
    if not source.crs or source.transform.is_identity:
        raise SceneError(f"{href}: has no georeference; a scene needs a CRS and a geotransform")
    highest = max(band.index for band in bands)
    if highest > source.dataset.count:
        raise SceneError(f"{href}: has {source.dataset.count} bands, but its catalogue promises band {highest}")


def _nearest(source: Source, bands: Sequence[Band], tile: Tile, nodata: float | None) -> tuple[Pixels, Mask]:
    place = footing(tile, source)
    shape = (len(bands), tile.grid.size, tile.grid.size)
    if place.empty:
        return np.zeros(shape, source.dataset.dtypes[bands[0].index - 1]), np.zeros(shape, bool)
    rows, columns = np.clip(place.rows, 0, source.height - 1), np.clip(place.columns, 0, source.width - 1)
    top, left = int(rows.min()), int(columns.min())
    data, valid = _window(
        source, bands, Window(left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1), nodata
    )
    rows, columns = rows - top, columns - left
    return data[:, rows, columns], valid[:, rows, columns] & place.inside


def _window(source: Source, bands: Sequence[Band], window: Window, nodata: float | None) -> tuple[Pixels, Mask]:
    """A window of the raster as it is stored, and its valid pixels: not nodata, not masked, not NaN or infinite."""
    indexes = [band.index for band in bands]
    data = source.dataset.read(indexes, window=window)
    valid = source.dataset.read_masks(indexes, window=window) != 0 if source.masked else np.ones(data.shape, bool)
    for number, band in enumerate(bands):
        declared = next(
            (v for v in (nodata, band.nodata, source.dataset.nodatavals[band.index - 1]) if v is not None), None
        )
        if declared is not None and not math.isnan(declared):
            valid[number] &= data[number] != declared
    if np.issubdtype(data.dtype, np.floating):
        valid &= np.isfinite(data)
    return data, valid


def _warped(
    source: Source, bands: Sequence[Band], tile: Tile, resampling: str, nodata: float | None
) -> tuple[Pixels, Mask]:
    """GDAL's warp, true to 1/8 of a source pixel, of the window under the tile, over valid pixels only."""
    size, dtype = tile.grid.size, source.dataset.dtypes[bands[0].index - 1]
    window = _source_window(source, tile, resampling)
    if window is None:
        return np.zeros((len(bands), size, size), dtype), np.zeros((len(bands), size, size), bool)
    data, valid = _window(source, bands, window, nodata)
    loose = np.where(valid, data, np.nan).astype(np.float64)
    warped = np.full((len(bands), size, size), np.nan)
    for number in range(len(bands)):
        reproject(
            loose[number],
            warped[number],
            src_transform=source.dataset.window_transform(window),
            src_crs=source.crs,
            src_nodata=np.nan,
            dst_transform=Affine.from_gdal(*tile.geotransform),
            dst_crs=CRS.from_string(tile.crs),
            dst_nodata=np.nan,
            resampling=Resampling[resampling],
        )
    valid = ~np.isnan(warped)
    if np.issubdtype(np.dtype(dtype), np.integer):
        limits = np.iinfo(dtype)
        warped = np.clip(np.floor(np.where(valid, warped, 0) + 0.5), limits.min, limits.max)
    return warped.astype(dtype), valid


def _source_window(source: Source, tile: Tile, resampling: str) -> Window | None:
    """The raster's window that the kernel can reach from the tile, or None where they do not meet."""
    west, south, east, north = tile.bounds
    edge = np.linspace(0, 1, 33)
    along, zero = west + edge * (east - west), np.zeros_like(edge)
    up = south + edge * (north - south)
    x = np.concatenate([along, along, zero + west, zero + east])
    y = np.concatenate([zero + south, zero + north, up, up])
    if f"EPSG:{source.epsg}" != tile.crs:
        x, y = _transformer(tile, source).transform(x, y)
    inverse = ~source.transform
    columns, rows = inverse.a * x + inverse.b * y + inverse.c, inverse.d * x + inverse.e * y + inverse.f
    if not (np.isfinite(columns).all() and np.isfinite(rows).all()):
        return None
    radius = _KERNEL_RADIUS.get(resampling, 1)
    reach = [math.ceil(radius * max(1.0, np.ptp(axis) / tile.grid.size)) + 2 for axis in (columns, rows)]
    left, right = max(0, math.floor(columns.min()) - reach[0]), min(source.width, math.ceil(columns.max()) + reach[0])
    top, bottom = max(0, math.floor(rows.min()) - reach[1]), min(source.height, math.ceil(rows.max()) + reach[1])
    return Window(left, top, right - left, bottom - top) if left < right and top < bottom else None
