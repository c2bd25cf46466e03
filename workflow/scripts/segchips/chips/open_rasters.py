"""Open rasters, pooled and shared by the threads of a process."""

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache

import pyproj
import rasterio
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.env import ensure_env_with_credentials
from rasterio.io import DatasetReader
from rasterio.transform import Affine

from segchips.chips.remote_rasters import RemoteRaster
from segchips.scenes.georeference import crs_problem, georeference_problem, placed_grid
from segchips.scenes.placement import Placement

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
REMOTE_GDAL_OPTIONS = GDAL_OPTIONS | {"GDAL_CACHEMAX": 256 * 1024**2}
"""For scenes on servers: compressed blocks of these are kept in files, too, so that a smaller cache costs less."""
_Opened = tuple[str, int | None, Placement | None]
"""The address of an open raster, the number of its overview, and where its catalogue places it."""
_WEB_MERCATOR_TURN = 2 * math.pi * 6378137
_REMOTE_FORMATS = ["GTiff", "JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2MrSID", "HFA"]
"""GDAL drivers of files that hold their own pixels; a remote VRT could expose any file of this machine."""


class OpenRaster:
    """One open raster, with the properties that every tile needs.

    Args:
        address: A path, or a URL that GDAL reads.
        level: The overview to open in place of the full resolution, from 0.
        is_copy: Whether the path is that of a local copy of a remote TIFF file.
        placement: Where the raster lies, for a file that does not say it.

    Attributes:
        remote: The remote file of a copy.
        dtypes: The NumPy name of each band's data type.
        nodata: The nodata value of each band, or None.
        masked: Whether the file has a mask, of all bands or of each, or an alpha band.
        shadowed_alpha: The number of an alpha band that GDAL's masks do not show, because the bands have nodata values.
    """

    def __init__(
        self, address: str, level: int | None = None, is_copy: bool = False, placement: Placement | None = None
    ) -> None:
        self.remote: RemoteRaster | None = None
        options = {} if level is None else {"overview_level": level}
        with rasterio.Env(**GDAL_OPTIONS):
            if is_copy:
                self.dataset = _open_alone(address, ["GTiff"], options)
            elif "://" in address:
                self.dataset = ensure_env_with_credentials(_open_alone)(address, _REMOTE_FORMATS, options)
            else:
                self.dataset = rasterio.open(os.path.abspath(address), **options)
        placed = placed_grid(self.dataset, placement) if placement else None
        self._is_placed = placed is not None
        self.crs, self.transform = placed or (self.dataset.crs, self.dataset.transform)
        self.width, self.height = self.dataset.width, self.dataset.height
        self.dtypes, self.nodata = self.dataset.dtypes, self.dataset.nodatavals
        self._same_crs: dict[str, bool] = {}
        self.masked = any(
            MaskFlags.all_valid not in flags and (MaskFlags.per_dataset in flags or MaskFlags.nodata not in flags)
            for flags in self.dataset.mask_flag_enums
        )
        alpha = [number for number, name in enumerate(self.dataset.colorinterp, 1) if name == ColorInterp.alpha]
        self.shadowed_alpha = alpha[0] if alpha and not self.masked else None

    @property
    def says_what_is_valid(self) -> bool:
        """Whether the file has a mask or an alpha band."""
        return self.masked or self.shadowed_alpha is not None

    @cached_property
    def epsg(self) -> int | None:
        """The EPSG code of the CRS, or None where it has none."""
        return self.crs.to_epsg() if self.crs else None

    def has_crs(self, crs: str) -> bool:
        """Return whether the raster has this CRS, given as an authority and a code, such as `EPSG:2056`."""
        if crs not in self._same_crs:
            self._same_crs[crs] = bool(self.crs) and (
                f"EPSG:{self.epsg}" == crs or CRS.from_string(crs) == self.crs or _equal_crs(self.crs.to_wkt(), crs)
            )
        return self._same_crs[crs]

    @cached_property
    def turn(self) -> float | None:
        """What coordinates of the CRS change by along the equator once around the earth; None where that is not known.

        Longitudes of one place differ by turns: 15 W is -15 and 345.
        """
        if self.crs.is_geographic:
            return round(2 * math.pi / self.crs.units_factor[1], 9)
        return _WEB_MERCATOR_TURN if self.epsg == 3857 else None

    @cached_property
    def overview_factors(self) -> list[int]:
        """How many times larger the pixels of each overview are; empty unless all bands have the same.

        Also empty where the catalogue places the raster, for it does not say where overviews lie.
        """
        if self._is_placed:
            return []
        factors = {tuple(self.dataset.overviews(number)) for number in self.dataset.indexes}
        return list(factors.pop()) if len(factors) == 1 else []

    @cached_property
    def overview_method(self) -> str:
        """The resampling method of the overviews, such as `AVERAGE`, where the file says it; else empty."""
        written = self.dataset.tags().get("OVR_RESAMPLING_ALG")  # by rio-cogeo
        return str(written or self.dataset.tags(ns="IMAGE_STRUCTURE").get("OVERVIEW_RESAMPLING", "")).upper()

    @property
    def has_palette(self) -> bool:
        """Whether the pixels are numbers of colours, such as those of classes."""
        return ColorInterp.palette in self.dataset.colorinterp

    @cached_property
    def inverse(self) -> Affine:
        """The transformation from coordinates of the CRS to columns and rows."""
        return ~self.transform

    @property
    def centre(self) -> tuple[float, float]:
        """The coordinates of the raster's centre."""
        x, y = self.transform @ (self.width / 2, self.height / 2)
        return x, y

    @cached_property
    def unusable(self) -> str | None:
        """What keeps the raster from being read on a grid, and what to do; None where nothing does."""
        return crs_problem(self.crs.to_wkt()) if self._is_placed else georeference_problem(self.dataset)

    @property
    def upright(self) -> bool:
        """Whether rows and columns run along the axes of the CRS."""
        return self.transform.b == 0 and self.transform.d == 0


