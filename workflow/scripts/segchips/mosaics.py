"""Predictions written back as georeferenced rasters: each pixel from the tile whose core holds it."""

import json
import math
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError, RasterioIOError
from rasterio.transform import Affine
from rasterio.windows import Window

from segchips.errors import InputError, StorageError
from segchips.files import storing, whole
from segchips.grid import Tile

Array = NDArray[Any]
BLOCK = 512
"""Pixels along the side of a mosaic's blocks."""
_OFF = 1e-3
"""The share of a pixel by which a chip may lie off the mosaic's grid."""


@dataclass(frozen=True)
class _Place:
    """Where a chip lies: CRS, west and north edge, a pixel's width and height, and the padding of a tile of `size`."""

    crs: str
    west: float
    north: float
    step: tuple[float, float]
    pad: int = 0
    size: int | None = None


@dataclass(frozen=True)
class _Piece:
    """A chip without padding in the spool, its corner in metres and its size in pixels."""

    offset: int
    west: float
    north: float
    height: int
    width: int


def _place(identifier: str) -> _Place:
    """From a tile key, or from `name|geotransform|crs`; InputError where neither tells a place."""
    if "|" not in identifier:
        tile = Tile.from_name(identifier)
        west, across, _, north, _, down = tile.geotransform
        return _Place(tile.crs, west, north, (across, -down), tile.grid.pad, tile.grid.size)
    name, transform, crs = identifier.rsplit("|", 2)
    with suppress(ValueError, TypeError):
        west, across, right, north, below, down = json.loads(transform)
        if crs and (right, below) == (0, 0) and across > 0 > down:
            return _Place(crs, west, north, (across, -down))
    raise InputError(f"chip {name} has no CRS and upright geotransform ({crs or 'no CRS'}, {transform}); leave it out")


def _plain(value: Any) -> Any:
    """A tensor of TensorFlow or PyTorch as numpy's, anything else as it is."""
    value = value.detach().cpu() if hasattr(value, "detach") else value
    return value.numpy() if hasattr(value, "numpy") else value


def _text(identifier: Any) -> str:
    return identifier.decode() if isinstance(identifier, bytes) else str(identifier)


def _singles(predictions: Iterable[tuple[Any, Any]]) -> Iterator[tuple[str, Array]]:
    """Identifier and prediction (bands x height x width) of each chip, whether they come alone or in batches."""
    for identifiers, arrays in predictions:
        last = not hasattr(arrays, "detach")
        names, values = _plain(identifiers), np.asarray(_plain(arrays))
        alone = isinstance(names, (str, bytes)) or np.ndim(names) == 0
        for name, array in zip([names] if alone else names, values[None] if alone else values, strict=True):
            if array.ndim not in (2, 3):
                raise InputError(f"the prediction of {_text(name)} has shape {array.shape}; it is a plane or several")
            bands = array[None] if array.ndim == 2 else array.transpose(2, 0, 1) if last else array
            yield _text(name), bands.astype({"b1": "u1", "f2": "f4"}.get(array.dtype.str[1:], array.dtype))


class _Spool:
    """The predictions on disk, until all of them are known."""

    def __init__(self, path: Path, stream: FileIO) -> None:
        self._path, self._stream, self._end = path, stream, 0
        self.pieces: dict[tuple[str, tuple[float, float]], list[_Piece]] = defaultdict(list)
        self.bands = 0
        self.dtype = np.dtype(np.uint8)

    def add(self, name: str, bands: Array) -> None:
        """Keep a prediction without its padding; InputError where it differs from the others or from its tile."""
        place, shape = _place(name), bands.shape
        if not self._end:
            self.bands, self.dtype = shape[0], bands.dtype
        if (shape[0], bands.dtype) != (self.bands, self.dtype):
            raise InputError(
                f"the prediction of {name} has {shape[0]} bands of {bands.dtype}, others {self.bands} of {self.dtype}"
            )
        if place.size and shape[1:] != (place.size, place.size):
            size = f"{shape[1]} x {shape[2]} pixels, its tile {place.size}"
            raise InputError(f"the prediction of {name} has {size}; predict chips as they are, padding on")
        core = np.ascontiguousarray(bands[:, place.pad : shape[1] - place.pad, place.pad : shape[2] - place.pad])
        west, north = place.west + place.pad * place.step[0], place.north - place.pad * place.step[1]
        self.pieces[place.crs, place.step].append(_Piece(self._end, west, north, *core.shape[1:]))
        left = core.data.cast("B")
        with storing(self._path, self._path):
            while left:
                left = left[self._stream.write(left) :]
        self._end += core.nbytes

    def read(self, piece: _Piece) -> Array:
        """A prediction that was added: bands x height x width."""
        shape = self.bands, piece.height, piece.width
        self._stream.seek(piece.offset)
        return np.frombuffer(self._stream.read(math.prod(shape) * self.dtype.itemsize), self.dtype).reshape(shape)


