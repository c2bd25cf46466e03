"""Square blocks of ground that cover the earth, whatever the tile grid, the area or the UTM zone.

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
"""Degrees of latitude, about, in which rows have the same number of blocks."""
# Multipliers of the R2 sequence in 2**-64, the counterpart of the golden ratio in two dimensions. Source: M. Roberts,
# "The unreasonable effectiveness of quasirandom sequences", 2018.
_COLUMN_STEP, _ROW_STEP = np.uint64(0xC13FA9A902A6328F), np.uint64(0x91E10DA5C79E7B1C)


@dataclass(frozen=True)
class Blocks:
    """A division of the earth into blocks.

    Attributes:
        side: Metres along a side of a block.
        seed: Changes what blocks draw.
    """

    side: float
    seed: int

    def containing(self, lon: Floats, lat: Floats) -> Ints:
        """Returns row and column (n, 2) of the blocks that hold points, given in degrees (n)."""
        step = self.side / DEGREE
        rows = np.floor((lat + 90) / step).astype(np.int64)
        rows_per_belt = max(1, round(BELT / step))
        belt_centre = np.minimum((rows // rows_per_belt + 0.5) * rows_per_belt * step - 90, 90)
        columns = np.maximum(1, np.rint(360 * np.cos(np.radians(belt_centre)) / step))
        return np.column_stack([rows, np.floor((lon + 180) % 360 / 360 * columns).astype(np.int64)])

    def draw(self, blocks: Ints) -> Floats:
        """Returns a number from 0 to 1 (n) for each block (n, 2).

        The numbers form a low-discrepancy sequence, so that even few neighbouring blocks come close to the shares.
        """
        start = int.from_bytes(hashlib.blake2b(str(self.seed).encode(), digest_size=8).digest(), "little")
        row, column = blocks.astype(np.uint64).T
        with np.errstate(over="ignore"):
            drawn: Any = np.uint64(start) + row * _ROW_STEP + column * _COLUMN_STEP
        return np.asarray(drawn / 2**64, np.float64)


def split_numbers(drawn: Floats, shares: Mapping[str, float]) -> Ints:
    """Returns the number of the split, in the order of `shares`, for numbers from 0 to 1 (n)."""
    ends = np.cumsum(list(shares.values()))
    return np.minimum(np.searchsorted(ends, drawn * ends[-1], side="right"), len(ends) - 1)
