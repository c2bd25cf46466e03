"""Statistics of the pixels of a dataset, by split, class and band, and class weights."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segchips.arrays import Array
from segchips.errors import InputError
from segchips.files import atomic_write
from segchips.records.dataset_files import read_info, shard_paths
from segchips.records.dataset_info import DatasetInfo
from segchips.records.exact_sums import ExactSums
from segchips.records.file_names import STATISTICS_FILE
from segchips.records.pixel_counts import ClassValue, PixelCounts
from segchips.records.pixel_values import code_values, is_wide
from segchips.records.record_decoding import decode_example
from segchips.records.tfrecord import read_records

PERCENTILES = (1, 2, 5, 10, 25, 50, 75, 90, 95, 98, 99)


@dataclass(frozen=True)
class BandStatistics:
    """Statistics of the valid pixels of a band, in the units of the chips.

    Attributes:
        name: The band's name; None without one.
        count: The number of valid pixels.
        nodata_share: The share of the other pixels, from 0 to 1.
        min: The lowest value. This and all that follow are None if no pixel is valid.
        max: The highest value.
        mean: The arithmetic mean.
        std: The population standard deviation.
        percentiles: By percentage the value below which so many pixels lie, interpolated linearly between neighbours.
            In types of more than 16 bits they are precise to 0.1 %.
    """

    name: str | None
    count: int
    nodata_share: float
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    std: float | None = None
    percentiles: Mapping[int, float] | None = None


@dataclass(frozen=True)
class ClassStatistics:
    """Statistics of a label value.

    A weight is pixels / (classes * pixels of the class), so that the mean weight of a pixel is 1. Pixels whose class
    is unknown are not counted in weights and have none.

    Attributes:
        pixels: The number of its pixels, in one band.
        share: Their share of the split's pixels, from 0 to 1.
        chips: The number of chips that have such pixels.
        weight: The weight among all classes but the background; None for the background.
        weight_with_background: The weight among all classes and the background.
        bands: Statistics of each band, over the pixels of the class.
    """

    pixels: int
    share: float
    chips: int
    weight: float | None
    weight_with_background: float | None
    bands: tuple[BandStatistics, ...]


@dataclass(frozen=True)
class SplitStatistics:
    """Statistics of a split.

    Attributes:
        chips: The number of chips.
        pixels: The number of pixels, in one band.
        bands: Statistics of each band.
        classes: Statistics of each label value; None if there are more than 256 values, or one is not an integer.
    """

    chips: int
    pixels: int
    bands: tuple[BandStatistics, ...]
    classes: Mapping[int, ClassStatistics] | None


def _percentiles(codes: Array, counts: Array, dtype: np.dtype[Any], sums: ExactSums) -> dict[int, float]:
    """Percentiles of a histogram. The values of one code of a wide dtype are taken as evenly distributed."""
    ends = np.cumsum(counts)
    percentiles = {}
    for percent in PERCENTILES:
        rank, hundredths = divmod(percent * (sums.count - 1), 100)
        ranks = np.array([rank, min(rank + 1, sums.count - 1)])
        positions = np.searchsorted(ends, ranks, side="right")
        values = code_values(codes[positions], dtype).astype(np.float64)
        if is_wide(dtype):
            fraction = (ranks - ends[positions] + counts[positions] + 0.5) / counts[positions]
            width = code_values(codes[positions] + 1, dtype) - values
            values = np.clip(values + fraction * width, sums.low, sums.high)
        percentiles[percent] = float(values[0] + (values[1] - values[0]) * hundredths / 100)
    return percentiles


def _all_bands(counts: PixelCounts, value: ClassValue, names: Sequence[str | None]) -> tuple[BandStatistics, ...]:
    return tuple(_band(counts, value, band, name) for band, name in enumerate(names))


def _band(counts: PixelCounts, value: ClassValue, band: int, name: str | None) -> BandStatistics:
    sums, pixels = counts.sums(value, band), counts.pixels_by_class[value]
    nodata_share = (pixels - sums.count) / pixels if pixels else 0.0
    if not sums.count:
        return BandStatistics(name, 0, nodata_share)
    percentiles = _percentiles(*counts.histogram(value, band), counts.dtype, sums)
    return BandStatistics(name, sums.count, nodata_share, sums.low, sums.high, sums.mean, sums.std, percentiles)


def _weight(value: ClassValue, pixels_by_class: Mapping[ClassValue, int]) -> float | None:
    """The weight of a class among these classes; None if it is not one of them."""
    if value not in pixels_by_class:
        return None
    return sum(pixels_by_class.values()) / (len(pixels_by_class) * pixels_by_class[value])


def summarise_counts(
    counts: PixelCounts, names: Sequence[str | None], background: float | None, unknown: int | None = None
) -> SplitStatistics:
    """Compute the statistics of a split from its pixel counts.

    Args:
        counts: The pixel counts of all its chips.
        names: The name of each band, None for a band without one.
        background: The label value of the background; None without one.
        unknown: The label value of pixels whose class is not known; None without one.
    """
    bands = _all_bands(counts.with_merged_classes(), None, names)
    by_class, pixels = counts.pixels_by_class, sum(counts.pixels_by_class.values())
    if counts.classes_merged:
        return SplitStatistics(counts.chip_count, pixels, bands, None)
    with_background = {value: count for value, count in by_class.items() if value is None or value != unknown}
    foreground = {value: count for value, count in with_background.items() if value != background}
    classes = {
        value or 0: ClassStatistics(
            by_class[value],
            by_class[value] / pixels,
            counts.chips_by_class[value],
            _weight(value, foreground),
            _weight(value, with_background),
            _all_bands(counts, value, names),
        )
        for value in sorted(by_class, key=lambda value: value or 0)
    }
    return SplitStatistics(counts.chip_count, pixels, bands, classes)


def _summarise_splits(info: DatasetInfo, splits: Mapping[str, PixelCounts]) -> dict[str, SplitStatistics]:
    return {
        split: summarise_counts(counts, info.image.bands, info.label.nodata, info.unknown)
        for split, counts in splits.items()
    }


def _write(directory: Path, splits: Mapping[str, SplitStatistics]) -> None:
    content = {name: asdict(split) for name, split in splits.items()}
    atomic_write(directory / STATISTICS_FILE, json.dumps(content, indent=1) + "\n")


def _no_counts(info: DatasetInfo) -> PixelCounts:
    return PixelCounts(info.image.dtype, info.image.shape[2], info.image.nodata)


def write_statistics(directory: Path, counts: Mapping[str, Sequence[Path]]) -> None:
    """Write statistics.json.

    Args:
        directory: The directory of the shards and the files that describe them.
        counts: The files of pixel counts of the shards, by split.

    Raises:
        RecordError: A file of pixel counts is missing or damaged.
    """
    info, splits = read_info(directory), {}
    for split, paths in counts.items():
        splits[split] = _no_counts(info)
        for path in paths:
            splits[split].merge(PixelCounts.read(path))
    _write(directory, _summarise_splits(info, splits))


def _count_records(directory: Path, info: DatasetInfo, split: str) -> PixelCounts:
    counts = _no_counts(info)
    for path in shard_paths(directory, info, split):
        for payload in read_records(path, info.compression):
            example = decode_example(payload, info)
            counts.add(example["image"], example["label"])
    return counts


def _read(path: Path) -> dict[str, SplitStatistics]:
    def bands(entries: Sequence[Any]) -> tuple[BandStatistics, ...]:
        return tuple(BandStatistics(**entry | {"percentiles": _by_number(entry["percentiles"])}) for entry in entries)

    def classes(entries: Mapping[str, Any] | None) -> dict[int, ClassStatistics] | None:
        by_value = _by_number(entries)
        return by_value and {
            value: ClassStatistics(**entry | {"bands": bands(entry["bands"])}) for value, entry in by_value.items()
        }

    try:
        return {
            split: SplitStatistics(entry["chips"], entry["pixels"], bands(entry["bands"]), classes(entry["classes"]))
            for split, entry in json.loads(path.read_text()).items()
        }
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is not valid ({error!r}); delete it to have it made again") from error


def _by_number(entries: Mapping[str, Any] | None) -> dict[int, Any] | None:
    return None if entries is None else {int(key): value for key, value in entries.items()}


def statistics(directory: str | Path) -> dict[str, SplitStatistics]:
    """Read the statistics of a dataset from statistics.json.

    If there is no such file, as after `convert`, every record is read and the file is written.

    Args:
        directory: The directory of the shards.

    Returns:
        The statistics of each split.

    Raises:
        InputError: The directory has no description of a dataset, or statistics.json is not valid.
        RecordError: A shard is missing or damaged.
    """
    directory = Path(directory)
    if (directory / STATISTICS_FILE).exists():
        return _read(directory / STATISTICS_FILE)
    info = read_info(directory)
    splits = _summarise_splits(info, {split: _count_records(directory, info, split) for split in info.splits})
    with suppress(PermissionError):
        _write(directory, splits)
    return splits
