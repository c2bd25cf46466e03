"""Which pixels of a chip made elsewhere have a valid value, and the colours of a palette."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from segchips.records.chip_reader import open_chip

if TYPE_CHECKING:
    from segchips.arrays import Mask, Pixels
    from segchips.records.chip_header import ChipHeader


def _pixels_of(source: Any) -> Pixels:
    pixels: Pixels = source.read().transpose(1, 2, 0)
    return pixels


def chip_pixels(header: ChipHeader, pixels: Pixels | None) -> Pixels:
    """The pixels (height x width x channels), read from the chip's file if they are None."""
    if pixels is not None:
        return pixels
    with open_chip(header.path) as source:
        return _pixels_of(source)


def valid_values(header: ChipHeader, pixels: Pixels) -> Mask:
    """Which values (height x width x channels) are valid by the nodata value, a mask, or an alpha band.

    A last band that is marked as alpha counts as such only if it holds no values but 0 and the highest one: GDAL marks
    the fourth band of every file of four bytes as alpha, also near infrared.
    """
    import numpy as np

    from segchips.chips.nodata import is_nodata

    valid = ~np.isnan(pixels) if pixels.dtype.kind == "f" else np.ones(pixels.shape, bool)
    if header.nodata is not None and not math.isnan(header.nodata):
        valid &= ~is_nodata(pixels, header.nodata)
    if header.masked and header.channels in (2, 4) and pixels.dtype.kind == "u":
        alpha = pixels[..., -1:]
        binary = np.isin(alpha, (0, np.iinfo(pixels.dtype).max)).all()
        return valid & (alpha != 0) if binary else valid
    if header.masked:
        with open_chip(header.path) as source:
            masks: Pixels = source.read_masks().transpose(1, 2, 0)
        return valid & (masks != 0)
    return valid


def unknown_labels(header: ChipHeader, values: Pixels, background: int | None) -> Mask | None:
    """Where (height x width) a label has no value by mask, nodata value or NaN; None if it has one everywhere."""
    import numpy as np

    from segchips.chips.nodata import is_nodata

    unknown: Mask = np.zeros(values.shape[:2], bool)
    if values.dtype.kind == "f":
        unknown |= np.isnan(values).any(axis=2)
    if header.nodata is not None and not math.isnan(header.nodata) and header.nodata != background:
        unknown |= is_nodata(values, header.nodata).all(axis=2)
    if header.masked and header.channels == 1:
        with open_chip(header.path) as source:
            unknown |= source.read_masks(1) == 0
    return unknown if bool(unknown.any()) else None


def palette_colours(header: ChipHeader, indices: Pixels) -> Pixels:
    """The colours (height x width x 3) of the indices of a palette."""
    import numpy as np

    with open_chip(header.path) as source:
        table = source.colormap(1)
    colours = np.zeros((max(256, int(indices.max()) + 1), 3), np.uint8)
    for index, entry in table.items():
        colours[index] = entry[:3]
    return colours[indices[..., 0]]
