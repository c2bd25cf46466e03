"""TODO: describe."""

from collections.abc import Sequence
from dataclasses import dataclass

from segchips.records.statistics import BandStatistics
from segchips.reports.class_table import Statistics


@dataclass(frozen=True)
class BandRow:
    """One band in one split; nothing but the share where no pixel is valid."""

    split: str
    valid: float
    figures: tuple[int | float, ...]


def band_rows(
    found: Statistics, bands: Sequence[str], scaling: Sequence[tuple[float, float]]
) -> list[tuple[str, tuple[float, float], list[BandRow]]]:
    """For each band its scale and offset, and by split the valid share, extremes, mean, deviation and percentiles."""
    return [
        (name, pair, [_band_row(split, statistics.bands[index]) for split, statistics in found.items()])
        for index, (name, pair) in enumerate(zip(bands, scaling, strict=False))
    ]


def _band_row(split: str, band: BandStatistics) -> BandRow:
    figures = (band.min, band.max, band.mean, band.std)
    return BandRow(split, 1 - band.nodata_share, tuple(value for value in figures if value is not None))
