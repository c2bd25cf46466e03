"""Sets of byte ranges: which bytes of a file are there, and which are missing."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

ByteRange = tuple[int, int]
"""The first byte, and the byte after the last."""


class ByteRanges:
    """A set of bytes, kept as disjoint ranges in order."""

    def __init__(self, ranges: Iterable[ByteRange] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        for each in ranges:
            self.add(each)

    def __iter__(self) -> Iterable[ByteRange]:
        return iter(zip(self._starts, self._stops, strict=True))

    def add(self, added: ByteRange) -> None:
        """Add the bytes of a range."""
        start, stop = added
        if start >= stop:
            return
        first, last = bisect_left(self._stops, start), bisect_right(self._starts, stop)
        if first < last:
            start, stop = min(start, self._starts[first]), max(stop, self._stops[last - 1])
        self._starts[first:last], self._stops[first:last] = [start], [stop]

    def missing(self, wanted: ByteRange) -> list[ByteRange]:
        """Return the parts of a range that are not in the set, in order."""
        start, stop = wanted
        parts: list[ByteRange] = []
        for number in range(bisect_right(self._stops, start), len(self._starts)):
            if self._starts[number] >= stop:
                break
            if start < self._starts[number]:
                parts.append((start, self._starts[number]))
            start = max(start, self._stops[number])
        if start < stop:
            parts.append((start, stop))
        return parts


def merge_ranges(ranges: Iterable[ByteRange], gap: int, limit: int) -> list[ByteRange]:
    """Return few ranges that cover all of the given ones.

    Args:
        ranges: Ranges in any order.
        gap: Ranges that are at most so many bytes apart become one.
        limit: Ranges do not become one of more bytes than this.
    """
    merged: list[ByteRange] = []
    for start, stop in sorted(ranges):
        if merged and start <= merged[-1][1] + gap and max(stop, merged[-1][1]) - merged[-1][0] <= limit:
            merged[-1] = merged[-1][0], max(stop, merged[-1][1])
        else:
            merged.append((start, stop))
    return merged
