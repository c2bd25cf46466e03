"""TODO: describe."""

from collections.abc import Mapping
from dataclasses import dataclass

from segchips.config.model import LabelsConfig
from segchips.records.statistics import SplitStatistics
from segchips.reports.colours import BACKGROUND, CLASS_COLOURS, UNKNOWN, Colour, css_colour, palette

# Classes and bands.


@dataclass(frozen=True)
class LegendEntry:
    """A class of the legend."""

    name: str
    rgb: Colour

    @property
    def colour(self) -> str:
        """As CSS."""
        return css_colour(self.rgb)


Statistics = Mapping[str, SplitStatistics]


def class_legend(labels: LabelsConfig, found: Statistics) -> dict[int, LegendEntry]:
    """The classes that the config names or the chips hold, by value; neither the background nor what is unknown."""
    names = labels.names
    held = {value for split in found.values() for value, entry in (split.classes or {}).items() if entry.pixels}
    values = sorted((held | set(names)) - {labels.background, labels.unknown})
    colours = palette(CLASS_COLOURS, len(values))
    return {value: LegendEntry(names.get(value, ""), colour) for value, colour in zip(values, colours, strict=True)}


def class_shares(
    found: Statistics, legend: Mapping[int, LegendEntry], labels: LabelsConfig
) -> list[tuple[int, LegendEntry, list[tuple[int, float]]]]:
    """For each class, then the background and what is unknown, its pixels and their share in each split."""
    entries = [*legend.items(), (labels.background, LegendEntry("background", BACKGROUND))]
    if labels.unknown is not None:
        entries.append((labels.unknown, LegendEntry("unknown", UNKNOWN)))

    def share(split: SplitStatistics, value: int) -> tuple[int, float]:
        entry = (split.classes or {}).get(value)
        return (entry.pixels, entry.share) if entry else (0, 0.0)

    return [(value, entry, [share(split, value) for split in found.values()]) for value, entry in entries]
