"""Which splits lack a class that others have."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from segchips.arrays import Ints, Mask

ANY_CLASS = 256
"""Stands for any class: a split that lacks it is empty."""


@dataclass(frozen=True)
class ClassTable:
    """The classes of tiles.

    Attributes:
        classes: The classes that any tile has (k), ascending, and `ANY_CLASS`.
        present: Which tiles have each (k, n); all have the last.
    """

    classes: Sequence[int]
    present: Mask

    @classmethod
    def of(cls, values: pa.ListArray | Sequence[Sequence[int]]) -> "ClassTable":
        """Builds the table from the classes of each tile."""
        lists = values if isinstance(values, pa.ListArray) else pa.array(values, pa.list_(pa.uint8()))
        flat = lists.flatten().to_numpy()
        tiles = np.repeat(np.arange(len(lists)), lists.value_lengths().to_numpy())
        classes = np.unique(flat)
        present = np.zeros((len(classes) + 1, len(lists)), bool)
        present[np.searchsorted(classes, flat), tiles] = True
        present[-1] = True
        return cls([*classes.tolist(), ANY_CLASS], present)

    def tiles_with(self, value: int) -> Mask:
        """Returns which tiles (n) have a class."""
        tiles: Mask = self.present[self.classes.index(value)]
        return tiles


def missing_classes(table: ClassTable, splits: Ints, kept: Mask, count: int) -> list[tuple[int, int]]:
    """Returns splits with classes that they lack in kept tiles and another split has.

    Args:
        table: The classes of each tile.
        splits: The number of each tile's split (n).
        kept: The tiles (n) that are not dropped.
        count: The number of splits.

    Returns:
        Pairs of a split's number and a class; empty splits first.
    """
    present = np.array([table.present[:, kept & (splits == split)].any(axis=1) for split in range(count)])
    missing = present.any(axis=0) & ~present
    pairs = [(int(split), table.classes[column]) for split, column in np.argwhere(missing).tolist()]
    return sorted(pairs, key=lambda pair: (pair[1] != ANY_CLASS, pair))
