"""TODO: describe."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from segchips.arrays import Ints, Mask

ANY = 256
"""The column of `Ground.present` that holds for every tile."""


@dataclass(frozen=True)
class SplitAssignment:
    """Tiles by position with their units, and the split of every unit, those beside the area included.

    `owners` and `others` pair a tile with a unit that it comes too close to. `present` (n, 257) marks each tile's
    classes, `wanted` the tiles that selection keeps, `settled` those that were placed before.
    """

    units: Ints
    known: MutableMapping[int, int]
    owners: Ints
    others: Ints
    present: Mask
    wanted: Mask
    settled: Mask
    shares: tuple[float, ...]

    @cached_property
    def _places(self) -> tuple[list[int], Ints, Ints]:
        """The distinct units, and where among them each tile's and each pair's unit is."""
        distinct, where = np.unique(np.concatenate([self.units, self.others]), return_inverse=True)
        return distinct.tolist(), where[: len(self.units)], where[len(self.units) :]

    @cached_property
    def _rank(self) -> Ints:
        """A rank for each split: where two come too close, the one of higher rank, the smaller one, keeps its tiles."""
        order = sorted(range(len(self.shares)), key=lambda split: (-self.shares[split], split))
        return np.argsort(order)

    def splits(self) -> Ints:
        """Each tile's split, -1 for none."""
        distinct, mine, _ = self._places
        return np.array([self.known[unit] for unit in distinct], np.int64)[mine]

    def rivals(self) -> Ints:
        """The split for which each tile is dropped, -1 for none: the one of highest rank that it comes too close to."""
        distinct, mine, theirs = self._places
        splits = np.array([self.known[unit] for unit in distinct], np.int64)
        own, other = splits[mine][self.owners], splits[theirs]
        loses = (own >= 0) & (other >= 0) & (self._rank[other] > self._rank[own])
        found = np.full(len(self.units), -1, np.int64)
        np.maximum.at(found, self.owners[loses], self._rank[other[loses]])
        return np.where(found < 0, -1, np.argsort(self._rank)[found])

    def held(self) -> Mask:
        """Which classes (and ANY) each split holds in tiles that are kept: (split, 257)."""
        splits = self.splits()
        kept = self.wanted & (splits >= 0) & (self.rivals() < 0)
        return np.array([self.present[kept & (splits == split)].any(axis=0) for split in range(len(self.shares))])

    def lacking(self) -> list[tuple[int, int]]:
        """Splits and the classes that they lack and another holds, ANY first."""
        held = self.held()
        missing = held.any(axis=0) & ~held
        pairs = [(int(split), int(value)) for split, value in np.argwhere(missing)]
        return sorted(pairs, key=lambda pair: (pair[1] != ANY, pair))

    def free(self) -> Ints:
        """The units that may move: none of their tiles is settled, nor comes too close to a settled one."""
        near = self.others[self.settled[self.owners]]
        return np.setdiff1d(self.units[self.wanted], np.concatenate([self.units[self.settled], near]))
