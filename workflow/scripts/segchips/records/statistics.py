"""What a dataset's pixels are like: statistics of each split, class and band, class weights, and normalised images."""

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
from segchips.records.pixel_counts import PixelCounts
from segchips.records.pixel_values import ClassValue, code_values, is_wide
from segchips.records.record_decoding import decode_example
from segchips.records.tfrecord import read_records

PERCENTILES = (1, 2, 5, 10, 25, 50, 75, 90, 95, 98, 99)


@dataclass(frozen=True)
class BandStatistics:
    """A band's valid pixels: how many, the share of the others, extremes, mean, population standard deviation.

    Percentiles are interpolated linearly between neighbours, in types of more than 16 bits within 0.1 %. Where no pixel
    is valid there are none of them.
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
    """A label value: its pixels, their share of the split's, the chips that have any, and its weights.

    A weight is pixels / (classes * pixels of the class), so that a pixel's weight is 1 on average; `weight` counts
    classes alone and is None for the background, `weight_with_background` counts the background as one of them. Pixels
    that nobody knows count for neither and have no weight.
    """

    pixels: int
    share: float
    chips: int
    weight: float | None
    weight_with_background: float | None
    bands: tuple[BandStatistics, ...]


@dataclass(frozen=True)
class SplitStatistics:
    """A split: its chips, its pixels in one band, its bands, and its classes by label value.

    `classes` is None where the labels hold more than 256 values or other than whole numbers.
    """

    chips: int
    pixels: int
    bands: tuple[BandStatistics, ...]
    classes: Mapping[int, ClassStatistics] | None


def _percentiles(codes: Array, counts: Array, dtype: np.dtype[Any], sums: ExactSums) -> dict[int, float]:
    """Of codes in order and how often each occurs; the values of one code of a wide type lie evenly in its range."""
    ends = np.cumsum(counts)
    found = {}
    for percent in PERCENTILES:
        rank, rest = divmod(percent * (sums.count - 1), 100)
        ranks = np.array([rank, min(rank + 1, sums.count - 1)])
        places = np.searchsorted(ends, ranks, side="right")
        near = code_values(codes[places], dtype).astype(np.float64)
        if is_wide(dtype):
            within = (ranks - ends[places] + counts[places] + 0.5) / counts[places]
            step = code_values(codes[places] + 1, dtype) - near
            near = np.clip(near + within * step, sums.low, sums.high)
        found[percent] = float(near[0] + (near[1] - near[0]) * rest / 100)
    return found


def _bands(tally: PixelCounts, name: ClassValue, names: Sequence[str | None]) -> tuple[BandStatistics, ...]:
    return tuple(_band(tally, name, band, title) for band, title in enumerate(names))


def _band(tally: PixelCounts, name: ClassValue, band: int, title: str | None) -> BandStatistics:
    sums, pixels = tally.sums(name, band), tally.pixels[name]
    share = (pixels - sums.count) / pixels if pixels else 0.0
    if not sums.count:
        return BandStatistics(title, 0, share)
    percentiles = _percentiles(*tally.histogram(name, band), tally.dtype, sums)
    return BandStatistics(title, sums.count, share, sums.low, sums.high, sums.mean, sums.std, percentiles)


def summarise_counts(
    tally: PixelCounts, names: Sequence[str | None], background: float | None, unknown: int | None = None
) -> SplitStatistics:
    """The statistics of a tally whose bands have these names, or None."""
    whole = tally.of_all_classes()
    bands = _bands(whole, None, names)
    if tally.joined:
        return SplitStatistics(tally.chips, sum(tally.pixels.values()), bands, None)
    pixels = sum(tally.pixels.values())
    known = {value: count for value, count in tally.pixels.items() if value is None or value != unknown}
    labelled = {value: count for value, count in known.items() if value != background}
    classes = {}
    for value in sorted(tally.pixels, key=lambda value: value or 0):
        count = tally.pixels[value]
        weight, with_background = (
            sum(among.values()) / (len(among) * count) if value in among else None for among in (labelled, known)
        )
        parts = count / pixels, tally.holders[value], weight, with_background, _bands(tally, value, names)
        classes[value or 0] = ClassStatistics(count, *parts)
    return SplitStatistics(tally.chips, pixels, bands, classes)


def _summaries(info: DatasetInfo, splits: Mapping[str, PixelCounts]) -> dict[str, SplitStatistics]:
    return {
        split: summarise_counts(tally, info.image.bands, info.label.nodata, info.unknown)
        for split, tally in splits.items()
    }


def _write(directory: Path, found: Mapping[str, SplitStatistics]) -> None:
    atomic_write(
        directory / STATISTICS_FILE, json.dumps({key: asdict(one) for key, one in found.items()}, indent=1) + "\n"
    )


def _empty(info: DatasetInfo) -> PixelCounts:
    return PixelCounts(info.image.dtype, info.image.shape[2], info.image.nodata)


def write_statistics(directory: Path, shards: Mapping[str, Sequence[Path]]) -> None:
    """Add up the tallies of each split's shards into statistics.json beside what describes the shards."""
    info, splits = read_info(directory), {}
    for split, paths in shards.items():
        splits[split] = _empty(info)
        for path in paths:
            splits[split].merge(PixelCounts.read(path))
    _write(directory, _summaries(info, splits))


def _counted(directory: Path, info: DatasetInfo, split: str) -> PixelCounts:
    tally = _empty(info)
    for path in shard_paths(directory, info, split):
        for payload in read_records(path, info.compression):
            example = decode_example(payload, info)
            tally.add(example["image"], example["label"])
    return tally


def _read(path: Path) -> dict[str, SplitStatistics]:
    def bands(entries: Sequence[Any]) -> tuple[BandStatistics, ...]:
        return tuple(BandStatistics(**entry | {"percentiles": _by_number(entry["percentiles"])}) for entry in entries)

    def classes(entries: Mapping[str, Any] | None) -> dict[int, ClassStatistics] | None:
        found = _by_number(entries)
        return found and {key: ClassStatistics(**one | {"bands": bands(one["bands"])}) for key, one in found.items()}

    try:
        return {
            split: SplitStatistics(one["chips"], one["pixels"], bands(one["bands"]), classes(one["classes"]))
            for split, one in json.loads(path.read_text()).items()
        }
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is not valid ({error!r}); delete it to have it made again") from error


def _by_number(entries: Mapping[str, Any] | None) -> dict[int, Any] | None:
    return None if entries is None else {int(key): value for key, value in entries.items()}


def statistics(directory: str | Path) -> dict[str, SplitStatistics]:
    """The statistics of a dataset's splits, read from statistics.json beside its shards.

    Where there is none, as after `convert`, every record is read and the file is written. InputError where the
    directory describes no dataset, RecordError names a damaged shard.
    """
    directory = Path(directory)
    if (directory / STATISTICS_FILE).exists():
        return _read(directory / STATISTICS_FILE)
    info = read_info(directory)
    found = _summaries(info, {split: _counted(directory, info, split) for split in info.splits})
    with suppress(PermissionError):
        _write(directory, found)
    return found
