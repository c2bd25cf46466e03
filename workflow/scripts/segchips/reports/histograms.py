"""The report's histograms: the valid pixels of each band by split, in the same bins for all splits."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segchips.arrays import Array
from segchips.records.dataset_info import ChipLayout, DatasetInfo
from segchips.records.file_names import counts_path, index_path
from segchips.records.part_counts import PartCounts
from segchips.records.pixel_counts import PixelCounts
from segchips.records.pixel_values import code_values
from segchips.records.statistics import merge_counts
from segchips.records.statistics_file import BandStatistics, SplitStatistics

MAX_BINS = 48
LOW_PERCENTILE, HIGH_PERCENTILE = 1, 99
"""The percentiles that bound the values shown."""


@dataclass(frozen=True)
class Histogram:
    """The histogram of a band.

    Attributes:
        low: The lowest value that the first bin holds.
        high: The highest value that the last bin holds.
        shares: The share of each split's valid pixels that lie in each bin.
    """

    low: float
    high: float
    shares: Mapping[str, Sequence[float]]

    @property
    def paths(self) -> dict[str, str]:
        """The outline of each split's bins as an SVG path in a box of 200 x 100, open at the bottom."""
        largest = max(share for shares in self.shares.values() for share in shares) or 1.0
        return {split: _step_path(shares, largest) for split, shares in self.shares.items()}


def _step_path(shares: Sequence[float], largest: float) -> str:
    width = 200 / len(shares)
    steps = (f"V{100 - 96 * share / largest:.4g}H{width * number:.4g}" for number, share in enumerate(shares, 1))
    return f"M0 100{''.join(steps)}V100"


def band_histograms(
    directory: Path, info: DatasetInfo, statistics: Mapping[str, SplitStatistics]
) -> dict[str, list[Histogram | None]]:
    """Compute the histogram of each band of each layer from the pixel counts beside the shards.

    Args:
        directory: The directory of the shards.
        info: The description of the shards.
        statistics: The statistics of the splits to show.

    Returns:
        By layer a histogram for each band, or None where no pixel is valid.
    """
    by_split = {split: _split_counts(directory, info, split) for split in statistics}
    histograms = {}
    for layer, layout in info.images.items():
        counts = {split: merged for split, parts in by_split.items() if (merged := _merged(parts, layer, layout))}
        bands = {split: entry.layers[layer] for split, entry in statistics.items()}
        histograms[layer] = [_histogram(band, counts, bands) for band in range(layout.shape[-1])]
    return histograms


def measurement_histograms(
    directory: Path, info: DatasetInfo, statistics: Mapping[str, SplitStatistics]
) -> list[Histogram | None]:
    """Compute the histogram of each continuous target; as `band_histograms`."""
    targets = dict.fromkeys(target for split in statistics.values() for target in split.measurements)
    by_split = {split: _split_counts(directory, info, split) for split in statistics} if targets else {}
    histograms = []
    for target in targets:
        counts = {split: parts.values_of(target) for split, parts in by_split.items()}
        bands = {split: [entry.measurements[target]] for split, entry in statistics.items()}
        present = {split: merged for split, merged in counts.items() if merged}
        histograms.append(_histogram(0, present, bands))
    return histograms


def _split_counts(directory: Path, info: DatasetInfo, split: str) -> PartCounts:
    """The pixel counts of a split's shards."""
    return merge_counts([counts_path(index_path(directory / shard)) for shard in info.shards(split)], info)


def _merged(parts: PartCounts, layer: str, layout: ChipLayout) -> PixelCounts | None:
    """The counts of a layer, not separated by class or step."""
    counts = parts.of_layer(layer)
    if counts is None:
        return None
    counts = counts.with_merged_classes()
    return counts.with_merged_steps(layout.shape[0]) if len(layout.shape) == 4 else counts


def _histogram(
    band: int, counts: Mapping[str, PixelCounts], bands: Mapping[str, Sequence[BandStatistics]]
) -> Histogram | None:
    percentiles = [of_split[band].percentiles or {} for of_split in bands.values() if of_split[band].percentiles]
    if not percentiles:
        return None
    dtype = next(iter(counts.values())).dtype
    low, high = (
        min(values[LOW_PERCENTILE] for values in percentiles),
        max(values[HIGH_PERCENTILE] for values in percentiles),
    )
    edges = bin_edges(low, high, dtype)
    by_code = {split: split_counts.histogram(None, band) for split, split_counts in counts.items()}
    shares = {split: share_per_bin(*values, dtype, edges) for split, values in by_code.items() if values[1].any()}
    inside = 0.0 if dtype.kind == "f" else 0.5
    return Histogram(float(edges[0]) + inside, float(edges[-1]) - inside, shares)


def bin_edges(low: float, high: float, dtype: np.dtype[Any]) -> Array:
    """Edges of bins of equal width from `low` to `high`; each bin of an integer type holds the same number of values.

    Returns:
        One edge more than there are bins, of which there are at most `MAX_BINS`. Integers lie between two edges.
    """
    if dtype.kind in "iu":
        first, width = math.floor(low), max(1, math.ceil((high - low + 1) / MAX_BINS))
        return first - 0.5 + width * np.arange(math.ceil((high - first + 1) / width) + 1)
    margin = 0.0 if high > low else abs(low) / 100 or 0.5
    return np.linspace(low - margin, high + margin, MAX_BINS + 1)


def share_per_bin(codes: Array, counts: Array, dtype: np.dtype[Any], edges: Array) -> list[float]:
    """The share of all values that lie in each bin.

    Args:
        codes: The codes of values, ascending, as in `segchips.records.pixel_values`.
        counts: How many values have each code.
        dtype: The type of the values. The values of one code of a wide type are taken as evenly distributed.
        edges: The edges of the bins.
    """
    starts, ends = (code_values(ends, dtype).astype(np.float64) for ends in (codes, codes + 1))
    if dtype.kind != "f":
        starts, ends = starts - 0.5, ends - 0.5
    last = np.maximum(np.searchsorted(starts, edges, side="right") - 1, 0)
    fraction = np.clip((edges - starts[last]) / (ends[last] - starts[last]), 0, 1)
    below = (np.cumsum(counts) - counts)[last] + fraction * counts[last]
    shares: list[float] = (np.diff(below) / counts.sum()).tolist()
    return shares
