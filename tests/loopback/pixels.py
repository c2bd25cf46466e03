"""The pixels of images on a requested grid; nothing here comes from the library under test."""

import json
import struct
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import rasterio
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.warp import reproject, transform_bounds
from rasterio.windows import Window, from_bounds

from loopback.images import DATA_TYPES, BandSource, Image

Array = npt.NDArray[Any]
DTYPES = {name: dtype for dtype, name in DATA_TYPES.items()}
RESAMPLING = {
    name: name for name in ("bilinear", "cubic", "lanczos", "average", "mode", "max", "min", "med", "q1", "q3")
}
RESAMPLING |= {"cubicspline": "cubic_spline", "cubicsplice": "cubic_spline"}
EDGE = 1e-6  # a centre on the edge of two source pixels belongs to the right and lower one
_exclusive = threading.Lock()


@dataclass(frozen=True)
class Frame:
    """A north-up grid."""

    crs: str
    west: float
    north: float
    step: float
    width: int
    height: int

    @staticmethod
    def problem(request: dict[str, Any]) -> str | None:
        """Why a request describes no grid; None where it does."""
        if not request.get("outputBounds") or not request.get("srs"):
            return "outputBounds and srs are required"
        if not request.get("resolution") and not request.get("outsize"):
            return "resolution or outsize is required"
        west, south, east, north = request["outputBounds"]
        return None if west < east and south < north else "outputBounds must be west, south, east, north"

    @classmethod
    def from_request(cls, request: dict[str, Any]) -> "Frame":
        """The grid of a request: bounds and CRS with a resolution, or with a size into which the bounds fit."""
        west, south, east, north = (float(value) for value in request["outputBounds"])
        if request.get("resolution"):
            step = float(request["resolution"])
        else:
            step = max((east - west) / request["outsize"][0], (north - south) / request["outsize"][1])
        return cls(request["srs"], west, north, step, round((east - west) / step), round((north - south) / step))

    @property
    def transform(self) -> Affine:
        return Affine(self.step, 0, self.west, 0, -self.step, self.north)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        return (
            self.west,
            self.north - self.height * self.step,
            self.west + self.width * self.step,
            self.north,
        )


class RasterPool:
    """Open rasters, each used by one thread at a time; beyond the limit the one unused for longest is closed."""

    def __init__(self, limit: int = 128) -> None:
        self._idle: OrderedDict[int, tuple[str, Any]] = OrderedDict()
        self._lock, self._limit = threading.Lock(), limit

    @contextmanager
    def acquire(self, path: str) -> Iterator[Any]:
        with self._lock:
            number = next((number for number, (name, _) in reversed(self._idle.items()) if name == path), None)
            file = self._idle.pop(number)[1] if number is not None else None
        file = file or rasterio.open(path)
        yield file
        with self._lock:
            self._idle[id(file)] = path, file
            closed = self._idle.popitem(last=False)[1][1] if len(self._idle) > self._limit else None
        if closed:
            closed.close()


RASTERS = RasterPool()


def mosaic(
    images: Sequence[Image],
    bands: Sequence[str],
    frame: Frame,
    resampling: str | None,
    dtype: npt.DTypeLike,
    mask_alpha: bool,
) -> tuple[Array, Array]:
    """Pixels (band, row, column) and where they are masked; the last image lies on top, band by band.

    With `mask_alpha`, an image is transparent where its last band is 0.
    """
    pixels = np.zeros((len(bands), frame.height, frame.width), dtype)
    masked = np.ones(pixels.shape, bool)
    for image in reversed(images):
        if masked.any():
            data, valid = _stack(image, bands, frame, resampling)
            valid = valid & (data[-1] != 0) if mask_alpha else valid
            visible = valid & masked
            pixels[visible] = to_dtype(data, dtype)[visible]
            masked &= ~valid
    return pixels, masked


def _stack(image: Image, bands: Sequence[str], frame: Frame, resampling: str | None) -> tuple[Array, Array]:
    read = _nearest if resampling in (None, "near", "nearest") else _warped
    parts = [read(image.sources[band], frame, resampling or "near") for band in bands]
    for number, band in enumerate(bands):
        if image.sources[band].alpha:
            valid = parts[number][1]
            parts[number] = valid.astype("u1"), np.ones_like(valid)
    return np.stack([data for data, _ in parts]), np.stack([valid for _, valid in parts])


