"""The report's histograms: the valid pixels of each band and split, in bins that all splits share."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segchips.arrays import Array
from segchips.records.layout import Info
from segchips.records.names import index_beside, tally_beside
from segchips.records.pixel_counts import PixelCounts
from segchips.records.pixel_values import values_of
from segchips.records.statistics import SplitStatistics

MAX_BINS = 48
LOW_PERCENTILE, HIGH_PERCENTILE = 1, 99
"""The percentiles between which values are shown."""


@dataclass(frozen=True)
class Histogram:
    """A band: the least and the greatest value its bins hold, and each split's share of valid pixels in each bin."""

    low: float
    high: float
    shares: Mapping[str, Sequence[float]]

    @property
    def paths(self) -> dict[str, str]:
        """Each split's steps as an SVG path, open at the bottom, in a box of 200 x 100."""
        most = max(share for shares in self.shares.values() for share in shares) or 1.0
        return {split: _steps(shares, most) for split, shares in self.shares.items()}


def _steps(shares: Sequence[float], most: float) -> str:
    width = 200 / len(shares)
    steps = (f"V{100 - 96 * share / most:.4g}H{width * number:.4g}" for number, share in enumerate(shares, 1))
    return f"M0 100{''.join(steps)}V100"


def band_histograms(directory: Path, info: Info, found: Mapping[str, SplitStatistics]) -> list[Histogram | None]:
    """The histogram of each band from the tallies beside the shards; None where no pixel is valid."""
    tallies = {split: _joined(directory, info, split) for split in found}
    return [_histogram(band, tallies, found) for band in range(info.image.shape[2])]


def _joined(directory: Path, info: Info, split: str) -> PixelCounts:
    """The tallies of a split's shards, all classes as one."""
    whole = PixelCounts(info.image.dtype, info.image.shape[2], info.image.nodata).of_all_classes()
    for shard in info.shards(split):
        whole.merge(PixelCounts.read(tally_beside(index_beside(directory / shard))))
    return whole


def _histogram(band: int, tallies: Mapping[str, PixelCounts], found: Mapping[str, SplitStatistics]) -> Histogram | None:
    spans = [split.bands[band].percentiles or {} for split in found.values() if split.bands[band].percentiles]
    if not spans:
        return None
    dtype = next(iter(tallies.values())).dtype
    edges = bin_edges(min(span[LOW_PERCENTILE] for span in spans), max(span[HIGH_PERCENTILE] for span in spans), dtype)
    counted = {split: tally.histogram(None, band) for split, tally in tallies.items()}
    shares = {split: share_per_bin(*counts, dtype, edges) for split, counts in counted.items() if counts[1].any()}
    inside = 0.0 if dtype.kind == "f" else 0.5
    return Histogram(float(edges[0]) + inside, float(edges[-1]) - inside, shares)


def bin_edges(low: float, high: float, dtype: np.dtype[Any]) -> Array:
    """Ends of bins of one width from `low` to `high`; those of integers hold equally many of them."""
    if dtype.kind in "iu":
        first, width = math.floor(low), max(1, math.ceil((high - low + 1) / MAX_BINS))
        return first - 0.5 + width * np.arange(math.ceil((high - first + 1) / width) + 1)
    reach = 0.0 if high > low else abs(low) / 100 or 0.5
    return np.linspace(low - reach, high + reach, MAX_BINS + 1)


def share_per_bin(codes: Array, counts: Array, dtype: np.dtype[Any], edges: Array) -> list[float]:
    """Each bin's share of all values; those of one code of a wide type lie evenly in its range."""
    starts, ends = (values_of(ends, dtype).astype(np.float64) for ends in (codes, codes + 1))
    if dtype.kind != "f":
        starts, ends = starts - 0.5, ends - 0.5
    last = np.maximum(np.searchsorted(starts, edges, side="right") - 1, 0)
    within = np.clip((edges - starts[last]) / (ends[last] - starts[last]), 0, 1)
    below = (np.cumsum(counts) - counts)[last] + within * counts[last]
    shares: list[float] = (np.diff(below) / counts.sum()).tolist()
    return shares
