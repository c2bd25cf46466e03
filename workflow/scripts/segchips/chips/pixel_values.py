"""Pixel values: scaling and cloud masks."""

import numpy as np

from segchips.arrays import Mask, Pixels
from segchips.config.imagery import CloudMask
from segchips.scenes.model import Band, Scaling


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