def _corners(pieces: Sequence[_Piece], step: tuple[float, float], west: float, north: float) -> list[tuple[int, int]]:
    """Each piece's first row and column; InputError where one lies between pixels."""
    corners = []
    for piece in pieces:
        down, right = (north - piece.north) / step[1], (piece.west - west) / step[0]
        corners.append((round(down), round(right)))
        if max(abs(down - round(down)), abs(right - round(right))) > _OFF:
            raise InputError(f"the chip at {piece.west}, {piece.north} lies off the grid of the others; leave it out")
    return corners


def _blocks(pieces: Sequence[_Piece], corners: Sequence[tuple[int, int]]) -> dict[tuple[int, int], list[int]]:
    """By row and column of a block, the pieces that reach into it."""
    found: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, (piece, (top, left)) in enumerate(zip(pieces, corners, strict=True)):
        for row in range(top // BLOCK, (top + piece.height - 1) // BLOCK + 1):
            for column in range(left // BLOCK, (left + piece.width - 1) // BLOCK + 1):
                found[row, column].append(number)
    return found


def _paste(block: Array, corner: tuple[int, int], values: Array, at: tuple[int, int]) -> None:
    """Put the part of the values that falls into the block there; both corners are rows and columns of the mosaic."""
    (top, left), (row, column) = at, corner
    first, start = max(top, row), max(left, column)
    last, end = min(top + values.shape[1], row + block.shape[1]), min(left + values.shape[2], column + block.shape[2])
    block[:, first - row : last - row, start - column : end - column] = values[
        :, first - top : last - top, start - left : end - left
    ]


@dataclass(frozen=True)
class _Mosaic:
    """What one mosaic is made of, and the scratch folder beside it."""

    path: Path
    folder: Path
    spool: _Spool
    crs: str
    step: tuple[float, float]
    nodata: float

    @cached_property
    def _pieces(self) -> list[_Piece]:
        return self.spool.pieces[self.crs, self.step]

    @cached_property
    def _corner(self) -> tuple[float, float]:
        return min(piece.west for piece in self._pieces), max(piece.north for piece in self._pieces)

    @cached_property
    def _places(self) -> list[tuple[int, int]]:
        return _corners(self._pieces, self.step, *self._corner)

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Bands, rows and columns."""
        ends = [(r + p.height, c + p.width) for p, (r, c) in zip(self._pieces, self._places, strict=True)]
        return self.spool.bands, max(end for end, _ in ends), max(end for _, end in ends)

    @property
    def profile(self) -> dict[str, Any]:
        """As rasterio has it."""
        (west, north), (count, height, width), (across, down) = self._corner, self.shape, self.step
        layout = {"height": height, "width": width, "count": count, "dtype": self.spool.dtype, "nodata": self.nodata}
        return {**layout, "crs": self.crs, "transform": Affine(across, 0, west, 0, -down, north)}

    def blocks(self) -> Iterator[tuple[Window, Array]]:
        """The blocks that hold predictions, in the order of a file."""
        bands, height, width = self.shape
        for (row, column), numbers in sorted(_blocks(self._pieces, self._places).items()):
            top, left = row * BLOCK, column * BLOCK
            size = min(BLOCK, height - top), min(BLOCK, width - left)
            block = np.full((bands, *size), self.nodata, self.spool.dtype)
            for number in numbers:
                _paste(block, (top, left), self.spool.read(self._pieces[number]), self._places[number])
            yield Window(left, top, size[1], size[0]), block

    def write(self) -> None:
        """Make the file, block by block, as a cloud-optimised GeoTIFF; StorageError where that cannot be."""
        made = self.folder / "mosaic.tif"
        with whole(self.path) as part:
            try:
                self._make(self.folder / "blocks.tif", made)
                self._check(made)
            except (RasterioError, CPLE_BaseError) as error:
                with storing(self.path, self.folder / "probe"):
                    _probe(self.folder / "probe", sum(2 * block.nbytes for _, block in self.blocks()))
                raise StorageError(f"{self.path}: cannot be written ({error.__cause__ or error})") from error
            os.replace(made, part)

    def _make(self, blocks: Path, made: Path) -> None:
        tiling = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "sparse_ok": True, "bigtiff": "if_safer"}
        with rasterio.open(blocks, "w", driver="GTiff", compress="lzw", **tiling, **self.profile) as target:
            for window, block in self.blocks():
                target.write(block, window=window)
        options = {"compress": "deflate", "blocksize": BLOCK, "overview_resampling": "nearest", "sparse_ok": True}
        rasterio.shutil.copy(blocks, made, driver="COG", bigtiff="if_safer", **options)

    def _check(self, made: Path) -> None:
        """RasterioIOError where the file lacks something: what GDAL cannot write on closing it, it loses in silence."""
        with rasterio.open(made) as source:
            for window, block in self.blocks():
                if not np.array_equal(source.read(window=window), block, equal_nan=True):
                    raise RasterioIOError(f"a part of {window} is lost")
            levels = range(len(source.overviews(1)))
        for level in levels:
            with rasterio.open(made, overview_level=level) as source:
                for _, window in source.block_windows():
                    source.read(window=window)


def _probe(path: Path, size: int) -> None:
    """OSError tells why so many bytes cannot be written, which GDAL keeps to itself."""
    noise = os.urandom(2**20)
    with path.open("wb", buffering=0) as stream:
        for _ in range(0, size + len(noise), len(noise)):
            stream.write(noise)


@contextmanager
def _scratch(path: Path) -> Iterator[tuple[Path, FileIO]]:
    """A folder beside the path for what is not yet whole, and a file in it."""
    folder = path.with_name(f".{path.name}.{os.getpid()}.parts")
    try:
        with storing(path, folder / "spool"):
            folder.mkdir(parents=True, exist_ok=True)
            stream = FileIO(folder / "spool", "w+")
        with stream:
            yield folder, stream
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _paths(path: Path, grids: Sequence[tuple[str, tuple[float, float]]]) -> list[Path]:
    """The path, or one for each of several grids with the CRS in its name, and the pixel size where that differs."""
    if len(grids) == 1:
        return [path]
    names = [crs if len(crs) < 20 else f"crs_{number}" for number, (crs, _) in enumerate(grids)]
    sizes = [f"_{step[0]:g}" if names.count(name) > 1 else "" for name, (_, step) in zip(names, grids, strict=True)]
    plain = (name.lower().replace(":", "_") + size for name, size in zip(names, sizes, strict=True))
    return [path.with_name(f"{path.stem}_{name}{path.suffix}") for name in plain]


def _usual_nodata(dtype: np.dtype[Any]) -> float:
    if dtype.kind == "f":
        return math.nan
    limits = np.iinfo(f"{dtype.kind}{min(dtype.itemsize, 4)}")
    return int(limits.max if dtype.kind == "u" else limits.min)


def mosaic(predictions: Iterable[tuple[Any, Any]], path: str | Path, nodata: float | None = None) -> list[Path]:
    """Write predictions as cloud-optimised GeoTIFFs, one for each CRS, and return their paths.

    `predictions` yields pairs of identifier and array, one chip's or a batch's, as `segchips.load` and `segchips.Chips`
    give identifiers. Arrays are height x width or height x width x bands, PyTorch tensors height x width or bands x
    height x width. Padding is cut off, so that each pixel comes from the tile whose core holds it; chips made elsewhere
    have none, of those that overlap the later wins. Nothing is resampled: with one CRS there is one file at `path`,
    tiles of several UTM zones become `<path>_epsg_32633.tif` and so on. Where there is no prediction, pixels are
    `nodata`: NaN, the largest unsigned or the smallest signed number (of 32 bits at most) where none is named. The
    predictions wait on disk, not in memory. InputError names a chip without place, off the grid or unlike the others.
    """
    path = Path(path)
    with _scratch(path) as (folder, stream):
        spool = _Spool(path, stream)
        for name, bands in _singles(predictions):
            spool.add(name, bands)
        if not spool.pieces:
            raise InputError(f"there are no predictions to write to {path}; an iterator gives them only once")
        grids = sorted(spool.pieces)
        paths = _paths(path, grids)
        value = _usual_nodata(spool.dtype) if nodata is None else nodata
        for file, (crs, step) in zip(paths, grids, strict=True):
            _Mosaic(file, folder, spool, crs, step, value).write()
    return paths
