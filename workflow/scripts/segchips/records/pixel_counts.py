"""Counts of pixels by class, band and value, added up chip by chip and shard by shard; every sum is exact.

Integers of up to 16 bits are counted value by value. A value of a wider type is counted with those that share its upper
19 bits as a float32: sign, exponent and ten bits of its mantissa, which tell it to a thousandth. Pixels that are nodata
or not finite count for their class and for no value.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from segchips.arrays import Array, Ints
from segchips.errors import RecordError
from segchips.files import atomic_path
from segchips.records.exact_sums import ExactSums, segment_sums
from segchips.records.pixel_values import (
    BLOCK_PIXELS,
    INVALID_CODE,
    MAX_CLASSES,
    ClassValue,
    code_values,
    is_wide,
    valid_pixels,
    value_codes,
)


class PixelCounts:
    """The counts of one set of chips by label value, or under None where there are more than CLASSES of them."""

    def __init__(self, dtype: str, bands: int, nodata: float | None) -> None:
        self.dtype, self.bands, self.nodata = np.dtype(dtype), bands, nodata
        self.chips, self.joined = 0, False
        self._pixels: Counter[ClassValue] = Counter()
        self._holders: Counter[ClassValue] = Counter()
        self._pages: dict[tuple[ClassValue, int], dict[int, Ints]] = {}
        self._sums: dict[tuple[ClassValue, int], ExactSums] = {}
        self._page_bits = 8 if self.dtype.itemsize == 1 else 10
        self._names: list[ClassValue] = []
        self._pending: list[tuple[Array, Array]] = []
        self._waiting = 0

    def add(self, image: Array, label: Array) -> None:
        """Count a chip: image height x width x channels, label of as many pixels."""
        numbers = self._numbers(label.ravel())
        self._holders.update(self._names[number] for number in _present(numbers))
        self.chips += 1
        self._pending.append((image.reshape(-1, self.bands), numbers))
        self._waiting += len(numbers)
        if self._waiting >= BLOCK_PIXELS:
            self._flush()

    def _flush(self) -> None:
        """Count the chips that wait for company."""
        if self._pending:
            pixels, numbers = (np.concatenate(parts) for parts in zip(*self._pending, strict=True))
            self._pending, self._waiting = [], 0
            for start in range(0, len(numbers), BLOCK_PIXELS):
                self._count(pixels[start : start + BLOCK_PIXELS], numbers[start : start + BLOCK_PIXELS])

    @property
    def pixels(self) -> Mapping[ClassValue, int]:
        """How many pixels each class has in one band."""
        self._flush()
        return self._pixels

    @property
    def holders(self) -> Mapping[ClassValue, int]:
        """How many chips hold each class."""
        return self._holders

    def _numbers(self, label: Array) -> Array:
        """Each pixel's place in the list of class names, as uint8."""
        if self.joined:
            return np.zeros(label.size, np.uint8)
        if label.dtype == np.uint8:
            self._names = self._names or list(range(256))
            return label
        found, places = np.unique(label, return_inverse=True)
        names = [int(value) if math.isfinite(value) and value == int(value) else None for value in found.tolist()]
        self._names += [name for name in names if name not in self._names]
        if None in names or len(self._names) > MAX_CLASSES:
            self._join()
            return np.zeros(label.size, np.uint8)
        return np.array([self._names.index(name) for name in names], np.uint8)[places].ravel()

    def _join(self) -> None:
        """From now on all pixels are of one class."""
        whole = self.of_all_classes()
        self.joined, self._names = True, [None]
        self._pixels, self._holders = whole._pixels, whole._holders
        self._pages, self._sums = whole._pages, whole._sums

    def of_all_classes(self) -> "PixelCounts":
        """The same counts under None."""
        whole = PixelCounts(self.dtype.str, self.bands, self.nodata)
        whole.chips, whole.joined = self.chips, True
        whole._pixels[None], whole._holders[None] = sum(self.pixels.values()), self.chips
        for (_, band), pages in self._pages.items():
            whole._add_pages((None, band), pages)
        for (_, band), sums in self._sums.items():
            whole._sums[None, band] = whole._sums.get((None, band), ExactSums()) + sums
        return whole

    def _add_pages(self, key: tuple[ClassValue, int], pages: Mapping[int, Ints]) -> None:
        known = self._pages.setdefault(key, {})
        for page, counts in pages.items():
            if page in known:
                known[page] += counts
            else:
                known[page] = counts.copy()

    def _count(self, pixels: Array, numbers: Array) -> None:
        """Count a block of pixels, pairs of class and code at once."""
        codes = value_codes(pixels)
        if wide := is_wide(self.dtype):
            valid = valid_pixels(pixels, self.nodata)
            self._add_sums(pixels, valid, numbers)
            pages, codes = self._close_up(np.where(valid, codes, INVALID_CODE))
        elif self._page_bits == 8:
            pages = np.zeros(1, np.int64)
        else:
            pages = np.arange(int(codes.min()) >> self._page_bits, (int(codes.max()) >> self._page_bits) + 1)
        base = 0 if wide else int(pages[0]) << self._page_bits
        starts, present = self._starts(numbers, len(pages) << self._page_bits)
        bins = base + len(present) * (len(pages) << self._page_bits)
        for band in range(self.bands):
            counts = np.bincount(starts + codes[:, band], minlength=bins)[base:]
            counts = counts.reshape(len(present), len(pages), -1)
            for place, page in np.argwhere(counts.any(axis=2)).tolist():
                if pages[page] != INVALID_CODE >> self._page_bits:
                    self._add_pages((self._names[present[place]], band), {int(pages[page]): counts[place, page]})
            if band == 0:
                of_class = zip(present, counts.sum(axis=(1, 2)).tolist(), strict=True)
                self._pixels += Counter({self._names[number]: count for number, count in of_class if count})

    def _starts(self, numbers: Array, width: int) -> tuple[Array, Sequence[int]]:
        """Where each pixel's class begins, with `width` codes for each, and the classes that have a place."""
        if self._page_bits == 8:
            return numbers.astype(np.uint16) << 8, range(256)
        present = _present(numbers)
        starts = np.zeros(256, np.uint32)
        starts[present] = np.arange(len(present)) * width
        return starts.take(numbers), present

    def _close_up(self, codes: Array) -> tuple[Array, Array]:
        """The pages that occur, and the codes as if these were all there are."""
        page = codes >> self._page_bits
        pages = np.flatnonzero(np.bincount(page.ravel()))
        places = np.zeros(int(pages[-1]) + 1, np.uint32)
        places[pages] = np.arange(len(pages))
        return pages, (places[page] << self._page_bits) + (codes & (1 << self._page_bits) - 1)

    def _add_sums(self, pixels: Array, valid: Array, numbers: Array) -> None:
        order = np.argsort(numbers, kind="stable")
        pixels, valid, numbers = pixels.take(order, axis=0), valid.take(order, axis=0), numbers[order]
        for band in np.flatnonzero(valid.any(axis=0)).tolist():
            column, of = pixels[:, band][valid[:, band]], numbers[valid[:, band]]
            first = np.flatnonzero(np.diff(of, prepend=of[0] + 1))
            for number, sums in zip(of[first].tolist(), segment_sums(column, first), strict=True):
                key = self._names[number], band
                self._sums[key] = self._sums.get(key, ExactSums()) + sums

    def histogram(self, name: ClassValue, band: int) -> tuple[Array, Array]:
        """The codes that occur among the valid pixels of a class in a band, in order, and how often each does."""
        self._flush()
        size, pages = 1 << self._page_bits, sorted(self._pages.get((name, band), {}).items())
        counts = np.array([counts for _, counts in pages], np.int64).ravel()
        codes = (np.array([page for page, _ in pages], np.int64)[:, None] * size + np.arange(size)).ravel()
        kept = counts > 0
        if self.nodata is not None and not is_wide(self.dtype):
            kept &= code_values(codes, self.dtype) != self.nodata
        return codes[kept], counts[kept]

    def sums(self, name: ClassValue, band: int) -> ExactSums:
        """The sums of the valid pixels of a class in a band."""
        if is_wide(self.dtype):
            self._flush()
            return self._sums.get((name, band), ExactSums())
        codes, counts = self.histogram(name, band)
        if not len(codes):
            return ExactSums()
        values, many = code_values(codes, self.dtype).astype(object), counts.astype(object)
        return ExactSums(sum(many), sum(many * values), sum(many * values * values), values[0], values[-1])

    def merge(self, other: "PixelCounts") -> None:
        """Add the counts of other chips of the same type."""
        if self.joined or other.joined or len(self.pixels.keys() | other.pixels.keys()) > MAX_CLASSES:
            other = other.of_all_classes()
            self._join()
        self.chips += other.chips
        self._pixels.update(other.pixels)
        self._holders.update(other.holders)
        for key, pages in other._pages.items():
            self._add_pages(key, pages)
        for key, sums in other._sums.items():
            self._sums[key] = self._sums.get(key, ExactSums()) + sums

    @property
    def is_divisible(self) -> bool:
        """Whether chips can be taken out again: all values are counted one by one, and by class."""
        return not (is_wide(self.dtype) or self.joined)

    def subtract(self, other: "PixelCounts") -> None:
        """Take out the counts of some of the chips; both tallies are divisible."""
        self.chips -= other.chips
        self._pixels -= Counter(other.pixels)
        self._holders -= Counter(other.holders)
        for key, pages in other._pages.items():
            mine = self._pages[key]
            for page, counts in pages.items():
                mine[page] = mine[page] - counts
            self._pages[key] = {page: counts for page, counts in mine.items() if counts.any()}
            if not self._pages[key]:
                del self._pages[key]

    def save(self, path: Path) -> None:
        """Write the counts as an npz file, the same bytes for the same chips."""
        pixels = self.pixels
        pages = [(*key, page) for key in sorted(self._pages, key=repr) for page in sorted(self._pages[key])]
        counts = np.array([self._pages[name, band][page] for name, band, page in pages], np.int64).ravel()
        places = np.flatnonzero(counts)
        about = {
            "dtype": self.dtype.name,
            "bands": self.bands,
            "nodata": None if self.nodata is None else repr(float(self.nodata)),
            "chips": self.chips,
            "joined": self.joined,
            "classes": [[name, pixels[name], self.holders[name]] for name in sorted(pixels, key=repr)],
            "pages": pages,
            "sums": [[*key, *map(str, vars(self._sums[key]).values())] for key in sorted(self._sums, key=repr)],
        }
        text = np.frombuffer(json.dumps(about).encode(), np.uint8)
        with atomic_path(path) as part, part.open("wb") as stream:
            few = np.min_scalar_type(int(counts.max(initial=0)))
            np.savez(stream, about=text, places=places.astype(np.uint32), counts=counts[places].astype(few))

    @classmethod
    def read(cls, path: Path) -> "PixelCounts":
        """What `save` wrote; RecordError names a file that is none."""
        try:
            with np.load(path) as found:
                about, places, counts = json.loads(found["about"].tobytes()), found["places"], found["counts"]
            tally = cls(about["dtype"], about["bands"], about["nodata"] and float(about["nodata"]))
            tally.chips, tally.joined = about["chips"], about["joined"]
            for name, pixels, holders in about["classes"]:
                tally._pixels[name], tally._holders[name] = pixels, holders
            dense = np.zeros((len(about["pages"]), 1 << tally._page_bits), np.int64)
            dense.reshape(-1)[places] = counts
            for (name, band, page), row in zip(about["pages"], dense, strict=True):
                tally._pages.setdefault((name, band), {})[page] = row
            for name, band, count, total, squares, low, high in about["sums"]:
                extremes = [float(text) if tally.dtype.kind == "f" else int(text) for text in (low, high)]
                tally._sums[name, band] = ExactSums(int(count), Fraction(total), Fraction(squares), *extremes)
        except (OSError, KeyError, TypeError, ValueError, EOFError) as error:
            raise RecordError(f"{path} cannot be read as the statistics of a shard: {error}") from error
        return tally


def _present(numbers: Array) -> list[int]:
    """The numbers that occur, found where they change: labels come in patches."""
    changes = numbers[1:][numbers[1:] != numbers[:-1]]
    return sorted({*numbers[:1].tolist(), *np.unique(changes).tolist()})
