"""Nodata values: which values of an array equal them, and which value stands for pixels that are not valid."""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from segchips.arrays import Mask, Pixels
from segchips.config.imagery import Product
from segchips.errors import ConfigError

_TOLERANCE = 4 * float(np.finfo(np.float32).eps)
"""GDAL takes floats of 32 and 64 bits for nodata that differ from it by less than this share of it."""
ProductNodata = tuple[np.dtype[Any], float | None]
"""The dtype of a product's pixels, and its nodata value; None where each of its values may be valid."""


def is_nodata(values: Pixels, nodata: float) -> Mask:
    """Return which values equal a nodata value in their own dtype.

    Floats are compared as GDAL's masks compare them, because files store nodata as a text of few digits. A value that
    the dtype cannot hold equals nothing; NaN equals NaN.
    """
    dtype = values.dtype
    if not fits_dtype(nodata, dtype):
        return np.zeros(values.shape, bool)
    if not np.issubdtype(dtype, np.floating):
        return np.asarray(values == int(nodata))
    if not math.isfinite(nodata):
        return np.isnan(values) if math.isnan(nodata) else np.asarray(values == nodata)
    low, high = _limits(nodata, dtype)
    return (values >= low) & (values <= high)


def _limits(nodata: float, dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """The lowest and the highest float that equal a nodata value."""
    reach = _TOLERANCE * abs(nodata)
    with np.errstate(over="ignore"):
        return dtype.type(nodata - reach), dtype.type(nodata + reach)


def any_nodata(values: Pixels, nodata: Iterable[float | None]) -> Mask:
    """Return which values equal one of several nodata values; None among these equals nothing."""
    masks = [is_nodata(values, value) for value in {*nodata} if value is not None and not math.isnan(value)]
    if not masks:
        return np.zeros(values.shape, bool)
    return masks[0] if len(masks) == 1 else np.logical_or.reduce(masks)


@lru_cache(1024)
def fits_dtype(value: float, dtype: np.dtype[Any]) -> bool:
    """Return whether a dtype can represent the value."""
    if np.issubdtype(dtype, np.floating):
        return not math.isfinite(value) or abs(value) <= float(np.finfo(dtype).max)
    limits = np.iinfo(dtype)
    return math.isfinite(value) and value == int(value) and limits.min <= value <= limits.max


def check_configured_nodata(product: Product, dtype: np.dtype[Any], key: str) -> None:
    """Check that the nodata value that the config gives a product, if it does, fits its dtype.

    Args:
        product: The product.
        dtype: The dtype of its scenes.
        key: Where the config declares the layer.

    Raises:
        ConfigError: The dtype cannot hold the value.
    """
    rule = product.nodata_rule
    if rule and not fits_dtype(rule.value, dtype):
        text = f"nodata {rule.value} of '{product.id}' does not fit its {dtype}; choose another"
        raise ConfigError(f"{key}.products: {text}")


def chip_nodata(products: Sequence[ProductNodata], dtype: np.dtype[Any]) -> float | None:
    """Choose the nodata value of a chip, so that it is no valid value of any product.

    Args:
        products: Each product's dtype, and its nodata value if it has one.
        dtype: The chip's dtype.

    Returns:
        For floats the value of all products where they agree, else NaN. For integers the first value of a product, or
        else the lowest of the dtype, that each product has as its nodata value or cannot hold. None where there is no
        such value.
    """
    declared = [value for _, value in products if value is not None]
    if np.issubdtype(dtype, np.floating):
        agreed = len(declared) == len(products) and len({repr(float(value)) for value in declared}) == 1
        return declared[0] if agreed else math.nan
    candidates = [*declared, float(np.iinfo(dtype).min)] if declared else []
    safe = (one for one in candidates if all(one == own or not fits_dtype(one, kind) for kind, own in products))
    return next(safe, None)


def avoid_nodata(pixels: Pixels, valid: Mask, nodata: float) -> tuple[Pixels, int]:
    """Move valid values that equal nodata to the next value that does not, as GDAL's warper does.

    Returns:
        The pixels, and how many of them were moved.
    """
    equal = valid & is_nodata(pixels, nodata)
    count = int(np.count_nonzero(equal))
    if not count:
        return pixels, 0
    integer = np.issubdtype(pixels.dtype, np.integer)
    lowest = np.iinfo(pixels.dtype).min if integer else np.finfo(pixels.dtype).min
    toward = 1 if nodata <= max(0, lowest) else -1
    if integer:
        neighbour = nodata + toward
    else:
        neighbour = np.nextafter(_limits(nodata, pixels.dtype)[toward > 0], pixels.dtype.type(toward * math.inf))
    return np.where(equal, np.array(neighbour, pixels.dtype), pixels), count
