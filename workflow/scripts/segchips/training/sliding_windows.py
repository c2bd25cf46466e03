"""A raster in overlapping windows, and the blended predictions of these, one row of windows after another.

What is kept in memory are two rows of windows; finished rows lie on disk, so that an interrupted call can go on.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.errors import RasterioError
from rasterio.windows import Window

from segchips.arrays import Array, Mask
from segchips.errors import InputError
from segchips.files import atomic_path

_BLOCK = 512
_NO_CLASS = 255


@dataclass(frozen=True)
class RasterWindows:
    """Square windows that cover a raster; those at its right and lower edges are moved back into it.

    Attributes:
        raster: The open raster.
        size: Pixels along a side of a window.
        stride: Pixels between the corners of neighbouring windows.
    """

    raster: Any
    size: int
    stride: int

    @classmethod
    @contextmanager
    def open(cls, path: Path, size: int, overlap: int) -> "Iterator[RasterWindows]":
        """Open a raster; InputError if it cannot be read, or the windows do not fit."""
        if not 0 <= overlap < size:
            raise InputError(f"overlap {overlap} does not fit windows of {size} pixels; give 0 to {size - 1}")
        try:
            raster = rasterio.open(path)
        except RasterioError as error:
            raise InputError(f"{path} cannot be read as a raster: {error.__cause__ or error}") from error
        with raster:
            if raster.height < size or raster.width < size:
                raise InputError(
                    f"{path} has {raster.width} x {raster.height} pixels, fewer than a window; lower size {size}"
                )
            yield cls(raster, size, size - overlap)

    def corners(self, length: int) -> list[int]:
        """The first pixels of the windows along a side of so many pixels."""
        last = length - self.size
        return sorted({*range(0, last, self.stride), last})

    @property
    def tops(self) -> list[int]:
        """The first row of each row of windows."""
        return self.corners(self.raster.height)

    def read(self, top: int, left: int) -> Array:
        """The pixels (height x width x bands) of a window."""
        window = Window(left, top, self.size, self.size)
        pixels: Array = self.raster.read(window=window).transpose(1, 2, 0)
        return pixels

    def valid(self, top: int, rows: int) -> Mask:
        """Which pixels (rows x width) of some rows are valid in every band."""
        masks = self.raster.read_masks(window=Window(0, top, self.raster.width, rows))
        valid: Mask = (masks != 0).all(axis=0)
        return valid

    @property
    def weights(self) -> Array:
        """The weight (size x size) of each pixel of a window: 1 in the middle, and little at the edges."""
        distance = np.minimum(np.arange(self.size), np.arange(self.size)[::-1]) + 1.0
        side = np.minimum(distance / max(1, self.size - self.stride), 1.0)
        return np.outer(side, side).astype(np.float32)


def _predict_row(windows: RasterWindows, top: int, apply: Callable[[Array], Array], batch: int) -> Array:
    """The weighted sum of probabilities (size x width x classes), with the sum of weights as a last class."""
    weights, lefts = windows.weights[..., None], windows.corners(windows.raster.width)
    total: Array | None = None
    for start in range(0, len(lefts), batch):
        group = lefts[start : start + batch]
        values = apply(np.stack([windows.read(top, left) for left in group]))
        if total is None:
            total = np.zeros((windows.size, windows.raster.width, values.shape[3] + 1), np.float32)
        for left, value in zip(group, values, strict=True):
            total[:, left : left + windows.size, :-1] += value * weights
            total[:, left : left + windows.size, -1:] += weights
    assert total is not None
    return total


def _row_file(windows: RasterWindows, number: int, apply: Callable[[Array], Array], folder: Path, batch: int) -> Array:
    """The sums of a row of windows, from the file of an earlier call or predicted and written to it."""
    path = folder / f"row-{number:06d}.npy"
    if not path.exists():
        row = _predict_row(windows, windows.tops[number], apply, batch)
        with atomic_path(path) as part, part.open("wb") as stream:
            np.save(stream, row)
    loaded: Array = np.load(path)
    return loaded


def _finished_rows(
    windows: RasterWindows, apply: Callable[[Array], Array], folder: Path, batch: int
) -> Iterator[tuple[int, Array]]:
    """Yield the first row and the probabilities (rows x width x classes) of rows that no later window changes."""
    tops, first = windows.tops, 0
    pending: Array | None = None
    for number, top in enumerate(tops):
        row = _row_file(windows, number, apply, folder, batch)
        if pending is not None:
            grown = np.zeros((top + windows.size - first, *row.shape[1:]), np.float32)
            grown[: len(pending)] = pending
            grown[top - first :] += row
            row = grown
        pending = row
        end = tops[number + 1] if number + 1 < len(tops) else top + windows.size
        done, pending = pending[: end - first], pending[end - first :]
        yield first, done[..., :-1] / done[..., -1:]
        first = end


def write_blended(
    windows: RasterWindows,
    apply: Callable[[Array], Array],
    folder: Path,
    path: Path,
    output: str,
    batch: int,
) -> None:
    """Predict over the windows of a raster and write the blended map as a cloud-optimised GeoTIFF.

    Args:
        windows: The windows.
        apply: Turns images (n x height x width x bands) into probabilities (n x height x width x classes).
        folder: Where the sums of finished rows of windows are kept.
        path: The file to write.
        output: "classes" or "probabilities".
        batch: The number of windows to predict at once.
    """
    raster, scratch = windows.raster, folder / "map.tif"
    profile = {"driver": "GTiff", "height": raster.height, "width": raster.width, "crs": raster.crs}
    profile |= {"transform": raster.transform, "tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK}
    target: Any = None
    try:
        for top, values in _finished_rows(windows, apply, folder, batch):
            valid = windows.valid(top, len(values))
            if output == "classes":
                bands: Array = np.where(valid, values.argmax(axis=2), _NO_CLASS).astype(np.uint8)[None]
            else:
                bands = np.where(valid[..., None], values, np.nan).astype(np.float32).transpose(2, 0, 1)
            if target is None:
                nodata = _NO_CLASS if output == "classes" else np.nan
                about = {"count": len(bands), "dtype": bands.dtype.name, "nodata": nodata, "bigtiff": "if_safer"}
                target = rasterio.open(scratch, "w", compress="lzw", **about, **profile)
            target.write(bands, window=Window(0, top, raster.width, bands.shape[1]))
    finally:
        if target is not None:
            target.close()
    with atomic_path(path) as part:
        options = {"compress": "deflate", "blocksize": _BLOCK, "overview_resampling": "nearest"}
        rasterio.shutil.copy(scratch, part, driver="COG", bigtiff="if_safer", **options)
