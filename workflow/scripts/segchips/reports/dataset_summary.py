"""A finished dataset's config, statistics and ledger in one place, from which all descriptors are written."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import pyarrow.compute as pc

from segchips.config.labels import LabelsConfig
from segchips.config.model import Dataset
from segchips.grids.tile_array import ByTile, TileArray, TileKeys
from segchips.labels.legend import read_legend
from segchips.records.dataset_files import index_paths, read_info
from segchips.records.dataset_info import ChipLayout, DatasetInfo
from segchips.records.exact_sums import ExactSums
from segchips.records.shard_index import read_index_columns
from segchips.records.statistics import statistics
from segchips.records.statistics_file import SplitStatistics
from segchips.reports.ledger import Ledger, is_in, read_ledger
from segchips.tiles.assignment import MADE

_UNNAMED = "unnamed"


@dataclass(frozen=True)
class LabelClass:
    """A label value that the config names or the chips contain.

    Attributes:
        value: The label value.
        name: Its name in the config, "background", "unknown" or "unnamed".
        pixels: Label pixels with this value in all splits.
        chips: Chips that contain this value.
    """

    value: int
    name: str
    pixels: int
    chips: int


@dataclass(frozen=True)
class DatasetSummary:
    """What the descriptors of a dataset are written from.

    Attributes:
        dataset: The config.
        folder: The dataset's folder of results.
        info: The description of the shards.
        splits: Statistics of each split.
        rows: The ledger, one row for each tile.
        acquired: The acquisition times of each record as texts, by tile key.
    """

    dataset: Dataset
    folder: Path
    info: DatasetInfo
    splits: Mapping[str, SplitStatistics]
    rows: Ledger
    acquired: ByTile[str]

    @classmethod
    def read(cls, dataset: Dataset, folder: Path) -> "DatasetSummary":
        """Read the results in a dataset's folder.

        Raises:
            InputError: A file of results is missing or damaged.
        """
        shards = folder / "tfrecords"
        info, rows = read_info(shards), read_ledger(folder / "ledger.csv")
        entries = read_index_columns(index_paths(shards, info), ["tile", "state", "acquired"])
        entries = entries.filter(pc.equal(entries["state"], MADE)).combine_chunks()
        acquired = ByTile[str](TileKeys(entries["tile"]), entries["acquired"].combine_chunks())
        return cls(dataset, folder, info, statistics(shards), rows, acquired)

    @cached_property
    def rows_with_chips(self) -> Ledger:
        """The ledger rows of the tiles whose chips are in the shards."""
        return self.rows.where(is_in(self.rows, MADE))

    @cached_property
    def tiles_with_chips(self) -> TileArray:
        """The tiles whose chips are in the shards, as the ledger orders them."""
        keys = TileKeys(self.rows_with_chips.column("tile"))
        return TileArray.from_keys(keys if len(keys) else TileKeys(self.rows.column("tile")))[: len(keys)]

    @property
    def first_chip_folders(self) -> tuple[str, str]:
        """The folders of the image chips of the first layer and of the label chips of the first target."""
        layer, target = next(iter(self.info.images)), next(iter(self.info.labels))
        return (f"images/{layer}".rstrip("/"), f"labels/{target}".rstrip("/"))

    @cached_property
    def bands(self) -> list[str]:
        """The names of the bands in the image chips of the first layer."""
        return file_band_names(self.info.image)

    @cached_property
    def band_totals(self) -> list[ExactSums]:
        """Sums over the valid pixels of each band in the image chips of the first layer, in all splits."""
        totals = [ExactSums()] * len(self.bands)
        layer = next(iter(self.info.images))
        for split in self.splits.values():
            steps = split.steps.get(layer, (split.layers[layer],))
            for number, band in enumerate(band for bands in steps for band in bands):
                mean, std = Fraction(band.mean or 0), Fraction(band.std or 0)
                sums = band.count, mean * band.count, (std**2 + mean**2) * band.count
                if band.count:
                    totals[number] += ExactSums(*sums, band.min or 0, band.max or 0)
        return totals

    @property
    def classes(self) -> list[LabelClass]:
        """The classes of the first target."""
        return next(iter(self.classes_by_target.values()))

    @cached_property
    def classes_by_target(self) -> dict[str, list[LabelClass]]:
        """By target every value that the config names or its chips contain, ascending, the background last."""
        return {target: self._classes(target, labels) for target, labels in self.dataset.labels.targets.items()}

    def _classes(self, target: str, labels: LabelsConfig) -> list[LabelClass]:
        if labels.kind != "classes":
            return []
        names, background = read_legend(labels).names | {labels.unknown: "unknown"}, labels.background
        statistics_by_split = [classes for split in self.splits.values() if (classes := split.targets[target])]
        values = {value for classes in statistics_by_split for value in classes} | set(labels.names)
        label_classes = []
        for value in sorted(values, key=lambda value: (value == background, value)):
            name = "background" if value == background else names.get(value, _UNNAMED)
            of_value = [classes[value] for classes in statistics_by_split if value in classes]
            pixels, chips = sum(one.pixels for one in of_value), sum(one.chips for one in of_value)
            label_classes.append(LabelClass(value, name, pixels, chips))
        return label_classes


def band_names(layout: ChipLayout) -> list[str]:
    """The names of the bands of a layer; "band 1" and so on where a band has no name."""
    return [name or f"band {number}" for number, name in enumerate(layout.bands, 1)]


def file_band_names(layout: ChipLayout) -> list[str]:
    """The names of the bands in the chips of a layer, of a time series with the number of the step before the name."""
    names = band_names(layout)
    if len(layout.shape) != 4:
        return names
    return [f"{step}/{name}" for step in range(1, layout.shape[0] + 1) for name in names]
