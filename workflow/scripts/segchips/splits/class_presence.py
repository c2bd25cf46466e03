"""Which splits lack a class that others have."""

from collections.abc import Sequence

import numpy as np

from segchips.arrays import Ints, Mask

ANY_CLASS = 256
"""The column of class tables that is true for every tile: a split that lacks it is empty."""


def class_table(classes: Sequence[Sequence[int]]) -> Mask:
    """Returns which classes (n, 257) tiles (n) have: columns 0 to 255 for label values, then `ANY_CLASS`."""
    table = np.zeros((len(classes), ANY_CLASS + 1), bool)
    table[:, ANY_CLASS] = True
    for number, values in enumerate(classes):
        table[number, values] = True
    return table


def missing_classes(table: Mask, splits: Ints, kept: Mask, count: int) -> list[tuple[int, int]]:
    """Returns splits with classes that they lack in kept tiles and another split has.

    Args:
        table: The classes of each tile, from `class_table`.
        splits: The number of each tile's split (n).
        kept: The tiles (n) that are not dropped.
        count: The number of splits.

    Returns:
        Pairs of a split's number and a class; empty splits first.
    """
    present = np.array([table[kept & (splits == split)].any(axis=0) for split in range(count)])
    missing = present.any(axis=0) & ~present
    pairs = [(int(split), int(value)) for split, value in np.argwhere(missing)]
    return sorted(pairs, key=lambda pair: (pair[1] != ANY_CLASS, pair))
