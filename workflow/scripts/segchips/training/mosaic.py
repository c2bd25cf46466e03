"""Predictions as georeferenced rasters, in which each pixel comes from the tile whose core box it lies in."""

import math
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError, RasterioIOError
from rasterio.transform import Affine
from rasterio.windows import Window

from segchips.arrays import Array
from segchips.errors import InputError, StorageError
from segchips.files import atomic_path, storage_errors
from segchips.training.prediction_spool import BLOCK, Spool, SpooledChip, piece_corners, single_predictions


def _blocks(pieces: Sequence[SpooledChip], corners: Sequence[tuple[int, int]]) -> dict[tuple[int, int], list[int]]:
    """The positions of the pieces that intersect each block, by row and column of the block."""
    blocks: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, (piece, (top, left)) in enumerate(zip(pieces, corners, strict=True)):
        margin = piece.margin
        for row in range((top - margin) // BLOCK, (top + piece.height + margin - 1) // BLOCK + 1):
            for column in range((left - margin) // BLOCK, (left + piece.width + margin - 1) // BLOCK + 1):
                blocks[row, column].append(number)
    return blocks


def paste(block: Array, corner: tuple[int, int], values: Array, at: tuple[int, int], add: bool = False) -> None:
    """Copy the values that lie in the block into it, or add them.

    Args:
        block: The block, bands x rows x columns.
        corner: Row and column of the block.
        values: The values, bands x rows x columns.
        at: Row and column of the values.
        add: Whether values are added to those that are there.
    """
    (top, left), (row, column) = at, corner
    first, start = max(top, row), max(left, column)
    last, end = min(top + values.shape[1], row + block.shape[1]), min(left + values.shape[2], column + block.shape[2])
    if first < last and start < end:
        inside = np.s_[:, first - row : last - row, start - column : end - column]
        cut = values[:, first - top : last - top, start - left : end - left]
        block[inside] = block[inside] + cut if add else cut


@dataclass(frozen=True)
class Mosaic:
    """A mosaic of the predictions of one CRS and pixel size, and the scratch folder beside it."""

    path: Path
    folder: Path
    spool: Spool
    crs: str
    step: tuple[float, float]
    nodata: float

    @cached_property
    def pieces(self) -> list[SpooledChip]:
        """The predictions."""
        return self.spool.pieces[self.crs, self.step]

    @cached_property
    def _corner(self) -> tuple[float, float]:
        return min(piece.west for piece in self.pieces), max(piece.north for piece in self.pieces)

    @cached_property
    def places(self) -> list[tuple[int, int]]:
        """Row and column of each prediction, without its margin."""
        return piece_corners(self.pieces, self.step, *self._corner)

    @property
    def bands(self) -> int:
        """The number of bands."""
        return self.spool.bands

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the pixels."""
        return self.spool.dtype

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Bands, rows and columns."""
        ends = [(r + p.height, c + p.width) for p, (r, c) in zip(self.pieces, self.places, strict=True)]
        return self.bands, max(end for end, _ in ends), max(end for _, end in ends)

    @property
    def profile(self) -> dict[str, Any]:
        """The profile of the file, as rasterio takes it."""
        (west, north), (count, height, width), (across, down) = self._corner, self.shape, self.step
        layout = {"height": height, "width": width, "count": count, "dtype": self.dtype, "nodata": self.nodata}
        return {**layout, "crs": self.crs, "transform": Affine(across, 0, west, 0, -down, north)}

    def blocks(self) -> Iterator[tuple[Window, Array]]:
        """Yield window and pixels of the blocks that have predictions, row by row."""
        for (row, column), numbers in sorted(_blocks(self.pieces, self.places).items()):
            top, left = row * BLOCK, column * BLOCK
            size = min(BLOCK, self.shape[1] - top), min(BLOCK, self.shape[2] - left)
            if min(row, column) >= 0 and min(size) > 0:  # margins reach beyond the map
                yield Window(left, top, size[1], size[0]), self.block((top, left), size, numbers)

    def block(self, corner: tuple[int, int], size: tuple[int, int], numbers: Sequence[int]) -> Array:
        """The pixels of a block.

        Args:
            corner: Its row and column.
            size: Its rows and columns.
            numbers: The predictions that intersect it.
        """
        block = np.full((self.bands, *size), self.nodata, self.dtype)
        for number in numbers:
            paste(block, corner, self.spool.read(self.pieces[number]), self.places[number])
        for number in numbers:
            if middle := self.pieces[number].middle:
                inner = slice(middle[0], sum(middle))
                place = self.places[number][0] + middle[0], self.places[number][1] + middle[0]
                paste(block, corner, self.spool.read(self.pieces[number])[:, inner, inner], place)
        return block

    def write(self) -> None:
        """Write the file, block by block, as a cloud-optimised GeoTIFF; StorageError if the disk is full."""
        unchecked = self.folder / "mosaic.tif"
        with atomic_path(self.path) as part:
            try:
                self._make(self.folder / "blocks.tif", unchecked)
                self._check(unchecked)
            except (RasterioError, CPLE_BaseError) as error:
                with storage_errors(self.path, self.folder / "probe"):
                    _probe(self.folder / "probe", sum(2 * block.nbytes for _, block in self.blocks()))
                raise StorageError(f"{self.path}: cannot be written ({error.__cause__ or error})") from error
            os.replace(unchecked, part)

    def _make(self, blocks: Path, mosaic: Path) -> None:
        tiling = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "sparse_ok": True, "bigtiff": "if_safer"}
        plain = {"compress": "lzw", "alpha": "no"}  # else GDAL takes the last of four bands of 8 bits for alpha
        with rasterio.open(blocks, "w", driver="GTiff", **plain, **tiling, **self.profile) as target:
            for window, block in self.blocks():
                target.write(block, window=window)
        options = {"compress": "deflate", "blocksize": BLOCK, "overview_resampling": "nearest", "sparse_ok": True}
        rasterio.shutil.copy(blocks, mosaic, driver="COG", bigtiff="if_safer", **options)

    def _check(self, mosaic: Path) -> None:
        """Raise RasterioIOError if pixels are missing: GDAL does not report errors of writing when it closes a file."""
        with rasterio.open(mosaic) as source:
            for window, block in self.blocks():
                if not np.array_equal(source.read(window=window), block, equal_nan=True):
                    raise RasterioIOError(f"a part of {window} is lost")
            levels = range(len(source.overviews(1)))
        for level in levels:
            with rasterio.open(mosaic, overview_level=level) as source:
                for _, window in source.block_windows():
                    source.read(window=window)


def _probe(path: Path, size: int) -> None:
    """Write so many bytes, for an OSError that says why it is impossible, which GDAL does not say."""
    noise = os.urandom(2**20)
    with path.open("wb", buffering=0) as stream:
        for _ in range(0, size + len(noise), len(noise)):
            stream.write(noise)


@contextmanager
def scratch(path: Path) -> Iterator[tuple[Path, FileIO]]:
    """A temporary folder beside the path, and an open file in it."""
    folder = path.with_name(f".{path.name}.{os.getpid()}.parts")
    try:
        with storage_errors(path, folder / "spool"):
            folder.mkdir(parents=True, exist_ok=True)
            stream = FileIO(folder / "spool", "w+")
        with stream:
            yield folder, stream
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def grid_paths(path: Path, grids: Sequence[tuple[str, tuple[float, float]]]) -> list[Path]:
    """The path, or one for each grid with the CRS in its name, and the pixel size if the CRS occurs twice."""
    if len(grids) == 1:
        return [path]
    names = [crs if len(crs) < 20 else f"crs_{number}" for number, (crs, _) in enumerate(grids)]
    sizes = [f"_{step[0]:g}" if names.count(name) > 1 else "" for name, (_, step) in zip(names, grids, strict=True)]
    plain = (name.lower().replace(":", "_") + size for name, size in zip(names, sizes, strict=True))
    return [path.with_name(f"{path.stem}_{name}{path.suffix}") for name in plain]


def _default_nodata(dtype: np.dtype[Any]) -> float:
    if dtype.kind == "f":
        return math.nan
    limits = np.iinfo(f"{dtype.kind}{min(dtype.itemsize, 4)}")
    return int(limits.max if dtype.kind == "u" else limits.min)


def mosaic(predictions: Iterable[tuple[Any, Any]], path: str | Path, nodata: float | None = None) -> list[Path]:
    """Write predictions as cloud-optimised GeoTIFFs, one for each CRS.

    Padding is cut off, so that each pixel comes from the tile whose core box it lies in; of tiles that overlap besides
    their padding, from the one in whose middle it lies. Chips made elsewhere have no padding; where they overlap, the
    later one wins. Nothing is resampled. Predictions are kept on disk, not in memory.

    Args:
        predictions: Pairs of identifier and array, or of batches of them. Identifiers are those of `segchips.load` and
            `segchips.Chips`. Arrays are height x width, height x width x bands, or steps x height x width x bands;
            PyTorch tensors have bands before height. Of a coarser layer, they may have its size.
        path: The file to write. For several CRS, their names are added: `<path>_epsg_32633.tif`.
        nodata: The value of pixels without prediction; by default NaN, the largest unsigned or the smallest signed
            integer of the dtype, of 32 bits at most.

    Returns:
        The paths of the files.

    Raises:
        InputError: There are no predictions, or a chip has no location, is off the grid or unlike the others.
        StorageError: A file cannot be written.
    """
    path = Path(path)
    with scratch(path) as (folder, stream):
        spool = Spool(path, stream)
        for name, bands in single_predictions(predictions):
            spool.add(name, bands)
        if not spool.pieces:
            raise InputError(f"there are no predictions to write to {path}; an iterator gives them only once")
        grids = sorted(spool.pieces)
        paths = grid_paths(path, grids)
        value = _default_nodata(spool.dtype) if nodata is None else nodata
        for file, (crs, step) in zip(paths, grids, strict=True):
            Mosaic(file, folder, spool, crs, step, value).write()
    return paths
