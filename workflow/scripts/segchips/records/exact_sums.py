"""TODO: describe."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from segchips.arrays import Array


@dataclass(frozen=True)
class ExactSums:
    """Count, sum and sum of squares of values, all exact, with the least and the largest of them."""

    count: int = 0
    total: Fraction | int = 0
    squares: Fraction | int = 0
    low: float = math.inf
    high: float = -math.inf

    def __add__(self, other: "ExactSums") -> "ExactSums":
        """Of both sets of values together."""
        sums = self.count + other.count, self.total + other.total, self.squares + other.squares
        return ExactSums(*sums, min(self.low, other.low), max(self.high, other.high))

    @property
    def mean(self) -> float:
        """The arithmetic mean."""
        return float(Fraction(self.total) / self.count)

    @property
    def std(self) -> float:
        """The standard deviation of the population."""
        mean = Fraction(self.total) / self.count
        variance = max(Fraction(0), Fraction(self.squares) / self.count - mean**2)
        half = (variance.numerator.bit_length() - variance.denominator.bit_length()) // 2
        return math.ldexp(math.sqrt(variance / Fraction(4) ** half), half)


_Powers = tuple[Any, list[Any], list[Any]]
"""A pivot, and each segment's sum of differences from it and of their squares."""


def _float_sums(values: Array, starts: Array) -> _Powers:
    """In units of the largest value's power of two, so that no square overflows; only these sums are rounded."""
    _, exponent = math.frexp(float(np.abs(values).max()))
    scaled = np.ldexp(values.astype(np.float64), -exponent)
    pivot = float(np.float32(scaled.mean()))
    apart, unit = scaled - pivot, Fraction(2) ** exponent
    sums, squares = (np.add.reduceat(part, starts).tolist() for part in (apart, apart * apart))
    return Fraction(pivot) * unit, [Fraction(one) * unit for one in sums], [Fraction(one) * unit**2 for one in squares]


def _integer_sums(values: Array, starts: Array) -> _Powers:
    """From products of the differences' 16-bit limbs, which 64 bits can add up."""
    pivot = int(values.min())
    wide = np.uint64 if values.dtype.kind == "u" else np.int64
    apart = values.astype(wide).view(np.uint64) - np.uint64(pivot % (1 << 64))
    limbs = [apart >> np.uint64(16 * n) & np.uint64(0xFFFF) for n in range(-(-int(apart.max()).bit_length() // 16))]
    sums, squares = [0] * len(starts), [0] * len(starts)
    for n, limb in enumerate(limbs):
        _add_shifted(sums, np.add.reduceat(limb, starts), 16 * n)
        for m, other in enumerate(limbs):
            _add_shifted(squares, np.add.reduceat(limb * other, starts), 16 * (n + m))
    return pivot, sums, squares


def _add_shifted(sums: list[int], more: Array, bits: int) -> None:
    sums[:] = [one + (add << bits) for one, add in zip(sums, more.tolist(), strict=True)]


def segment_sums(values: Array, starts: Array) -> list[ExactSums]:
    """The sums of each segment of the values; no segment is empty."""
    counts = np.diff(starts, append=len(values)).tolist()
    lows, highs = (extreme.reduceat(values, starts).tolist() for extreme in (np.minimum, np.maximum))
    pivot, sums, squares = (_float_sums if values.dtype.kind == "f" else _integer_sums)(values, starts)
    return [
        ExactSums(count, one + pivot * count, square + 2 * pivot * one + pivot * pivot * count, low, high)
        for count, one, square, low, high in zip(counts, sums, squares, lows, highs, strict=True)
    ]
