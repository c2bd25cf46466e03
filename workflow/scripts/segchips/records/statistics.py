"""Statistics of the pixels of a dataset, by split, class and band, and class weights."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from segchips.arrays import Array
from segchips.records.dataset_files import read_info, shard_paths
from segchips.records.dataset_info import ChipLayout, DatasetInfo, image_key, label_key
from segchips.records.exact_sums import ExactSums
from segchips.records.file_names import STATISTICS_FILE
from segchips.records.part_counts import PartCounts
from segchips.records.pixel_counts import ClassValue, PixelCounts
from segchips.records.pixel_values import code_values, is_wide
from segchips.records.record_decoding import decode_example, steps_as_bands
from segchips.records.statistics_file import (
    BandStatistics,
    ClassStatistics,
    SplitStatistics,
    read_statistics_file,
    write_statistics_file,
)
from segchips.records.storage import dataset_path
from segchips.records.tfrecord import read_records

PERCENTILES = (1, 2, 5, 10, 25, 50, 75, 90, 95, 98, 99)


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
            values[np.abs(values) < np.finfo(np.float32).tiny] = 0  # zeros have the code of the tiniest values
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


def summarise_counts(counts: PartCounts, info: DatasetInfo) -> SplitStatistics:
    """Compute the statistics of a split from its pixel counts.

    Args:
        counts: The pixel counts of all its tiles.
        info: The description of the dataset, with the names of layers, targets and bands.
    """
    layers, steps = {}, {}
    for layer, layout in info.images.items():
        of_layer = (counts.of_layer(layer) or _no_counts(layout)).with_merged_classes()
        if len(layout.shape) == 4:
            count = layout.shape[0]
            bands = _all_bands(of_layer, None, layout.bands * count)
            steps[layer] = tuple(bands[len(layout.bands) * step :][: len(layout.bands)] for step in range(count))
            of_layer = of_layer.with_merged_steps(count)
        layers[layer] = _all_bands(of_layer, None, layout.bands)
    targets: dict[str, dict[int, ClassStatistics] | None] = {}
    measurements, first = {}, next(iter(info.labels))
    for target, layout in info.labels.items():
        if np.dtype(layout.dtype).kind == "f":
            values = counts.values_of(target) or PixelCounts(layout.dtype, 1, layout.nodata)
            measurements[target] = _band(values, None, 0, target or None)
        has_classes = info.kinds.get(target, "classes") == "classes"
        of_target = counts.of_target(target) if has_classes else {}
        classes = _classes(of_target, info, layout.nodata, info.unknown.get(target))
        targets[target] = classes if has_classes else None
    any_counts = next(iter(counts.of_target(first).values()), _no_counts(info.image))
    return SplitStatistics(
        any_counts.chip_count, sum(any_counts.pixels_by_class.values()), layers, targets, steps, measurements
    )


def _classes(
    by_layer: Mapping[str, PixelCounts], info: DatasetInfo, background: float | None, unknown: int | None
) -> dict[int, ClassStatistics] | None:
    counts = next(iter(by_layer.values()), None)
    if counts is None:
        return {}
    if counts.classes_merged:
        return None
    by_class = counts.pixels_by_class
    pixels = sum(by_class.values())
    with_background = {value: count for value, count in by_class.items() if value is None or value != unknown}
    foreground = {value: count for value, count in with_background.items() if value != background}
    merged = {
        layer: of_layer.with_merged_steps(layout.shape[0]) if len(layout.shape) == 4 else of_layer
        for layer, of_layer in by_layer.items()
        if (layout := info.images.get(layer))
    }
    return {
        value or 0: ClassStatistics(
            by_class[value],
            by_class[value] / pixels,
            counts.chips_by_class[value],
            _weight(value, foreground),
            _weight(value, with_background),
            {layer: _all_bands(of_layer, value, info.images[layer].bands) for layer, of_layer in merged.items()},
        )
        for value in sorted(by_class, key=lambda value: value or 0)
    }


def _no_counts(layout: ChipLayout) -> PixelCounts:
    return PixelCounts(layout.dtype, math.prod((*layout.shape[:-3], layout.shape[-1])), layout.nodata)


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
        splits[split] = summarise_counts(merge_counts(paths, info), info)
    write_statistics_file(directory, splits)


def merge_counts(paths: Sequence[Path], info: DatasetInfo) -> PartCounts:
    """Add the pixel counts in several files.

    Raises:
        RecordError: A file is missing or damaged.
    """
    parts = tuple(info.images), tuple(info.labels)
    counts = PartCounts(*parts)
    for path in paths:
        counts.merge(PartCounts.read(path, *parts))
    return counts


def _count_records(directory: Path, info: DatasetInfo, split: str) -> PartCounts:
    counts = PartCounts(tuple(info.images), tuple(info.labels))
    nodata = [layout.nodata for layout in info.images.values()]
    for path in shard_paths(directory, info, split):
        for payload in read_records(path, info.compression):
            example = decode_example(payload, info)
            images = [steps_as_bands(example[image_key(layer)]) for layer in info.images]
            counts.add(images, [example[label_key(target)] for target in info.labels], nodata)
    return counts


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
    directory = dataset_path(directory)
    if (directory / STATISTICS_FILE).exists():
        return read_statistics_file(directory)
    info = read_info(directory)
    splits = {split: summarise_counts(_count_records(directory, info, split), info) for split in info.splits}
    with suppress(PermissionError):
        write_statistics_file(directory, splits)
    return splits
