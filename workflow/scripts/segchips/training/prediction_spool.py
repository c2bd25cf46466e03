"""A file on disk that holds predictions until all of them are known."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
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
"""The largest distance, in pixels, of a chip from the grid of its mosaic."""


@dataclass(frozen=True)
class ChipLocation:
    """Where a chip lies.

    Attributes:
        crs: The CRS.
        west: The west edge, in units of the CRS.
        north: The north edge, in units of the CRS.
        step: Width and height of a pixel, in units of the CRS.
        pad: The padding of a tile, in pixels.
        size: The size of a tile, in pixels; None for chips made elsewhere.
        stride: The pixels from one tile to the next, where tiles overlap besides their padding.
    """

    crs: str
    west: float
    north: float
    step: tuple[float, float]
    pad: int = 0
    size: int | None = None
    stride: int | None = None

    def with_rows(self, rows: int) -> "ChipLocation":
        """The location of a chip of a coarser layer, whose rows are a whole fraction of the tile's; else the same.

        As many rows as a tile has without padding are no sign of a coarser layer.
        """
        if not self.size or not rows or self.size % rows or rows == self.size - 2 * self.pad:
            return self
        factor = self.size // rows
        across, down = self.step
        return replace(
            self,
            step=(across * factor, down * factor),
            pad=self.pad // factor,
            size=rows,
            stride=self.stride and self.stride // factor,
        )


@dataclass(frozen=True)
class SpooledChip:
    """A prediction in the spool, and the part of it without padding.

    Attributes:
        offset: The byte at which it begins.
        west: The west edge, in units of the CRS.
        north: The north edge, in units of the CRS.
        height: Rows.
        width: Columns.
        middle: First row (and column) and number of rows of the middle, which wins over other predictions there; None
            where predictions do not overlap.
        margin: Pixels of padding around that part that the spool holds as well.
    """

    offset: int
    west: float
    north: float
    height: int
    width: int
    middle: tuple[int, int] | None = None
    margin: int = 0


def chip_location(identifier: str) -> ChipLocation:
    """The location from an identifier, a tile key or `name|geotransform|crs`; InputError if it has none."""
    if "|" not in identifier:
        tile = Tile.from_name(identifier)
        west, across, _, north, _, down = tile.geotransform
        return ChipLocation(tile.crs, west, north, (across, -down), tile.grid.pad, tile.grid.size, tile.grid.stride)
    name, transform, crs = identifier.rsplit("|", 2)
    with suppress(ValueError, TypeError):
        west, across, right, north, below, down = json.loads(transform)
        if crs and (right, below) == (0, 0) and across > 0 > down:
            return ChipLocation(crs, west, north, (across, -down))
    raise InputError(f"chip {name} has no CRS and upright geotransform ({crs or 'no CRS'}, {transform}); leave it out")


def _as_numpy(value: Any) -> Any:
    """Convert a tensor of TensorFlow or PyTorch to an array; return anything else as it is."""
    value = value.detach().cpu() if hasattr(value, "detach") else value
    return value.numpy() if hasattr(value, "numpy") else value


def _identifier_text(identifier: Any) -> str:
    return identifier.decode() if isinstance(identifier, bytes) else str(identifier)


def single_predictions(predictions: Iterable[tuple[Any, Any]]) -> Iterator[tuple[str, Array]]:
    """Take predictions apart that come in batches.

    Args:
        predictions: Pairs of identifier and array, or of batches of them; see `segchips.mosaic`.

    Yields:
        Identifier and prediction (bands x height x width) of each chip; bands of all steps of a time series. Booleans
        become uint8, float16 float32.

    Raises:
        InputError: A prediction is not an array of two to four dimensions.
    """
    for identifiers, arrays in predictions:
        bands_last = not hasattr(arrays, "detach")  # PyTorch puts them first
        names, values = _as_numpy(identifiers), np.asarray(_as_numpy(arrays))
        is_single = isinstance(names, (str, bytes)) or np.ndim(names) == 0
        for name, array in zip([names] if is_single else names, values[None] if is_single else values, strict=True):
            if array.ndim not in (2, 3, 4):
                raise InputError(
                    f"the prediction of {_identifier_text(name)} has shape {array.shape}; give 2 or 3 dimensions, or 4 "
                    "of a time series"
                )
            bands = np.moveaxis(array, -1, -3) if bands_last and array.ndim > 2 else array
            bands = bands.reshape(-1, *bands.shape[-2:])
            yield _identifier_text(name), bands.astype({"b1": "u1", "f2": "f4"}.get(array.dtype.str[1:], array.dtype))


class Spool:
    """Predictions in a file on disk.

    Attributes:
        pieces: The predictions by CRS and pixel size.
        bands: The number of their bands.
        dtype: Their dtype.
    """

    def __init__(self, path: Path, stream: FileIO, with_padding: bool = False) -> None:
        """Begin a spool.

        Args:
            path: The file that the predictions are for.
            stream: The file that holds them.
            with_padding: Whether to keep padding, for blending.
        """
        self._path, self._stream, self._end, self._with_padding = path, stream, 0, with_padding
        self.pieces: dict[tuple[str, tuple[float, float]], list[SpooledChip]] = defaultdict(list)
        self.bands = 0
        self.dtype = np.dtype(np.uint8)

    def add(self, name: str, bands: Array) -> None:
        """Write a prediction.

        Args:
            name: The identifier of the chip.
            bands: Bands x height x width.

        Raises:
            InputError: It differs from the others in bands or dtype, or from its tile in size.
            StorageError: The disk is full.
        """
        location, shape = chip_location(name).with_rows(bands.shape[1]), bands.shape
        if not self._end:
            self.bands, self.dtype = shape[0], bands.dtype
        if (shape[0], bands.dtype) != (self.bands, self.dtype):
            raise InputError(
                f"the prediction of {name} has {shape[0]} bands of {bands.dtype}, others {self.bands} of {self.dtype}"
            )
        if location.size and shape[1:] != (location.size, location.size):
            size = f"{shape[1]} x {shape[2]} pixels, its tile {location.size}"
            raise InputError(f"the prediction of {name} has {size}; predict chips as they are, padding on")
        pad, margin = location.pad, location.pad if self._with_padding else 0
        cut = pad - margin
        kept = np.ascontiguousarray(bands[:, cut : shape[1] - cut, cut : shape[2] - cut])
        height, width = shape[1] - 2 * pad, shape[2] - 2 * pad
        west, north = location.west + pad * location.step[0], location.north - pad * location.step[1]
        stride = location.stride
        middle = ((height - stride) // 2, stride) if stride else None
        piece = SpooledChip(self._end, west, north, height, width, middle, margin)
        self.pieces[location.crs, location.step].append(piece)
        unwritten = kept.data.cast("B")
        with storage_errors(self._path, self._path):
            while unwritten:
                unwritten = unwritten[self._stream.write(unwritten) :]
        self._end += kept.nbytes

    def read(self, piece: SpooledChip) -> Array:
        """Read a prediction (bands x height x width), with its margin."""
        shape = self.bands, piece.height + 2 * piece.margin, piece.width + 2 * piece.margin
        self._stream.seek(piece.offset)
        return np.frombuffer(self._stream.read(math.prod(shape) * self.dtype.itemsize), self.dtype).reshape(shape)


def piece_corners(
    pieces: Sequence[SpooledChip], step: tuple[float, float], west: float, north: float
) -> list[tuple[int, int]]:
    """Locate predictions in a mosaic.

    Args:
        pieces: The predictions.
        step: Width and height of a pixel, in units of the CRS.
        west: The west edge of the mosaic.
        north: Its north edge.

    Returns:
        The first row and column of each prediction.

    Raises:
        InputError: A prediction lies between pixels of the mosaic.
    """
    corners = []
    for piece in pieces:
        down, right = (north - piece.north) / step[1], (piece.west - west) / step[0]
        corners.append((round(down), round(right)))
        if max(abs(down - round(down)), abs(right - round(right))) > _GRID_TOLERANCE:
            raise InputError(f"the chip at {piece.west}, {piece.north} lies off the grid of the others; leave it out")
    return corners
