"""Counts of pixels by class, band and value, added up chip by chip and shard by shard. Every sum is exact.

Values are counted by their codes (`pixel_values`), in pages of consecutive codes. Pixels that are nodata or not finite
count for their class and for no value.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from segchips.arrays import Array, Ints, Mask
from segchips.records.exact_sums import ExactSums, segment_sums
from segchips.records.pixel_values import INVALID_CODE, code_values, is_wide, valid_pixels, value_codes

ClassValue = int | None
"""A label value, or None for all of them together."""
BLOCK_PIXELS = 1 << 17
"""Pixels that are counted at once: enough to outweigh the calls, few enough for the processor's cache."""
MAX_CLASSES = 256
"""With more label values, such as numbers of instances, pixels are not counted by class."""


class PixelCounts:
    """The counts of a set of chips, by label value; under None if there are more than MAX_CLASSES of them.

    Attributes:
        dtype: The dtype of the images.
        bands: The number of their bands.
        nodata: Their nodata value; None without one.
        chip_count: The number of chips.
        classes_merged: Whether all pixels are counted under None.
        with_masks: Whether the masks of chips left pixels out, which the chips' records do not tell.
    """

    def __init__(self, dtype: str, bands: int, nodata: float | None) -> None:
        self.dtype, self.bands, self.nodata = np.dtype(dtype), bands, nodata
        self.chip_count, self.classes_merged, self.with_masks = 0, False, False
        self._pixels: Counter[ClassValue] = Counter()
        self._chips: Counter[ClassValue] = Counter()
        self._pages: dict[tuple[ClassValue, int], dict[int, Ints]] = {}
        self._sums: dict[tuple[ClassValue, int], ExactSums] = {}
        self._page_bits = 8 if self.dtype.itemsize == 1 else 10
        self._classes: list[ClassValue] = []
        self._buffer: list[tuple[Array, Array, Mask | None]] = []
        self._buffered_pixels = 0

    def add(self, image: Array, label: Array, valid: Mask | None = None) -> None:
        """Count a chip.

        Args:
            image: Height x width x bands, in the dtype of the counts.
            label: One value for each pixel.
            valid: Which pixels (height x width) have values, for chips without a nodata value; None if all have.
        """
        numbers = self._class_numbers(label.ravel())
        self._chips.update(self._classes[number] for number in _distinct(numbers))
        self.chip_count += 1
        self._buffer.append((image.reshape(-1, self.bands), numbers, None if valid is None else valid.ravel()))
        self._buffered_pixels += len(numbers)
        if self._buffered_pixels >= BLOCK_PIXELS:
            self._flush()

    def _flush(self) -> None:
        """Count the buffered chips."""
        if self._buffer:
            images, labels, masks = zip(*self._buffer, strict=True)
            self._buffer, self._buffered_pixels = [], 0
            pixels, numbers, valid = np.concatenate(images), np.concatenate(labels), _concatenate_masks(masks, labels)
            for start in range(0, len(numbers), BLOCK_PIXELS):
                block = slice(start, start + BLOCK_PIXELS)
                self._count(pixels[block], numbers[block], None if valid is None else valid[block])

    @property
    def pixels_by_class(self) -> Mapping[ClassValue, int]:
        """The number of pixels of each class, in one band."""
        self._flush()
        return self._pixels

    @property
    def chips_by_class(self) -> Mapping[ClassValue, int]:
        """The number of chips that have pixels of each class."""
        return self._chips

    def _class_numbers(self, label: Array) -> Array:
        """The position of each pixel's class in `_classes`, as uint8."""
        if self.classes_merged:
            return np.zeros(label.size, np.uint8)
        if label.dtype == np.uint8:
            self._classes = self._classes or list(range(256))
            return label
        values, positions = np.unique(label, return_inverse=True)
        classes = [int(value) if math.isfinite(value) and value == int(value) else None for value in values.tolist()]
        self._classes += [value for value in classes if value not in self._classes]
        if None in classes or len(self._classes) > MAX_CLASSES:
            self._merge_classes()
            return np.zeros(label.size, np.uint8)
        return np.array([self._classes.index(value) for value in classes], np.uint8)[positions].ravel()

    def _merge_classes(self) -> None:
        """Count all pixels, also those to come, under None."""
        merged = self.with_merged_classes()
        self.classes_merged, self._classes = True, [None]
        self._pixels, self._chips = merged._pixels, merged._chips
        self._pages, self._sums = merged._pages, merged._sums

    def with_merged_classes(self) -> "PixelCounts":
        """A copy with all pixels under None."""
        merged = PixelCounts(self.dtype.str, self.bands, self.nodata)
        merged._classes = [None]
        merged._pixels[None], merged._chips[None] = sum(self.pixels_by_class.values()), self.chip_count
        merged.chip_count, merged.classes_merged, merged.with_masks = self.chip_count, True, self.with_masks
        for (_, band), pages in self._pages.items():
            merged._add_pages((None, band), pages)
        for (_, band), sums in self._sums.items():
            merged._sums[None, band] = merged._sums.get((None, band), ExactSums()) + sums
        return merged

    def _add_pages(self, key: tuple[ClassValue, int], pages: Mapping[int, Ints]) -> None:
        counted = self._pages.setdefault(key, {})
        for page, counts in pages.items():
            if page in counted:
                counted[page] += counts
            else:
                counted[page] = counts.copy()

    def _count(self, pixels: Array, numbers: Array, valid: Mask | None) -> None:
        """Count a block of pixels: one histogram for each band, of pairs of class and code."""
        if valid is not None and not valid.all():
            self.with_masks = True
            values, counts = np.unique(numbers[~valid], return_counts=True)
            invalid = zip(values.tolist(), counts.tolist(), strict=True)
            self._pixels += Counter({self._classes[number]: count for number, count in invalid})
            pixels, numbers = pixels[valid], numbers[valid]
            if not len(numbers):
                return
        codes = value_codes(pixels)
        if wide := is_wide(self.dtype):
            valid_values = valid_pixels(pixels, self.nodata)
            self._add_sums(pixels, valid_values, numbers)
            pages, codes = self._compact_pages(np.where(valid_values, codes, INVALID_CODE))
        elif self._page_bits == 8:
            pages = np.zeros(1, np.int64)
        else:
            pages = np.arange(int(codes.min()) >> self._page_bits, (int(codes.max()) >> self._page_bits) + 1)
        base = 0 if wide else int(pages[0]) << self._page_bits
        starts, present = self._class_offsets(numbers, len(pages) << self._page_bits)
        bins = base + len(present) * (len(pages) << self._page_bits)
        for band in range(self.bands):
            counts = np.bincount(starts + codes[:, band], minlength=bins)[base:]
            counts = counts.reshape(len(present), len(pages), -1)
            for position, page in np.argwhere(counts.any(axis=2)).tolist():
                if pages[page] != INVALID_CODE >> self._page_bits:
                    key = self._classes[present[position]], band
                    self._add_pages(key, {int(pages[page]): counts[position, page]})
            if band == 0:
                totals = zip(present, counts.sum(axis=(1, 2)).tolist(), strict=True)
                self._pixels += Counter({self._classes[number]: total for number, total in totals if total})

    def _class_offsets(self, numbers: Array, width: int) -> tuple[Array, Sequence[int]]:
        """The first bin of each pixel's class, of which each has `width`, and the classes that have bins."""
        if self._page_bits == 8:
            return numbers.astype(np.uint16) << 8, range(256)
        present = _distinct(numbers)
        starts = np.zeros(256, np.uint32)
        starts[present] = np.arange(len(present)) * width
        return starts.take(numbers), present

    def _compact_pages(self, codes: Array) -> tuple[Array, Array]:
        """The pages that occur, and the codes numbered as if there were no others."""
        page = codes >> self._page_bits
        pages = np.flatnonzero(np.bincount(page.ravel()))
        positions = np.zeros(int(pages[-1]) + 1, np.uint32)
        positions[pages] = np.arange(len(pages))
        return pages, (positions[page] << self._page_bits) + (codes & (1 << self._page_bits) - 1)

    def _add_sums(self, pixels: Array, valid: Array, numbers: Array) -> None:
        order = np.argsort(numbers, kind="stable")
        pixels, valid, numbers = pixels.take(order, axis=0), valid.take(order, axis=0), numbers[order]
        for band in np.flatnonzero(valid.any(axis=0)).tolist():
            values, of_class = pixels[:, band][valid[:, band]], numbers[valid[:, band]]
            first = np.flatnonzero(np.diff(of_class, prepend=of_class[0] + 1))
            for number, sums in zip(of_class[first].tolist(), segment_sums(values, first), strict=True):
                key = self._classes[number], band
                self._sums[key] = self._sums.get(key, ExactSums()) + sums

    def histogram(self, value: ClassValue, band: int) -> tuple[Array, Array]:
        """The codes of the valid pixels of a class in a band, ascending, and the number of pixels of each."""
        self._flush()
        size, pages = 1 << self._page_bits, sorted(self._pages.get((value, band), {}).items())
        counts = np.array([counts for _, counts in pages], np.int64).ravel()
        codes = (np.array([page for page, _ in pages], np.int64)[:, None] * size + np.arange(size)).ravel()
        present = counts > 0
        if self.nodata is not None and not is_wide(self.dtype):
            present &= code_values(codes, self.dtype) != self.nodata
        return codes[present], counts[present]

    def sums(self, value: ClassValue, band: int) -> ExactSums:
        """The sums of the valid pixels of a class in a band."""
        if is_wide(self.dtype):
            self._flush()
            return self._sums.get((value, band), ExactSums())
        codes, counts = self.histogram(value, band)
        if not len(codes):
            return ExactSums()
        values, times = code_values(codes, self.dtype).astype(object), counts.astype(object)
        return ExactSums(sum(times), sum(times * values), sum(times * values * values), values[0], values[-1])

    def merge(self, other: "PixelCounts") -> None:
        """Add the counts of other chips of the same dtype and number of bands."""
        classes = self.pixels_by_class.keys() | other.pixels_by_class.keys()
        if self.classes_merged or other.classes_merged or len(classes) > MAX_CLASSES:
            other = other.with_merged_classes()
            self._merge_classes()
        self.chip_count += other.chip_count
        self.with_masks |= other.with_masks
        self._pixels.update(other.pixels_by_class)
        self._chips.update(other.chips_by_class)
        for key, pages in other._pages.items():
            self._add_pages(key, pages)
        for key, sums in other._sums.items():
            self._sums[key] = self._sums.get(key, ExactSums()) + sums

    @property
    def is_divisible(self) -> bool:
        """Whether records can be subtracted: every value and every class of all their pixels is counted separately."""
        return not (is_wide(self.dtype) or self.classes_merged or self.with_masks)

    def subtract(self, other: "PixelCounts") -> None:
        """Subtract the counts of some of the chips. Both counts must be divisible."""
        self.chip_count -= other.chip_count
        self._pixels -= Counter(other.pixels_by_class)
        self._chips -= Counter(other.chips_by_class)
        for key, pages in other._pages.items():
            remaining = self._pages[key]
            for page, counts in pages.items():
                remaining[page] = remaining[page] - counts
            self._pages[key] = {page: counts for page, counts in remaining.items() if counts.any()}
            if not self._pages[key]:
                del self._pages[key]

    def with_merged_steps(self, steps: int) -> "PixelCounts":
        """A copy with the bands of all steps of a time series counted as those of one step."""
        merged = PixelCounts(self.dtype.str, self.bands // steps, self.nodata)
        merged.chip_count, merged.classes_merged, merged.with_masks = (
            self.chip_count,
            self.classes_merged,
            self.with_masks,
        )
        merged._pixels = Counter({value: steps * count for value, count in self.pixels_by_class.items()})
        merged._chips = Counter(self.chips_by_class)
        for (value, band), pages in self._pages.items():
            merged._add_pages((value, band % merged.bands), pages)
        for (value, band), sums in self._sums.items():
            key = value, band % merged.bands
            merged._sums[key] = merged._sums.get(key, ExactSums()) + sums
        return merged

    def arrays(self) -> dict[str, Array]:
        """The counts as arrays for an npz file, the same for the same chips."""
        pixels = self.pixels_by_class
        pages = [(*key, page) for key in sorted(self._pages, key=repr) for page in sorted(self._pages[key])]
        counts = np.array([self._pages[value, band][page] for value, band, page in pages], np.int64).ravel()
        positions = np.flatnonzero(counts)
        about = {
            "dtype": self.dtype.name,
            "bands": self.bands,
            "nodata": None if self.nodata is None else repr(float(self.nodata)),
            "chips": self.chip_count,
            "joined": self.classes_merged,
            "classes": [[value, pixels[value], self.chips_by_class[value]] for value in sorted(pixels, key=repr)],
            "pages": pages,
            "sums": [[*key, *map(str, vars(self._sums[key]).values())] for key in sorted(self._sums, key=repr)],
        }
        if self.with_masks:
            about["masks"] = True
        text = np.frombuffer(json.dumps(about).encode(), np.uint8)
        smallest = np.min_scalar_type(int(counts.max(initial=0)))
        return {"about": text, "places": positions.astype(np.uint32), "counts": counts[positions].astype(smallest)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> "PixelCounts":
        """The counts that `arrays` returned.

        Raises:
            KeyError, TypeError, ValueError: The arrays are something else.
        """
        about, positions, stored = json.loads(arrays["about"].tobytes()), arrays["places"], arrays["counts"]
        counts = cls(about["dtype"], about["bands"], about["nodata"] and float(about["nodata"]))
        counts.chip_count, counts.classes_merged = about["chips"], about["joined"]
        counts.with_masks = about.get("masks", False)
        for value, pixels, chips in about["classes"]:
            counts._pixels[value], counts._chips[value] = pixels, chips
        dense = np.zeros((len(about["pages"]), 1 << counts._page_bits), np.int64)
        dense.reshape(-1)[positions] = stored
        for (value, band, page), row in zip(about["pages"], dense, strict=True):
            counts._pages.setdefault((value, band), {})[page] = row
        for value, band, count, total, squares, low, high in about["sums"]:
            extremes = [float(text) if counts.dtype.kind == "f" else int(text) for text in (low, high)]
            counts._sums[value, band] = ExactSums(int(count), Fraction(total), Fraction(squares), *extremes)
        return counts


def _concatenate_masks(masks: Sequence[Mask | None], labels: Sequence[Array]) -> Mask | None:
    """One mask of all pixels; None if all are valid."""
    if all(mask is None for mask in masks):
        return None
    pairs = zip(masks, labels, strict=True)
    return np.concatenate([np.ones(len(label), bool) if mask is None else mask for mask, label in pairs])


def _distinct(numbers: Array) -> list[int]:
    """The numbers that occur, ascending. Only changes are sorted, for labels come in patches."""
    changes = numbers[1:][numbers[1:] != numbers[:-1]]
    return sorted({*numbers[:1].tolist(), *np.unique(changes).tolist()})
