"""Many tiles of one grid as columns: their indices, their keys, and values by tile key."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, ValuesView
from contextlib import suppress
from functools import cached_property
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from segchips.arrays import Ints, Mask
from segchips.grids.tile import Grid, Tile

Value = TypeVar("Value")


class TileArray(Sequence[Tile]):
    """Tiles of one grid, which are made when they are asked for.

    Args:
        grid: The grid.
        indices: Zone, path and row (n, 3).
    """

    def __init__(self, grid: Grid, indices: Ints) -> None:
        self.grid, self.indices = grid, indices

    @classmethod
    def of(cls, tiles: Sequence[Tile]) -> "TileArray":
        """The tiles of a sequence, at least one, all of one grid."""
        if isinstance(tiles, TileArray):
            return tiles
        return cls(tiles[0].grid, np.array([(tile.zone, tile.path, tile.row) for tile in tiles], np.int64))

    @classmethod
    def from_keys(cls, keys: "TileKeys") -> "TileArray":
        """The tiles with these keys, at least one, all of one grid; InputError where the first is not a tile key."""
        grid = Tile.from_key(keys[0]).grid
        fields = pc.split_pattern(keys.column, ":").flatten()
        places = fields.take(pa.array(np.arange(len(keys)) * _FIELDS + _PLACE)).dictionary_encode()
        zones = np.array([Tile.from_key(f"{grid.key}:{place}:0:0").zone for place in places.dictionary.to_pylist()])
        path, row = (
            fields.take(pa.array(np.arange(len(keys)) * _FIELDS + field)).cast(pa.int64()).to_numpy()
            for field in (_PLACE + 1, _PLACE + 2)
        )
        return cls(grid, np.column_stack([zones[places.indices.to_numpy()], path, row]))

    @cached_property
    def keys(self) -> "TileKeys":
        """The keys of the tiles."""
        zones, positions = np.unique(self.indices[:, 0], return_inverse=True)
        starts = pa.array(
            [f"{self.grid.key}:{self.grid.system.key_field(zone)}" for zone in zones.tolist()], pa.string()
        )
        numbers = (pa.array(self.indices[:, column]).cast(pa.string()) for column in (1, 2))
        return TileKeys(pc.binary_join_element_wise(starts.take(pa.array(positions)), *numbers, ":"))

    def where(self, chosen: Mask) -> "TileArray":
        """The tiles at which a mask (n) is true."""
        return TileArray(self.grid, self.indices[chosen])

    def batches(self, size: int) -> Iterator["TileArray"]:
        """The tiles in successive parts of at most so many."""
        return (self[start : start + size] for start in range(0, len(self), size))

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> Tile: ...
    @overload
    def __getitem__(self, index: slice) -> "TileArray": ...
    def __getitem__(self, index: int | slice) -> "Tile | TileArray":
        if isinstance(index, slice):
            return TileArray(self.grid, self.indices[index])
        return Tile(self.grid, *self.indices[index].tolist())

    def __iter__(self) -> Iterator[Tile]:
        return (Tile(self.grid, *index) for index in self.indices.tolist())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TileArray):
            return self.grid == other.grid and np.array_equal(self.indices, other.indices)
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


_FIELDS, _PLACE = 6, 3
"""The fields of a tile key, and the one that tells the zone or the CRS."""
_FEW = 8
"""Keys are looked up one by one where they are fewer than this part of all."""


class TileKeys(Sequence[str]):
    """Distinct tile keys in an order, with the row of each.

    Args:
        keys: The keys.
    """

    def __init__(self, keys: "pa.Array | pa.ChunkedArray | Iterable[str]") -> None:
        if isinstance(keys, pa.ChunkedArray):
            keys = keys.combine_chunks()
        self.column: pa.Array = keys if isinstance(keys, pa.Array) else pa.array(list(keys), pa.string())

    def row(self, key: str) -> int:
        """The row of a key; KeyError where it is not among them."""
        (ordered, rows), wanted = self._ordered, key.encode()
        place = int(ordered.searchsorted(wanted))
        if place == len(ordered) or ordered[place] != wanted:
            raise KeyError(key)
        return int(rows[place])

    @classmethod
    def of(cls, keys: Sequence[str]) -> "TileKeys":
        """The keys of a sequence."""
        return keys if isinstance(keys, TileKeys) else cls(keys)

    def known_rows(self, keys: Sequence[str]) -> Ints:
        """The row of each of several keys (n); KeyError where one is not among these."""
        rows = self.rows(TileKeys.of(keys))
        if (rows < 0).any():
            raise KeyError(keys[int(np.flatnonzero(rows < 0)[0])])
        return rows

    def rows(self, keys: "TileKeys") -> Ints:
        """The row of each of other keys (n), -1 for those that are not among these."""
        if keys is self or keys.column.equals(self.column):
            return np.arange(len(self))
        if len(keys) * _FEW < len(self):
            return self._find(keys)
        found = pc.fill_null(pc.index_in(keys.column, value_set=self.column), -1)
        return np.asarray(found.to_numpy(zero_copy_only=False), np.int64)

    def where(self, chosen: Mask) -> "TileKeys":
        """The keys at which a mask (n) is true."""
        return TileKeys(self.column.filter(pa.array(chosen)))

    def filenames(self) -> pa.Array:
        """The file names of the tiles' chips, as `chip_filename` names each."""
        return pc.binary_join_element_wise(pc.replace_substring(self.column, ":", "#"), ".tif", "")

    def _find(self, keys: Iterable[str]) -> Ints:
        """As `rows`, by bisection in these keys, at least one; a dictionary of a million keys would take 130 MB."""
        ordered, rows = self._ordered
        wanted = np.array([key.encode() for key in keys], np.bytes_)
        places = np.minimum(ordered.searchsorted(wanted), len(ordered) - 1)
        return np.where(ordered[places] == wanted, rows[places], -1)

    @cached_property
    def _ordered(self) -> tuple[npt.NDArray[np.bytes_], Ints]:
        """The keys in ascending order, and the row of each."""
        keys = np.array([key.encode() for key in self], np.bytes_)
        order = np.argsort(keys, kind="stable")
        return keys[order], order

    def __len__(self) -> int:
        return len(self.column)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> "TileKeys": ...
    def __getitem__(self, index: int | slice) -> "str | TileKeys":
        if isinstance(index, slice):
            return TileKeys(self.column[index])
        return str(self.column[index].as_py())

    def __iter__(self) -> Iterator[str]:
        return iter(self.column.to_pylist())

    def __contains__(self, key: object) -> bool:
        with suppress(KeyError):
            return isinstance(key, str) and self.row(key) >= 0
        return False