def _nearest(source: BandSource, frame: Frame, _: str) -> tuple[Array, Array]:
    """The source pixel under the centre of each pixel of the frame."""
    with RASTERS.acquire(source.path) as file:
        rows, columns, inside = _pixel_index(frame, file.crs.wkt, file.transform, file.width, file.height)
        if not inside.any():
            return np.zeros(inside.shape, file.dtypes[source.index - 1]), inside
        left, top = int(columns[inside].min()), int(rows[inside].min())
        window = Window(left, top, int(columns[inside].max()) - left + 1, int(rows[inside].max()) - top + 1)
        data, valid = _read(file, source, window)
    rows, columns = np.where(inside, rows - top, 0), np.where(inside, columns - left, 0)
    return data[rows, columns], valid[rows, columns] & inside


@lru_cache(maxsize=256)
def _pixel_index(frame: Frame, crs: str, transform: Affine, width: int, height: int) -> tuple[Array, Array, Array]:
    """Rows and columns of a raster under the frame's pixel centres, and which lie inside it."""
    x, y = np.meshgrid(
        frame.west + (np.arange(frame.width) + 0.5) * frame.step,
        frame.north - (np.arange(frame.height) + 0.5) * frame.step,
    )
    with _exclusive:
        x, y = _transformer(frame.crs, crs).transform(x, y)
    inverse = ~transform
    columns = np.floor(inverse.a * x + inverse.b * y + inverse.c + EDGE).astype(int)
    rows = np.floor(inverse.d * x + inverse.e * y + inverse.f + EDGE).astype(int)
    return rows, columns, (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)


@lru_cache(maxsize=64)
def _transformer(source: str, target: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


def _read(file: Any, source: BandSource, window: Window) -> tuple[Array, Array]:
    data = file.read(source.index, window=window, masked=True)
    valid = ~np.ma.getmaskarray(data)
    if source.nodata is not None:
        valid &= data.data != source.nodata
    return data.data, valid & np.isfinite(data.data)


def _warped(source: BandSource, frame: Frame, resampling: str) -> tuple[Array, Array]:
    """GDAL's warp of the valid pixels, rounded half up where the band holds integers."""
    with RASTERS.acquire(source.path) as file:
        dtype = np.dtype(file.dtypes[source.index - 1])
        bounds = transform_bounds(frame.crs, file.crs, *frame.bounds)
        reach = 8 * max(1.0, (bounds[2] - bounds[0]) / frame.width / file.transform.a)
        near = from_bounds(*bounds, transform=file.transform)
        left, top = max(0, int(near.col_off - reach)), max(0, int(near.row_off - reach))
        right = min(file.width, int(near.col_off + near.width + reach) + 1)
        bottom = min(file.height, int(near.row_off + near.height + reach) + 1)
        warped = np.full((frame.height, frame.width), np.nan)
        if left < right and top < bottom:
            window = Window(left, top, right - left, bottom - top)
            data, valid = _read(file, source, window)
            reproject(
                np.where(valid, data, np.nan).astype("f8"),
                warped,
                src_transform=file.window_transform(window),
                src_crs=file.crs,
                src_nodata=np.nan,
                dst_transform=frame.transform,
                dst_crs=frame.crs,
                dst_nodata=np.nan,
                resampling=Resampling[RESAMPLING[resampling]],
            )
    valid = ~np.isnan(warped)
    return to_dtype(np.where(valid, warped, 0), dtype), valid


def to_dtype(data: Array, dtype: npt.DTypeLike) -> Array:
    """Convert numbers to a data type; to integers with rounding half up and clipping."""
    target = np.dtype(dtype)
    if data.dtype == target:
        return data
    if target.kind not in "iu":
        return data.astype(target)
    limits = np.iinfo(target)
    whole = np.floor(data + 0.5) if data.dtype.kind == "f" else data.astype("i8")
    return np.clip(whole, limits.min, limits.max).astype(target)


def largest_value(dtype: npt.DTypeLike) -> float:
    """The largest number of a data type."""
    return float(np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else np.finfo(dtype).max)


def encode(pixels: Array, masked: Array) -> bytes:
    """The response body: a line of metadata, a line about the array, then one chunk per band."""
    array = {"shape": pixels.shape, "dtype": pixels.dtype.name, "chunks": len(pixels)}
    parts = [_line({"driverShortName": "MEM"}), _line(array)]
    for number, (band, mask) in enumerate(zip(pixels, masked, strict=True)):
        parts += [_line({"offset": [number, 0, 0], "shape": [1, *band.shape]}), blosc(band), blosc(mask)]
    return b"".join(parts)


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode() + b"\n"


def blosc(array: Array) -> bytes:
    """A blosc buffer of uncompressed bytes: the header, then the data."""
    raw = np.ascontiguousarray(array).tobytes()
    return struct.pack("<BBBBIII", 2, 1, 0x02, array.itemsize, len(raw), len(raw), len(raw) + 16) + raw
