"""Labels without classes in the report: measurements in shades of one colour with statistics, objects by number."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from segchips.records.statistics_file import SplitStatistics
from segchips.reports.band_table import BandGroup, band_row
from segchips.reports.chip_previews import PreviewChip
from segchips.reports.colours import CLASS_COLOURS, Colour, palette

NO_VALUE = 0
"""The shade of pixels without a value."""
_LOW: Colour = (255, 247, 188)
_HIGH: Colour = (102, 37, 6)


def shade_labels(chips: Sequence[PreviewChip]) -> list[PreviewChip]:
    """Replaces measurements by shades from 1 to 255, between the 2nd and the 98th percentile of all chips."""
    values = np.concatenate([chip.label[np.isfinite(chip.label)] for chip in chips]) if chips else np.zeros(0)
    low, high = np.percentile(values, (2, 98)).tolist() if values.size else (0.0, 1.0)
    return [replace(chip, label=_shades(chip.label, low, max(high - low, 1e-30))) for chip in chips]


def _shades(label: np.ndarray, low: float, span: float) -> np.ndarray:
    known = np.isfinite(label)
    share = np.clip((np.where(known, label, low).astype(np.float64) - low) / span, 0, 1)
    return np.where(known, 1 + np.rint(254 * share), NO_VALUE).astype(np.uint8)


def shade_colours() -> dict[int, Colour]:
    """Returns the colour of each shade."""
    ramp = np.rint(np.linspace(_LOW, _HIGH, 255)).astype(int)
    return {shade: (red, green, blue) for shade, (red, green, blue) in enumerate(ramp.tolist(), 1)}


def number_labels(chips: Sequence[PreviewChip]) -> list[PreviewChip]:
    """Replaces numbers of objects by shades from 1 to 255, which repeat."""
    return [
        replace(chip, label=np.where(chip.label > 0, (chip.label - 1) % 255 + 1, 0).astype(np.uint8)) for chip in chips
    ]


def object_colours() -> dict[int, Colour]:
    """Returns the colour of each shade of objects."""
    return dict(enumerate(palette(CLASS_COLOURS, 255), 1))


def measurement_groups(statistics: Mapping[str, SplitStatistics]) -> list[BandGroup]:
    """Returns the statistics of the continuous targets, by target."""
    targets = dict.fromkeys(target for split in statistics.values() for target in split.measurements)
    return [
        BandGroup(
            target or "label",
            (1.0, 0.0),
            [band_row(split, entry.measurements[target]) for split, entry in statistics.items()],
        )
        for target in targets
    ]
