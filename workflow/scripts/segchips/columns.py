"""Rows that lie in Arrow columns, so that a million of them take the memory of their values, not of Python objects."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

import numpy as np
import pyarrow as pa

from segchips.arrays import Array

Row = TypeVar("Row")
_BATCH = 20_000
"""Rows that are made at once."""


class Rows(Sequence[Row], Generic[Row]):
    """A sequence of rows that are made when they are asked for.

    Args:
        kind: The class of the rows, a dataclass without keyword-only fields.
        table: A column for each field of the class, in its order and of its name.
    """

    def __init__(self, kind: type[Row], table: pa.Table) -> None:
        self._kind, self.table = kind, table.combine_chunks()

    @classmethod
    def of(cls, kind: type[Row], rows: Iterable[Row], schema: pa.Schema) -> "Rows[Row]":
        """Stores rows in columns of the types of the schema; rows that are stored already are returned as they are."""
        if isinstance(rows, Rows):
            return rows
        rows = list(rows)
        columns = [pa.array([getattr(row, field.name) for row in rows], field.type) for field in schema]
        return cls(kind, pa.table(columns, schema=schema))

    def column(self, name: str) -> pa.Array:
        """The values of a field."""
        column: Any = self.table[name]
        return column.chunk(0) if column.num_chunks else pa.array([], column.type)

    def values(self, name: str) -> Array:
        """The values of a field of numbers or truth values, without nulls."""
        values: Array = self.column(name).to_numpy(zero_copy_only=False)
        return values

    def texts(self, name: str) -> list[str]:
        """The values of a field of texts."""
        texts: list[str] = self.column(name).to_pylist()
        return texts

    def counts(self, *names: str) -> Counter[Any]:
        """How many rows have each value of a field, or each tuple of values of several."""
        counted = self.table.group_by(list(names)).aggregate([([], "count_all")])
        keys = [counted[name].to_pylist() for name in names]
        values = keys[0] if len(names) == 1 else zip(*keys, strict=True)
        return Counter(dict(zip(values, counted["count_all"].to_pylist(), strict=True)))

    def batches(self) -> Iterator[list[list[Any]]]:
        """The values of all fields, column by column, of some rows after the other."""
        return ([column.to_pylist() for column in batch.columns] for batch in self.table.to_batches(_BATCH))

    def where(self, chosen: Array) -> "Rows[Row]":
        """The rows at positions, or those at which a mask is true."""
        rows = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return Rows(self._kind, self.table.take(pa.array(rows)))

    def replaced(self, **columns: pa.Array) -> "Rows[Row]":
        """The rows with other values of some fields."""
        names = self.table.column_names
        return Rows(self._kind, pa.table([columns.get(name, self.table[name]) for name in names], names=names))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> "Rows[Row]": ...
    def __getitem__(self, index: int | slice) -> "Row | Rows[Row]":
        if isinstance(index, slice):
            return self.where(np.arange(len(self))[index])
        position = range(len(self))[index]
        return self._kind(*(column[position].as_py() for column in self.table.columns))

    def __iter__(self) -> Iterator[Row]:
        for batch in self.batches():
            yield from map(self._kind, *batch)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Rows):
            return bool(self.table.equals(other.table))
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]
