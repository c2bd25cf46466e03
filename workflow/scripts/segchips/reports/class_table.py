"""The classes of the report's legend, and the share of each class in each split."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from segchips.labels.legend import ClassLegend
from segchips.records.statistics_file import SplitStatistics
from segchips.reports.colours import BACKGROUND, CLASS_COLOURS, UNKNOWN, Colour, css_colour, palette


class LabelMeaning(Protocol):
    """What the values of labels stand for, of a target or of chips made elsewhere."""

    @property
    def kind(self) -> str:
        """Whether values are classes, measurements (continuous) or numbers of objects (instances)."""

    @property
    def background(self) -> int | None:
        """The value that stands for no class."""

    @property
    def unknown(self) -> int | None:
        """The value of pixels whose class is not known."""

    @property
    def names(self) -> Mapping[int, str]:
        """The names of classes by value."""


@dataclass(frozen=True)
class LegendEntry:
    """The name and colour of a class."""

    name: str
    rgb: Colour

    @property
    def colour(self) -> str:
        """The colour in CSS."""
        return css_colour(self.rgb)


@dataclass(frozen=True)
class ClassRow:
    """A class with its label pixels and their share of all label pixels, split by split."""

    value: int
    entry: LegendEntry
    counts: list[tuple[int, float]]


def class_legend(
    labels: LabelMeaning, statistics: Mapping[str, SplitStatistics], legend: ClassLegend | None = None
) -> dict[int, LegendEntry]:
    """The classes that are named or that the chips contain, by value, without the background and unknown.

    Args:
        labels: What the values stand for.
        statistics: The statistics of each split.
        legend: Names and colours in place of those of `labels`.
    """
    legend = legend or ClassLegend(dict(labels.names))
    classes_present = {
        value for split in statistics.values() for value, entry in (split.classes or {}).items() if entry.pixels
    }
    colours = class_colours(labels, legend, classes_present)
    return {value: LegendEntry(legend.names.get(value, ""), colour) for value, colour in colours.items()}


def class_colours(labels: LabelMeaning, legend: ClassLegend, present: Iterable[int]) -> dict[int, Colour]:
    """The colours of classes that are named or present, by value, without background and unknown.

    Colours are those that rasters give to their classes; where a class has none, all are of the report's palette.
    """
    values = sorted({*present, *labels.names} - {labels.background, labels.unknown})
    if values and set(values) <= set(legend.colours):
        return {value: legend.colours[value] for value in values}
    return dict(zip(values, palette(CLASS_COLOURS, len(values)), strict=True))


def class_rows(
    statistics: Mapping[str, SplitStatistics], legend: Mapping[int, LegendEntry], labels: LabelMeaning
) -> list[ClassRow]:
    """The rows of the class table: the legend's classes, the background and unknown if the config has them."""
    entries = [*legend.items()]
    if labels.background is not None:
        entries.append((labels.background, LegendEntry("background", BACKGROUND)))
    if labels.unknown is not None:
        entries.append((labels.unknown, LegendEntry("unknown", UNKNOWN)))

    def count(split: SplitStatistics, value: int) -> tuple[int, float]:
        entry = (split.classes or {}).get(value)
        return (entry.pixels, entry.share) if entry else (0, 0.0)

    return [ClassRow(value, entry, [count(split, value) for split in statistics.values()]) for value, entry in entries]
