"""TODO: describe."""

from typing import Any

import numpy as np

from segchips.arrays import Array, Mask

ClassValue = int | None
BLOCK_PIXELS = 1 << 17
"""Pixels that are counted at once: enough to outweigh the calls, few enough for the processor's cache."""
MAX_CLASSES = 256
"""With more label values than these, such as numbers of instances, pixels are not told apart by class."""
_WIDE_BITS = 19
INVALID_CODE = 1 << _WIDE_BITS
"""The code of what is no valid value of a wide type."""


def is_wide(dtype: np.dtype[Any]) -> bool:
    """Whether values are counted with their neighbours."""
    return dtype.kind == "f" or dtype.itemsize > 2


def valid_pixels(values: Array, nodata: float | None) -> Mask:
    """Which values are finite and not nodata."""
    valid = np.isfinite(values)
    return valid if nodata is None else valid & (values != nodata)


def value_codes(values: Array) -> Array:
    """Unsigned numbers in the order of the values."""
    dtype = values.dtype
    if is_wide(dtype):
        with np.errstate(over="ignore"):
            bits = values.astype(np.float32).view(np.uint32)
        return np.where(bits >> 31, ~bits, bits | 0x80000000) >> (32 - _WIDE_BITS)
    return values if dtype.kind == "u" else values.view(f"u{dtype.itemsize}") ^ (1 << 8 * dtype.itemsize - 1)


def code_values(codes: Array, dtype: np.dtype[Any]) -> Array:
    """The least value of each code."""
    if is_wide(dtype):
        bits = (codes << (32 - _WIDE_BITS)).astype(np.uint32)
        return np.where(bits >> 31, bits ^ 0x80000000, ~bits).astype(np.uint32).view(np.float32).astype(np.float64)
    return codes.astype(np.int64) - (0 if dtype.kind == "u" else 1 << 8 * dtype.itemsize - 1)
