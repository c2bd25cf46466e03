"""TODO: describe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segchips.config.model import LabelsConfig
from segchips.records.statistics import BandStatistics, SplitStatistics
from segchips.reports.colours import BACKGROUND, CLASS_COLOURS, UNKNOWN, Colour, as_css, palette

# Classes and bands.


@dataclass(frozen=True)
class Class:
    """A class of the legend."""

    name: str
    rgb: Colour

    @property
    def colour(self) -> str:
        """As CSS."""
        return as_css(self.rgb)


Statistics = Mapping[str, SplitStatistics]


def class_legend(labels: LabelsConfig, found: Statistics) -> dict[int, Class]:
    """The classes that the config names or the chips hold, by value; neither the background nor what is unknown."""
    names = labels.names
    held = {value for split in found.values() for value, entry in (split.classes or {}).items() if entry.pixels}
    values = sorted((held | set(names)) - {labels.background, labels.unknown})
    colours = palette(CLASS_COLOURS, len(values))
    return {value: Class(names.get(value, ""), colour) for value, colour in zip(values, colours, strict=True)}


def class_shares(
    found: Statistics, legend: Mapping[int, Class], labels: LabelsConfig
) -> list[tuple[int, Class, list[tuple[int, float]]]]:
    """For each class, then the background and what is unknown, its pixels and their share in each split."""
    entries = [*legend.items(), (labels.background, Class("background", BACKGROUND))]
    if labels.unknown is not None:
        entries.append((labels.unknown, Class("unknown", UNKNOWN)))

    def share(split: SplitStatistics, value: int) -> tuple[int, float]:
        entry = (split.classes or {}).get(value)
        return (entry.pixels, entry.share) if entry else (0, 0.0)

    return [(value, entry, [share(split, value) for split in found.values()]) for value, entry in entries]


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
