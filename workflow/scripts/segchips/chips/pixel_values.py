"""Pixel values: nodata, scaling and cloud masks."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from segchips.arrays import Mask, Pixels
from segchips.config.imagery import CloudMask
from segchips.scenes.model import Band, Scaling


def chip_nodata(declared: Sequence[float], dtype: np.dtype[Any]) -> float:
    """Choose the nodata value of a chip.

    Args:
        declared: The nodata value of each product that has one.
        dtype: The chip's dtype.

    Returns:
        The value on which the products agree; else NaN where the dtype has it, else the first value, else 0.
    """
    agreed = len({repr(float(value)) for value in declared}) == 1
    if not agreed and np.issubdtype(dtype, np.floating):
        return math.nan
    return declared[0] if declared else 0.0


def fits_dtype(value: float, dtype: np.dtype[Any]) -> bool:
    """Return whether a dtype can represent the value."""
    if np.issubdtype(dtype, np.floating):
        return True
    limits = np.iinfo(dtype)
    return math.isfinite(value) and value == int(value) and limits.min <= value <= limits.max


def is_clear(values: Pixels, mask: CloudMask) -> Mask:
    """Return which values of a mask band mean clear sky: a clear class, or an integer with none of the bits."""
    if mask.clear:
        return np.isin(values, mask.clear)
    flags = sum(1 << bit for bit in mask.bits or ())
    if np.issubdtype(values.dtype, np.integer):
        return (values.astype(np.int64) & flags) == 0
    has_bits = np.abs(np.nan_to_num(values, nan=np.inf, posinf=np.inf, neginf=np.inf)) < 2.0**63
    return has_bits & ((np.where(has_bits, values, 0).astype(np.int64) & flags) == 0)


def rescale(plane: Pixels, band: Band, target: Scaling) -> Pixels:
    """Convert pixel values from a band's scale and offset to those of the target; integers are rounded and clipped."""
    scale, offset = target
    values = plane * (band.scale / scale) + (band.offset - offset) / scale
    if np.issubdtype(plane.dtype, np.integer):
        limits = np.iinfo(plane.dtype)
        values = np.clip(np.rint(np.round(values, 6)), limits.min, limits.max)
    return values.astype(plane.dtype)


def avoid_nodata(pixels: Pixels, valid: Mask, nodata: float) -> Pixels:
    """Move valid values that equal nodata to the next value, as GDAL's warper does."""
    equal = valid & (pixels == nodata)
    if not equal.any():
        return pixels
    integer = np.issubdtype(pixels.dtype, np.integer)
    lowest = np.iinfo(pixels.dtype).min if integer else np.finfo(pixels.dtype).min
    toward = 1 if nodata <= max(0, lowest) else -1
    neighbour = nodata + toward if integer else np.nextafter(np.array(nodata, pixels.dtype), toward * math.inf)
    return np.where(equal, np.array(neighbour, pixels.dtype), pixels)
