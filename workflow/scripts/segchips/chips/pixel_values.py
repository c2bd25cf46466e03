"""Pixel values: scaling and cloud masks."""

import math

import numpy as np

from segchips.arrays import Mask, Pixels
from segchips.config.imagery import CloudMask
from segchips.scenes.model import Band, Scaling


def is_clear(values: Pixels, mask: CloudMask) -> Mask:
    """Return which values of a mask band mean clear sky.

    These are values of the classes that are clear, values in the range that is clear, or integers with none of the bits
    that mark clouds and with clear numbers in all fields of bits. NaN is not clear.
    """
    if mask.clear:
        return np.isin(values, mask.clear)
    if mask.bits or mask.fields:
        return _has_clear_bits(values, mask)
    low, high = (-math.inf if mask.min is None else mask.min), (math.inf if mask.max is None else mask.max)
    return np.asarray((values >= low) & (values <= high))


def _has_clear_bits(values: Pixels, mask: CloudMask) -> Mask:
    if np.issubdtype(values.dtype, np.integer):
        has_bits, words = np.ones(values.shape, bool), values.astype(np.int64)
    else:
        has_bits = np.abs(np.nan_to_num(values, nan=np.inf, posinf=np.inf, neginf=np.inf)) < 2.0**63
        words = np.where(has_bits, values, 0).astype(np.int64)
    clear = has_bits & ((words & sum(1 << bit for bit in mask.bits or ())) == 0)
    for field in mask.fields or ():
        numbers = (words >> field.bits[0]) & ((1 << len(field.bits)) - 1)
        clear &= np.isin(numbers, field.clear)
    return clear


def rescale(plane: Pixels, valid: Mask, band: Band, target: Scaling) -> Pixels:
    """Convert pixel values from a band's scale and offset to those of the target.

    Integers are rounded, and physical values below the lowest that the target can say become that one.

    Raises:
        OverflowError: A valid value is above the highest that the target can say; the text says it.
    """
    scale, offset = target
    values = plane * (band.scale / scale) + (band.offset - offset) / scale
    if np.issubdtype(plane.dtype, np.integer):
        limits = np.iinfo(plane.dtype)
        values = np.rint(np.round(values, 6))
        if (values[valid] > limits.max).any():
            raise OverflowError(f"{values[valid].max():g}")
        values = np.clip(values, limits.min, limits.max)
    return values.astype(plane.dtype)
