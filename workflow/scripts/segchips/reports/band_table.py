"""The rows of the report's table of bands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segchips.records.statistics_file import BandStatistics, SplitStatistics


@dataclass(frozen=True)
class BandRow:
    """A band in one split.

    Attributes:
        split: The split.
        valid_share: The share of its pixels that are valid in this band.
        figures: Minimum, maximum, mean and standard deviation of the valid pixels; empty without valid pixels.
    """

    split: str
    valid_share: float
    figures: tuple[float, ...]


@dataclass(frozen=True)
class BandGroup:
    """A band with its scale and offset, and a row for each split."""

    name: str
    scaling: tuple[float, float]
    rows: list[BandRow]


def band_groups(
    statistics: Mapping[str, SplitStatistics],
    layer: str,
    bands: Sequence[str],
    scaling: Sequence[tuple[float, float]],
) -> list[BandGroup]:
    """Group the statistics of splits by band of a layer.

    Args:
        statistics: The statistics of each split that has chips.
        layer: The name of the layer.
        bands: The names of the bands.
        scaling: The scale and offset of each band; empty without chips.
    """
    return [
        BandGroup(
            f"{layer}/{name}" if layer else name,
            pair,
            [band_row(split, entry.layers[layer][index]) for split, entry in statistics.items()],
        )
        for index, (name, pair) in enumerate(zip(bands, scaling, strict=False))
    ]


def band_row(split: str, band: BandStatistics) -> BandRow:
    """The row of a band in a split."""
    figures = (band.min, band.max, band.mean, band.std)
    return BandRow(split, 1 - band.nodata_share, tuple(value for value in figures if value is not None))
