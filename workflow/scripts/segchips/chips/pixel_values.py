"""TODO: describe."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from segchips.arrays import Mask, Pixels
from segchips.chips.image_plan import Scaling
from segchips.config.model import CloudMask
from segchips.scenes.model import Band


def chip_nodata(declared: Sequence[float], dtype: np.dtype[Any]) -> float:
    """One nodata value for the chip: what the products agree on, else NaN if it can be, else the first's, else 0."""
    agreed = len({repr(float(value)) for value in declared}) == 1
    if not agreed and np.issubdtype(dtype, np.floating):
        return math.nan
    return declared[0] if declared else 0.0


def fits_dtype(value: float, dtype: np.dtype[Any]) -> bool:
    """Tell whether the dtype holds the value exactly; floating point holds any."""
    if np.issubdtype(dtype, np.floating):
        return True
    limits = np.iinfo(dtype)
    return math.isfinite(value) and value == int(value) and limits.min <= value <= limits.max


def is_clear(values: Pixels, mask: CloudMask) -> Mask:
    """Tell which mask values mean clear; a float that is not a 64-bit integer has no bits and is not clear."""
    if mask.clear:
        return np.isin(values, mask.clear)
    flags = sum(1 << bit for bit in mask.bits or ())
    if np.issubdtype(values.dtype, np.integer):
        return (values.astype(np.int64) & flags) == 0
    has_bits = np.abs(np.nan_to_num(values, nan=np.inf, posinf=np.inf, neginf=np.inf)) < 2.0**63
    return has_bits & ((np.where(has_bits, values, 0).astype(np.int64) & flags) == 0)


def rescale(plane: Pixels, band: Band, goal: Scaling) -> Pixels:
    """The plane in the goal's scale and offset."""
    scale, offset = goal
    values = plane * (band.scale / scale) + (band.offset - offset) / scale
    if np.issubdtype(plane.dtype, np.integer):
        limits = np.iinfo(plane.dtype)
        values = np.clip(np.rint(np.round(values, 6)), limits.min, limits.max)
    return values.astype(plane.dtype)


def avoid_nodata(pixels: Pixels, valid: Mask, nodata: float) -> Pixels:
    """Move valid values that landed on nodata to the next value, as GDAL's warper does."""
    landed = valid & (pixels == nodata)
    if not landed.any():
        return pixels
    integer = np.issubdtype(pixels.dtype, np.integer)
    lowest = np.iinfo(pixels.dtype).min if integer else np.finfo(pixels.dtype).min
    up = nodata <= max(0, lowest)
    toward = 1 if up else -1
    beside = nodata + toward if integer else np.nextafter(np.array(nodata, pixels.dtype), toward * math.inf)
    return np.where(landed, np.array(beside, pixels.dtype), pixels)
