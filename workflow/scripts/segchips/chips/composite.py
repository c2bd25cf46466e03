"""Composites of several scenes' pixels: closest, mean and median."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from segchips.arrays import Array, Mask, MaskedPixels, Pixels

ContributionCounts = dict[int, int]
"""How many values each scene contributed, by the scene's index; scenes that contributed none have no entry."""


def closest(scenes: Iterable[MaskedPixels], origin: Pixels | None = None) -> tuple[Pixels, Mask, ContributionCounts]:
    """Take the first valid value of each pixel and band; stop reading scenes once all are found.

    Args:
        scenes: Pixels and masks (band, row, column) in order of preference; at least one.
        origin: An integer array of the pixels' shape; receives the index of each value's scene where one is found.

    Returns:
        The pixels in the first scene's dtype, which of them are valid, and how many values each scene contributed.
    """
    numbered = iter(enumerate(scenes))
    _, (pixels, valid) = next(numbered)
    pixels, valid = pixels.copy(), valid.copy()
    counts = {0: count} if (count := int(np.count_nonzero(valid))) else {}
    if origin is not None:
        origin[valid] = 0
    while not valid.all():
        number, scene = next(numbered, (-1, None))
        if scene is None:
            break
        fresh = scene[1] & ~valid
        if count := int(np.count_nonzero(fresh)):
            np.copyto(pixels, scene[0], where=fresh)
            valid |= fresh
            counts[number] = count
            if origin is not None:
                origin[fresh] = number
    return pixels, valid, counts


def mean(scenes: Sequence[MaskedPixels]) -> tuple[Pixels, Mask, ContributionCounts]:
    """Average the valid values of each pixel and band.

    Sums have 64 bits; integers round half to even.

    Args:
        scenes: Pixels and masks (band, row, column) of one dtype; at least one.

    Returns:
        The means in the scenes' dtype, which of them are valid, and how many values each scene contributed.
    """
    dtype = scenes[0][0].dtype
    if dtype in (np.int64, np.uint64):
        return *_mean_of_64_bits(scenes), _contributions(scenes)
    wide = np.int64 if np.issubdtype(dtype, np.integer) else np.float64
    total, count = np.zeros(scenes[0][0].shape, wide), np.zeros(scenes[0][0].shape, np.int64)
    for pixels, valid in scenes:
        total += np.where(valid, pixels, 0)
        count += valid
    average: Array = total / np.maximum(count, 1)
    return _to_dtype(average, dtype), count > 0, _contributions(scenes)


def _mean_of_64_bits(scenes: Sequence[MaskedPixels]) -> tuple[Pixels, Mask]:
    """As `mean`, for integers whose sum may have more than 64 bits: their halves are added up one by one."""
    dtype = scenes[0][0].dtype
    half = dtype.type(2**32)
    high, low, count = (np.zeros(scenes[0][0].shape, np.int64) for _ in range(3))
    for pixels, valid in scenes:
        high += np.where(valid, pixels // half, 0).astype(np.int64)
        low += np.where(valid, pixels % half, 0).astype(np.int64)
        count += valid
    divisor = np.maximum(count, 1)
    quotient, remainder = np.divmod(high, divisor)
    floor, rest = np.divmod(remainder * 2**32 + low, divisor)
    is_above = (2 * rest > divisor) | ((2 * rest == divisor) & (floor % 2 == 1))
    return quotient.astype(dtype) * half + (floor + is_above).astype(dtype), count > 0


def median(scenes: Sequence[MaskedPixels]) -> tuple[Pixels, Mask, ContributionCounts]:
    """Take the median of the valid values of each pixel and band.

    An even count takes the mean of the middle two; integers round half to even.

    Args:
        scenes: Pixels and masks (band, row, column) of one dtype; at least one.

    Returns:
        The medians in the scenes' dtype, which of them are valid, and how many values each scene contributed.
    """
    dtype = scenes[0][0].dtype
    top = np.array(np.inf if np.issubdtype(dtype, np.floating) else np.iinfo(dtype).max, dtype)
    planes = [np.where(valid, pixels, top) for pixels, valid in scenes]
    count = np.asarray(np.sum([valid for _, valid in scenes], axis=0, dtype=np.int32))
    _sort(planes)
    stack = np.stack(planes)
    low = np.take_along_axis(stack, np.maximum(count - 1, 0)[None] // 2, axis=0)[0]
    high = np.take_along_axis(stack, (count // 2).clip(max=len(planes) - 1)[None], axis=0)[0]
    return _middle(low, high), count > 0, _contributions(scenes)


def _contributions(scenes: Sequence[MaskedPixels]) -> ContributionCounts:
    counts = (int(np.count_nonzero(valid)) for _, valid in scenes)
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
    """Sort the planes in place, pixel by pixel: each pixel's lowest value ends in the first plane."""
    for low, high in _sorting_network(len(planes)):
        small = np.minimum(planes[low], planes[high])
        np.maximum(planes[low], planes[high], out=planes[high])
        planes[low] = small


@cache
def _sorting_network(count: int) -> tuple[tuple[int, int], ...]:
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
