"""What the values of chips made elsewhere become: colours of palettes, class numbers, and one nodata value for all.

A chip whose values stay as they are is not touched. numpy is imported where it is needed: conversion of encoded chips
starts faster without.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from segchips.errors import InputError
from segchips.records.chip_validity import (
    chip_pixels,
    palette_colours,
    unknown_labels,
    valid_values,
)

if TYPE_CHECKING:
    from segchips.arrays import Mask, Pixels
    from segchips.config.chips import LabelValue
    from segchips.records.chip_header import ChipHeader

_STRAY_SHARE, _NEAR = 0.01, 8
"""In a label whose compression changes values, a value is stray if it fills a smaller share of the chip, or if a value
so near to it is more frequent."""
_MAX_LISTED = 6


class Adjusted(NamedTuple):
    """A chip after its values are adjusted.

    Attributes:
        header: The header.
        pixels: Height x width x channels; None if they are those of the file.
        valid: Where (height x width) all bands have a valid value; None if they have everywhere.
        note: What was changed and cannot be seen from the config; empty if nothing was.
    """

    header: ChipHeader
    pixels: Pixels | None
    valid: Mask | None
    note: str = ""


@dataclass(frozen=True)
class ValueRules:
    """How the values of the chips of one dataset are adjusted.

    Attributes:
        classes: The class number of each label value or colour; empty to keep the values.
        unknown: The label value where image or label has no valid value; None to leave labels as they are.
        background: The label value that stands for no class; None without one.
        continuous: Whether labels are measured values.
        nodata: The nodata value of all images; None if they have none, when only masks say which pixels are valid.
    """

    classes: Mapping[LabelValue, int] = field(default_factory=dict)
    unknown: int | None = None
    background: int | None = None
    continuous: bool = False
    nodata: float | None = None

    def with_nodata(self, headers: Iterable[ChipHeader]) -> ValueRules:
        """These rules, with the nodata value that most of the images with these headers have."""
        declared = [header.nodata for header in headers if header.nodata is not None]
        if self.nodata is not None or not declared:
            return self
        return replace(self, nodata=max(declared, key=lambda value: sum(map(_same(value), declared))))

    def adjust_image(self, header: ChipHeader, pixels: Pixels | None) -> Adjusted:
        """Adjust an image chip: colours in place of a palette's indices, and one nodata value for all chips.

        Args:
            header: Its header.
            pixels: Its pixels; None if they are not decoded.
        """
        if header.palette and header.channels == 1:
            colours = palette_colours(header, chip_pixels(header, pixels))
            return Adjusted(replace(header, channels=colours.shape[2], palette=False, bare=False), colours, None)
        floats = header.dtype.startswith("float") and (self.unknown is not None or self.continuous)
        if not (header.masked or header.nodata is not None or self.nodata is not None or floats):
            return Adjusted(header, None, None)
        return self._mark_invalid(header, chip_pixels(header, pixels))

    def _mark_invalid(self, header: ChipHeader, pixels: Pixels) -> Adjusted:
        import numpy as np

        from segchips.chips.nodata import avoid_nodata

        values = valid_values(header, pixels)
        valid = np.asarray(values.all(axis=2))
        share = round(float(valid.mean()), 6)
        marked = pixels
        if self.nodata is not None and not _same(self.nodata)(header.nodata):
            marked = avoid_nodata(pixels, values, self.nodata)[0]
            marked = np.where(values, marked, np.array(self.nodata).astype(pixels.dtype))
        changed = marked is not pixels and not np.array_equal(marked, pixels, equal_nan=pixels.dtype.kind == "f")
        header = replace(header, valid=share, nodata=self.nodata, bare=header.bare and self.nodata is None)
        return Adjusted(header, marked if changed else None, valid if share < 1 else None)

    def adjust_label(self, header: ChipHeader, pixels: Pixels | None, valid: Mask | None) -> Adjusted:
        """Adjust a label chip.

        Args:
            header: Its header.
            pixels: Its pixels; None if they are not decoded.
            valid: Where the image has valid values; None if it has everywhere.

        Raises:
            InputError: A value is none of the classes, or the label is not one band of whole numbers.
        """
        plain = header.dtype[0] != "f" and not header.lossy
        has_unknown = self.unknown is not None and (
            valid is not None or header.masked or header.nodata not in (None, self.background)
        )
        if not self.classes and (header.channels > 1 or plain and not has_unknown and not self.continuous):
            return Adjusted(header, None, None)
        values = chip_pixels(header, pixels)
        unknown = unknown_labels(header, values, self.background)
        if valid is not None:
            unknown = ~valid if unknown is None else unknown | ~valid
        if self.continuous:
            return self._measured(header, values, unknown)
        if self.classes and (header.channels > 1 or header.palette):
            numbers, note = self._from_colours(header, values)
        else:
            numbers, note = self._from_values(header, values, unknown)
        if self.unknown is not None and unknown is not None:
            import numpy as np

            numbers = np.where(unknown[..., None], np.array(self.unknown, numbers.dtype), numbers)
        header = replace(header, channels=1, dtype=numbers.dtype.name, palette=False)
        return Adjusted(header, numbers, None, note)

    def _measured(self, header: ChipHeader, values: Pixels, unknown: Mask | None) -> Adjusted:
        import numpy as np

        floats = values.astype(np.float32)
        if unknown is not None:
            floats = np.where(unknown[..., None], np.float32(np.nan), floats)
        return Adjusted(replace(header, dtype="float32", palette=False), floats, None)

    def _from_values(self, header: ChipHeader, values: Pixels, unknown: Mask | None) -> tuple[Pixels, str]:
        """The class numbers of a label of one band, and a note about stray values."""
        import numpy as np

        if values.dtype.kind == "f":
            values = _whole_numbers(header, values, unknown if self.unknown is not None else None)
        if not self.classes:
            if header.lossy:
                _refuse_stray_values(header, values)
            return values, ""
        known = np.array([value for value in self.classes if isinstance(value, int)], np.int64)
        if not len(known):
            raise InputError(f"{header.path} has one band and no colours; name its values in chips.classes")
        found, positions = np.unique(values, return_inverse=True)
        nearest = np.abs(found[:, None].astype(np.int64) - known).argmin(axis=1)
        exact = known[nearest] == found
        ignored = np.zeros(values.shape, bool) if unknown is None or self.unknown is None else unknown[..., None]
        stray = ~exact[positions].reshape(values.shape) & ~ignored
        note = self._stray_note(header, stray, [str(value) for value in found[~exact].tolist()])
        numbers = np.array([self.classes[int(value)] for value in known], np.uint8)
        return numbers[nearest][positions].reshape(values.shape), note

    def _from_colours(self, header: ChipHeader, values: Pixels) -> tuple[Pixels, str]:
        """The class numbers of a label of colours, and a note about stray colours."""
        import numpy as np

        if header.channels == 1:
            if all(isinstance(value, int) for value in self.classes):
                return self._from_values(header, values, None)
            values = palette_colours(header, values)
        if values.dtype != np.uint8 or values.shape[2] not in (2, 3, 4):
            raise InputError(
                f"{header.path} has {values.shape[2]} bands of {values.dtype}; labels have 1, or 3 of uint8"
            )
        colours = values[..., :3] if values.shape[2] > 2 else values[..., [0, 0, 0]]
        keys = [(value,) * 3 if isinstance(value, int) else value for value in self.classes]
        known = np.array(keys, np.int64)
        codes = colours.astype(np.int64) @ (65536, 256, 1)
        found, positions = np.unique(codes, return_inverse=True)
        parts = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1)
        distance = ((parts[:, None] - known) ** 2).sum(axis=2)
        nearest = distance.argmin(axis=1)
        exact = distance.min(axis=1) == 0
        stray = ~exact[positions].reshape(codes.shape)
        note = self._stray_note(header, stray, [f"#{code:06x}" for code in found[~exact].tolist()])
        numbers = np.array(list(self.classes.values()), np.uint8)
        return numbers[nearest][positions].reshape(*codes.shape, 1), note

    @staticmethod
    def colour_advice(header: ChipHeader) -> str:
        """What to do with a label of three or four bands of bytes, with its main colours; empty for other labels."""
        import numpy as np

        if header.dtype != "uint8" or header.channels not in (3, 4):
            return ""
        colours = chip_pixels(header, None)[..., :3].reshape(-1, 3)
        found, counts = np.unique(colours, axis=0, return_counts=True)
        order = np.argsort(-counts)[:_MAX_LISTED]
        listed = ", ".join("#{:02x}{:02x}{:02x}".format(*found[at]) for at in order)
        more = ", ..." if len(found) > _MAX_LISTED else ""
        return f"; if its colours are classes, name them in chips.classes (it has {listed}{more})"

    def _stray_note(self, header: ChipHeader, stray: Mask, values: Sequence[str]) -> str:
        """What to say of pixels with none of the listed values; InputError if the file stores values exactly."""
        if not stray.any():
            return ""
        share = f"{100 * float(stray.mean()):.3g} % of the pixels of {header.path}"
        listed = ", ".join(values[:_MAX_LISTED]) + (", ..." if len(values) > _MAX_LISTED else "")
        if header.lossy:
            return f"{share} have values changed by lossy compression; they became the class of the nearest value"
        raise InputError(f"{share} have values that chips.classes lacks ({listed}); add them")


def _same(value: float) -> Callable[[float | None], bool]:
    """Whether a nodata value is this one; NaN is NaN."""
    return lambda other: other == value or (other is not None and math.isnan(other) and math.isnan(value))


def _whole_numbers(header: ChipHeader, values: Pixels, unknown: Mask | None) -> Pixels:
    """Labels of whole numbers that are stored as floats, as uint8."""
    import numpy as np

    known = values if unknown is None else np.where(unknown[..., None], 0, values)
    if not (np.isfinite(known).all() and (known == np.floor(known)).all() and known.min() >= 0 and known.max() <= 255):
        wrong = known[~(np.isfinite(known) & (known == np.floor(known)) & (known >= 0) & (known <= 255))]
        raise InputError(
            f"{header.path} has the label value {wrong.flat[0]:g} of {header.dtype}; classes are whole numbers from 0 "
            "to 255 (chips.kind: continuous keeps measured values, chips.unknown marks pixels without one)"
        )
    return known.astype(np.uint8)


def _refuse_stray_values(header: ChipHeader, values: Pixels) -> None:
    import numpy as np

    found, counts = np.unique(values, return_counts=True)
    near = np.abs(found[:, None].astype(np.int64) - found.astype(np.int64)) <= _NEAR
    few = (counts < _STRAY_SHARE * values.size) | (near & (counts > counts[:, None])).any(axis=1)
    if few.any():
        share = 100 * float(counts[few].sum()) / values.size
        common = ", ".join(map(str, found[~few].tolist()[:_MAX_LISTED])) or "none"
        raise InputError(
            f"{header.path} is a label with lossy compression (JPEG): {share:.3g} % of its pixels have stray values "
            f"beside the common ones ({common}); name the true values in chips.classes, such as {{0: 0, 255: 1}}"
        )
