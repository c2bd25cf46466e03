"""Blocks: the whole earth's ground divided into squares, whatever the tile grid, the area or the UTM zone.

Latitudes are cut into rows. All rows of a belt of about two degrees have the same number of blocks around the earth, so
that blocks form a lattice there and are square to a few per cent.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from segchips.arrays import Floats, Ints

DEGREE = 111_320.0
"""Metres in a degree of latitude."""
BELT = 2.0
# The R2 sequence (Roberts 2018), the golden ratio's counterpart in two dimensions, in 2**-64.
_ALONG, _UP = np.uint64(0xC13FA9A902A6328F), np.uint64(0x91E10DA5C79E7B1C)


@dataclass(frozen=True)
class Blocks:
    """Blocks of `side` metres; `seed` shifts what they draw."""

    side: float
    seed: int

    def at(self, lon: Floats, lat: Floats) -> Ints:
        """Row and column (n, 2) of the blocks that hold points."""
        step = self.side / DEGREE
        rows = np.floor((lat + 90) / step).astype(np.int64)
        belt = max(1, round(BELT / step))
        middle = np.minimum((rows // belt + 0.5) * belt * step - 90, 90)
        around = np.maximum(1, np.rint(360 * np.cos(np.radians(middle)) / step))
        return np.column_stack([rows, np.floor((lon + 180) % 360 / 360 * around).astype(np.int64)])

    def draw(self, blocks: Ints) -> Floats:
        """A number from 0 to 1 for each block, spread so evenly that shares hold for few blocks, too."""
        start = int.from_bytes(hashlib.blake2b(str(self.seed).encode(), digest_size=8).digest(), "little")
        row, column = blocks.astype(np.uint64).T
        with np.errstate(over="ignore"):
            drawn: Any = np.uint64(start) + row * _UP + column * _ALONG
        return np.asarray(drawn / 2**64, np.float64)


def split_numbers(drawn: Floats, shares: Mapping[str, float]) -> Ints:
    """The number of the split, in the order of `shares`, that each draw falls into."""
    ends = np.cumsum(list(shares.values()))
    return np.minimum(np.searchsorted(ends, drawn * ends[-1], side="right"), len(ends) - 1)
