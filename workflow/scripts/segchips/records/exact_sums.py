"""Exact sums of pixel values and of their squares, from which mean and standard deviation follow."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from segchips.arrays import Array


@dataclass(frozen=True)
class ExactSums:
    """Sums of a set of values.

    Attributes:
        count: The number of values.
        total: Their sum.
        squares: The sum of their squares.
        low: The lowest value; infinity without values.
        high: The highest value; minus infinity without values.
    """

    count: int = 0
    total: Fraction | int = 0
    squares: Fraction | int = 0
    low: float = math.inf
    high: float = -math.inf

    def __add__(self, other: "ExactSums") -> "ExactSums":
        """The sums of both sets of values together."""
        sums = self.count + other.count, self.total + other.total, self.squares + other.squares
        return ExactSums(*sums, min(self.low, other.low), max(self.high, other.high))

    @property
    def mean(self) -> float:
        """The arithmetic mean."""
        return float(Fraction(self.total) / self.count)

    @property
    def std(self) -> float:
        """The population standard deviation."""
        mean = Fraction(self.total) / self.count
        variance = max(Fraction(0), Fraction(self.squares) / self.count - mean**2)
        half = (variance.numerator.bit_length() - variance.denominator.bit_length()) // 2
        return math.ldexp(math.sqrt(variance / Fraction(4) ** half), half)


_SegmentSums = tuple[Any, list[Any], list[Any]]
"""A pivot, and for each segment the sum of differences from it, and the sum of their squares."""


def _float_sums(values: Array, starts: Array) -> _SegmentSums:
    """Sums of floats in units of the largest value's power of two, so that no square overflows. They are rounded."""
    _, exponent = math.frexp(float(np.abs(values).max()))
    scaled = np.ldexp(values.astype(np.float64), -exponent)
    pivot = float(np.float32(scaled.mean()))
    difference, unit = scaled - pivot, Fraction(2) ** exponent
    sums, squares = (np.add.reduceat(part, starts).tolist() for part in (difference, difference * difference))
    totals = [Fraction(total) * unit for total in sums]
    return Fraction(pivot) * unit, totals, [Fraction(square) * unit**2 for square in squares]


def _integer_sums(values: Array, starts: Array) -> _SegmentSums:
    """Sums of integers, from products of the differences' 16-bit limbs, whose sums fit in 64 bits."""
    pivot = int(values.min())
    wide = np.uint64 if values.dtype.kind == "u" else np.int64
    difference = values.astype(wide).view(np.uint64) - np.uint64(pivot % (1 << 64))
    count = -(-int(difference.max()).bit_length() // 16)
    limbs = [difference >> np.uint64(16 * n) & np.uint64(0xFFFF) for n in range(count)]
    sums, squares = [0] * len(starts), [0] * len(starts)
    for n, limb in enumerate(limbs):
        _add_shifted(sums, np.add.reduceat(limb, starts), 16 * n)
        for m, other in enumerate(limbs):
            _add_shifted(squares, np.add.reduceat(limb * other, starts), 16 * (n + m))
    return pivot, sums, squares


def _add_shifted(sums: list[int], parts: Array, bits: int) -> None:
    sums[:] = [total + (part << bits) for total, part in zip(sums, parts.tolist(), strict=True)]


def segment_sums(values: Array, starts: Array) -> list[ExactSums]:
    """Sum each segment of the values.

    Args:
        values: One dimension, of any real dtype.
        starts: The position at which each segment begins, ascending. No segment is empty.

    Returns:
        The sums of each segment: exact for integers, in double precision for floats.
    """
    counts = np.diff(starts, append=len(values)).tolist()
    lows, highs = (extreme.reduceat(values, starts).tolist() for extreme in (np.minimum, np.maximum))
    pivot, sums, squares = (_float_sums if values.dtype.kind == "f" else _integer_sums)(values, starts)
    return [
        ExactSums(count, total + pivot * count, square + 2 * pivot * total + pivot * pivot * count, low, high)
        for count, total, square, low, high in zip(counts, sums, squares, lows, highs, strict=True)
    ]
