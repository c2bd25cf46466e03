"""TODO: describe."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from segchips.arrays import Array
from segchips.errors import InputError
from segchips.files import storage_errors
from segchips.grids.tile import Tile

BLOCK = 512
"""Pixels along the side of a mosaic's blocks."""
_GRID_TOLERANCE = 1e-3
"""The share of a pixel by which a chip may lie off the mosaic's grid."""


@dataclass(frozen=True)
class ChipLocation:
    """Where a chip lies: CRS, west and north edge, a pixel's width and height, and the padding of a tile of `size`."""

    crs: str
    west: float
    north: float
    step: tuple[float, float]
    pad: int = 0
    size: int | None = None


@dataclass(frozen=True)
class SpooledChip:
    """A chip without padding in the spool, its corner in metres and its size in pixels."""

    offset: int
    west: float
    north: float
    height: int
    width: int


def chip_location(identifier: str) -> ChipLocation:
    """From a tile key, or from `name|geotransform|crs`; InputError where neither tells a place."""
    if "|" not in identifier:
        tile = Tile.from_name(identifier)
        west, across, _, north, _, down = tile.geotransform
        return ChipLocation(tile.crs, west, north, (across, -down), tile.grid.pad, tile.grid.size)
    name, transform, crs = identifier.rsplit("|", 2)
    with suppress(ValueError, TypeError):
        west, across, right, north, below, down = json.loads(transform)
        if crs and (right, below) == (0, 0) and across > 0 > down:
            return ChipLocation(crs, west, north, (across, -down))
    raise InputError(f"chip {name} has no CRS and upright geotransform ({crs or 'no CRS'}, {transform}); leave it out")


def _as_numpy(value: Any) -> Any:
    """A tensor of TensorFlow or PyTorch as numpy's, anything else as it is."""
    value = value.detach().cpu() if hasattr(value, "detach") else value
    return value.numpy() if hasattr(value, "numpy") else value


def _identifier_text(identifier: Any) -> str:
    return identifier.decode() if isinstance(identifier, bytes) else str(identifier)


def single_predictions(predictions: Iterable[tuple[Any, Any]]) -> Iterator[tuple[str, Array]]:
    """Identifier and prediction (bands x height x width) of each chip, whether they come alone or in batches."""
    for identifiers, arrays in predictions:
        last = not hasattr(arrays, "detach")
        names, values = _as_numpy(identifiers), np.asarray(_as_numpy(arrays))
        alone = isinstance(names, (str, bytes)) or np.ndim(names) == 0
        for name, array in zip([names] if alone else names, values[None] if alone else values, strict=True):
            if array.ndim not in (2, 3):
                raise InputError(
                    f"the prediction of {_identifier_text(name)} has shape {array.shape}; it is a plane or several"
                )
            bands = array[None] if array.ndim == 2 else array.transpose(2, 0, 1) if last else array
            yield _identifier_text(name), bands.astype({"b1": "u1", "f2": "f4"}.get(array.dtype.str[1:], array.dtype))


class Spool:
    """The predictions on disk, until all of them are known."""

    def __init__(self, path: Path, stream: FileIO) -> None:
        self._path, self._stream, self._end = path, stream, 0
        self.pieces: dict[tuple[str, tuple[float, float]], list[SpooledChip]] = defaultdict(list)
        self.bands = 0
        self.dtype = np.dtype(np.uint8)

    def add(self, name: str, bands: Array) -> None:
        """Keep a prediction without its padding; InputError where it differs from the others or from its tile."""
        place, shape = chip_location(name), bands.shape
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
        self.pieces[place.crs, place.step].append(SpooledChip(self._end, west, north, *core.shape[1:]))
        left = core.data.cast("B")
        with storage_errors(self._path, self._path):
            while left:
                left = left[self._stream.write(left) :]
        self._end += core.nbytes

    def read(self, piece: SpooledChip) -> Array:
        """A prediction that was added: bands x height x width."""
        shape = self.bands, piece.height, piece.width
        self._stream.seek(piece.offset)
        return np.frombuffer(self._stream.read(math.prod(shape) * self.dtype.itemsize), self.dtype).reshape(shape)


def piece_corners(
    pieces: Sequence[SpooledChip], step: tuple[float, float], west: float, north: float
) -> list[tuple[int, int]]:
    """Each piece's first row and column; InputError where one lies between pixels."""
    corners = []
    for piece in pieces:
        down, right = (north - piece.north) / step[1], (piece.west - west) / step[0]
        corners.append((round(down), round(right)))
        if max(abs(down - round(down)), abs(right - round(right))) > _GRID_TOLERANCE:
            raise InputError(f"the chip at {piece.west}, {piece.north} lies off the grid of the others; leave it out")
    return corners
