"""Codes of pixel values, under which pixels are counted.

Integers of up to 16 bits have a code each. Values of wider types share a code with those that have the same upper 19
bits as a float32: sign, exponent and ten bits of the mantissa, which is a precision of a thousandth.
"""

from typing import Any

import numpy as np

from segchips.arrays import Array, Mask

_WIDE_BITS = 19
INVALID_CODE = 1 << _WIDE_BITS
"""The code of pixels of a wide type that have no valid value."""


def is_wide(dtype: np.dtype[Any]) -> bool:
    """Whether several values of the dtype share a code."""
    return dtype.kind == "f" or dtype.itemsize > 2


def valid_pixels(values: Array, nodata: float | None) -> Mask:
    """Which values are finite and not nodata, in the shape of `values`."""
    valid = np.isfinite(values)
    return valid if nodata is None else valid & (values != nodata)


def value_codes(values: Array) -> Array:
    """The code of each value, an unsigned integer; codes have the order of the values."""
    dtype = values.dtype
    if is_wide(dtype):
        with np.errstate(over="ignore"):
            bits = values.astype(np.float32).view(np.uint32)
        return np.where(bits >> 31, ~bits, bits | 0x80000000) >> (32 - _WIDE_BITS)
    return values if dtype.kind == "u" else values.view(f"u{dtype.itemsize}") ^ (1 << 8 * dtype.itemsize - 1)


def code_values(codes: Array, dtype: np.dtype[Any]) -> Array:
    """The lowest value of each code: float64 for wide dtypes, int64 for others."""
    if is_wide(dtype):
        bits = (codes << (32 - _WIDE_BITS)).astype(np.uint32)
        return np.where(bits >> 31, bits ^ 0x80000000, ~bits).astype(np.uint32).view(np.float32).astype(np.float64)
    return codes.astype(np.int64) - (0 if dtype.kind == "u" else 1 << 8 * dtype.itemsize - 1)
