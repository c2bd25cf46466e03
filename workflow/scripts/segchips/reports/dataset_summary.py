"""TODO: describe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

from segchips.config.model import Dataset
from segchips.records.dataset_info import made_entries, read_info
from segchips.records.exact_sums import ExactSums
from segchips.records.index import Entry
from segchips.records.layout import Info
from segchips.records.statistics import SplitStatistics, statistics
from segchips.reports.ledger import LedgerRow, read_ledger
from segchips.tiles.assignment import MADE

UNNAMED = "unnamed"
SIZE_CATEGORIES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}


@dataclass(frozen=True)
class LabelClass:
    """A label value that is in the config or in the chips: its name, pixels, and the chips that hold it."""

    value: int
    name: str
    pixels: int
    chips: int


@dataclass(frozen=True)
class DatasetSummary:
    """What the descriptors are written from: config, description, statistics and index of the shards, and ledger."""

    dataset: Dataset
    folder: Path
    info: Info
    splits: Mapping[str, SplitStatistics]
    rows: Sequence[LedgerRow]
    entries: Mapping[str, Entry]

    @classmethod
    def of(cls, dataset: Dataset, folder: Path) -> "DatasetSummary":
        """From a dataset's folder of results; InputError where one of them is missing or damaged."""
        shards = folder / "tfrecords"
        info, rows = read_info(shards), read_ledger(folder / "ledger.csv")
        return cls(dataset, folder, info, statistics(shards), rows, made_entries(shards, info))

    @property
    def made(self) -> list[LedgerRow]:
        """The tiles whose chips are in the shards."""
        return [row for row in self.rows if row.state == MADE]

    @cached_property
    def bands(self) -> list[str]:
        """The names of the bands, or their numbers."""
        return [name or f"band {number}" for number, name in enumerate(self.info.image.bands, 1)]

    @property
    def band_sums(self) -> list[ExactSums]:
        """The valid pixels of each band in all splits."""
        totals = [ExactSums()] * len(self.bands)
        for split in self.splits.values():
            for number, band in enumerate(split.bands):
                mean, std = Fraction(band.mean or 0), Fraction(band.std or 0)
                sums = band.count, mean * band.count, (std**2 + mean**2) * band.count
                if band.count:
                    totals[number] += ExactSums(*sums, band.min or 0, band.max or 0)
        return totals

    @cached_property
    def classes(self) -> list[LabelClass]:
        """Every label value with a name in the config or a pixel in the chips, the background last."""
        labels = self.dataset.labels
        names, background = labels.names | {labels.unknown: "unknown"}, labels.background
        found = [classes for split in self.splits.values() if (classes := split.classes)]
        values = {value for classes in found for value in classes} | set(labels.names)
        entries = []
        for value in sorted(values, key=lambda value: (value == background, value)):
            name = "background" if value == background else names.get(value, UNNAMED)
            parts = [classes[value] for classes in found if value in classes]
            pixels, chips = sum(part.pixels for part in parts), sum(part.chips for part in parts)
            entries.append(LabelClass(value, name, pixels, chips))
        return entries