def horizontal_crs(wkt: str) -> pyproj.CRS:
    """Return a CRS without the heights of a compound one, such as that of elevation models."""
    crs = pyproj.CRS(wkt)
    return crs.sub_crs_list[0] if crs.is_compound else crs


@lru_cache(256)
def _equal_crs(wkt: str, crs: str) -> bool:
    """Return whether PROJ takes two CRSs for one where GDAL finds no code, as in WKT that ArcGIS has written."""
    return horizontal_crs(wkt).equals(pyproj.CRS(crs), ignore_axis_order=True)


def _open_alone(address: str, formats: list[str], options: dict[str, int]) -> DatasetReader:
    """Open a raster without looking for files beside it."""
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
        return DatasetReader(address, driver=formats, sharing=False, **options)


class DatasetPool:
    """Open rasters shared by all threads; each is used by one thread at a time.

    Args:
        limit: How many unused rasters stay open; the one unused for the longest time is closed first.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._idle: OrderedDict[int, tuple[_Opened, OpenRaster]] = OrderedDict()
        self._serials: dict[_Opened, list[int]] = {}
        self._lock = threading.Lock()
        self._serial = 0

    @contextmanager
    def acquire(
        self, address: str, level: int | None = None, is_copy: bool = False, placement: Placement | None = None
    ) -> Iterator[OpenRaster]:
        """Use the raster at an address, or one of its overviews, opened where no open one is unused.

        A new signature makes a new address.
        """
        opened = address, level, placement
        source = self._take(opened) or OpenRaster(address, level, is_copy, placement)
        try:
            yield source
        except BaseException:
            source.dataset.close()
            raise
        self._release(opened, source)

    def _take(self, opened: _Opened) -> OpenRaster | None:
        with self._lock:
            idle = self._serials.get(opened)
            return self._idle.pop(idle.pop())[1] if idle else None

    def _release(self, opened: _Opened, source: OpenRaster) -> None:
        closed = None
        with self._lock:
            self._serial += 1
            self._idle[self._serial] = (opened, source)
            self._serials.setdefault(opened, []).append(self._serial)
            if len(self._idle) > self._limit:
                serial, (oldest, closed) = self._idle.popitem(last=False)
                self._serials[oldest].remove(serial)
        if closed:
            closed.dataset.close()
