"""Composites of layers: each layer is pixels (band, row, column) and a mask of the same shape, True where valid."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from segchips.arrays import Array, Mask, Pixels

Layer = tuple[Pixels, Mask]
ContributionCounts = dict[int, int]
"""The number of values that each layer gave, by its index; those that gave none are left out."""


def closest(layers: Iterable[Layer], origin: Pixels | None = None) -> tuple[Pixels, Mask, ContributionCounts]:
    """The first valid value of each pixel and band; draws no further layer once all are found.

    Returns the pixels, which are valid, and what each layer gave; `origin` receives the index of each value's layer.
    """
    drawn = iter(enumerate(layers))
    _, (pixels, valid) = next(drawn)
    pixels, valid = pixels.copy(), valid.copy()
    used = {0: count} if (count := int(np.count_nonzero(valid))) else {}
    if origin is not None:
        origin[valid] = 0
    while not valid.all():
        number, layer = next(drawn, (-1, None))
        if layer is None:
            break
        fresh = layer[1] & ~valid
        if count := int(np.count_nonzero(fresh)):
            np.copyto(pixels, layer[0], where=fresh)
            valid |= fresh
            used[number] = count
            if origin is not None:
                origin[fresh] = number
    return pixels, valid, used


def mean(layers: Sequence[Layer]) -> tuple[Pixels, Mask, ContributionCounts]:
    """The mean over valid values, summed in 64 bits; integers round half to even."""
    dtype = layers[0][0].dtype
    wide = np.int64 if np.issubdtype(dtype, np.integer) else np.float64
    total, count = np.zeros(layers[0][0].shape, wide), np.zeros(layers[0][0].shape, np.int64)
    for pixels, valid in layers:
        total += np.where(valid, pixels, 0)
        count += valid
    average: Array = total / np.maximum(count, 1)
    return _to_dtype(average, dtype), count > 0, _contributors(layers)


def median(layers: Sequence[Layer]) -> tuple[Pixels, Mask, ContributionCounts]:
    """The median over valid values; an even count takes the mean of the middle two, integers round half to even."""
    dtype = layers[0][0].dtype
    top = np.array(np.inf if np.issubdtype(dtype, np.floating) else np.iinfo(dtype).max, dtype)
    planes = [np.where(valid, pixels, top) for pixels, valid in layers]
    count = np.asarray(np.sum([valid for _, valid in layers], axis=0, dtype=np.int32))
    _sort(planes)
    stack = np.stack(planes)
    low = np.take_along_axis(stack, np.maximum(count - 1, 0)[None] // 2, axis=0)[0]
    high = np.take_along_axis(stack, (count // 2).clip(max=len(planes) - 1)[None], axis=0)[0]
    return _middle(low, high), count > 0, _contributors(layers)


def _contributors(layers: Sequence[Layer]) -> ContributionCounts:
    counts = (int(np.count_nonzero(valid)) for _, valid in layers)
    return {number: count for number, count in enumerate(counts) if count}


def _middle(low: Pixels, high: Pixels) -> Pixels:
    """The mean of two arrays without overflow."""
    if np.issubdtype(low.dtype, np.floating):
        with np.errstate(invalid="ignore"):
            return np.where(low == high, low, low / 2 + high / 2).astype(low.dtype)
    floor = (low & high) + ((low ^ high) >> 1)
    return (floor + (((low ^ high) & 1) & (floor & 1))).astype(low.dtype)


def _to_dtype(values: Array, dtype: np.dtype[Any]) -> Pixels:
    return (np.rint(values) if np.issubdtype(dtype, np.integer) else values).astype(dtype)


def _sort(planes: list[Pixels]) -> None:
    """Sort whole planes against each other, pixel by pixel, in place of the list's order."""
    for low, high in _network(len(planes)):
        small = np.minimum(planes[low], planes[high])
        np.maximum(planes[low], planes[high], out=planes[high])
        planes[low] = small


@cache
def _network(count: int) -> tuple[tuple[int, int], ...]:
    """Comparators of Batcher's odd-even merge sort for `count` items (Knuth, TAOCP 3, 5.2.2 M)."""
    return tuple(_comparators(count))


def _comparators(count: int) -> Iterator[tuple[int, int]]:
    first = 1 << max(0, (count - 1).bit_length() - 1)
    width = first
    while width > 0:
        reach, offset, gap = first, 0, width
        while True:
            for item in range(count - gap):
                if item & width == offset:
                    yield item, item + gap
            if reach == width:
                break
            gap, reach, offset = reach - width, reach // 2, width
        width //= 2