class TileMapping(Mapping[str, Value]):
    """A mapping from tile keys.

    Attributes:
        tiles: The keys.
    """

    tiles: TileKeys

    def __len__(self) -> int:
        return len(self.tiles)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tiles)

    def __contains__(self, key: object) -> bool:
        return key in self.tiles


class ByTile(TileMapping[Value]):
    """Values by tile key that lie in a column.

    Args:
        keys: The keys.
        column: The value of each, as an Arrow array.
        convert: What becomes of a value that is asked for.
    """

    def __init__(self, keys: TileKeys, column: pa.Array, convert: Callable[[Any], Any] = lambda value: value) -> None:
        self.tiles, self.column, self._convert = keys, column, convert

    def of(self, keys: Sequence[str]) -> list[Value]:
        """The values of several tiles; KeyError where one has none."""
        return list(map(self._convert, self.column.take(pa.array(self.tiles.known_rows(keys))).to_pylist()))

    def __getitem__(self, key: str) -> Value:
        value: Value = self._convert(self.column[self.tiles.row(key)].as_py())
        return value

    def values(self) -> "_Values[Value]":
        """The values in the order of the keys."""
        return _Values(self)


class _Values(ValuesView[Value]):
    _mapping: ByTile[Value]

    def __iter__(self) -> Iterator[Value]:
        return map(self._mapping._convert, self._mapping.column.to_pylist())
