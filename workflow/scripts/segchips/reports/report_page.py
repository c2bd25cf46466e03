"""The page of a report: its template, and the parts that datasets made here and made from chips share."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from segchips.files import atomic_write
from segchips.labels.legend import ClassLegend
from segchips.records.statistics_file import SplitStatistics
from segchips.reports.chip_previews import PreviewChip
from segchips.reports.class_table import LabelMeaning, class_legend, class_rows
from segchips.reports.colours import (
    BACKGROUND,
    CONFLICT_COLOURS,
    NO_SPLIT,
    SPLIT_COLOURS,
    UNKNOWN,
    css_colour,
    palette,
)
from segchips.reports.contact_sheet import contact_sheet, display_bands, is_true_colour
from segchips.reports.ledger import FAILED, NO_SCENES, STATES, UNFINISHED, LedgerRow, summarise_states
from segchips.reports.redaction import redact_message
from segchips.reports.target_previews import shade_values
from segchips.reports.tile_map import CONFLICT_LEVELS, tile_map
from segchips.tiles.assignment import DROPPED, EXCLUDED, MADE, REJECTED, TOO_FEW_VALID
from segchips.vectors.geometry import Geometries

MAX_SHOWN_CHIPS = 24
MAX_SHOWN_ROWS = 50
MAX_SHOWN_SCENES = 200
MAX_SHOWN_TILES = 10
_FILLS = {
    MADE: "solid",
    NO_SCENES: "empty",
    TOO_FEW_VALID: "lines",
    FAILED: "cross",
    UNFINISHED: "dots",
    EXCLUDED: "bars",
    DROPPED: "pale",
    REJECTED: "cross",
}

_GUARDED = re.compile(r"^(guard: it (?:shares ground with|comes nearer than .+ m to)) .+ of split")


def write_page(output: Path, variables: Mapping[str, Any]) -> None:
    """Write the page, without external files or scripts.

    Args:
        output: Where to write it.
        variables: All variables of the template.
    """
    atomic_write(output, _template().render(variables))


def tile_variables(
    rows: Sequence[LedgerRow], splits: Sequence[str], boxes: Mapping[str, Any], area: Geometries, unit: str
) -> dict[str, Any]:
    """The variables of the section about tiles, or chips made elsewhere.

    Args:
        rows: The ledger.
        splits: The splits in the order of the page; "" is none.
        boxes: The box in lon/lat of each tile or chip that has a location.
        area: The area of interest in lon/lat.
        unit: "tile" or "chip".
    """
    named_splits = [split for split in splits if split]
    colours = dict(zip(named_splits, palette(SPLIT_COLOURS, len(named_splits)), strict=True))
    located = [row for row in rows if row.tile in boxes]
    return {
        "summary": summarise_states(rows, unit),
        "unit": unit,
        "states": [state for state in STATES if any(row.state == state for row in rows)],
        "tile_counts": Counter((row.state, row.split) for row in rows),
        "reasons": group_reasons(rows),
        "omitted": tiles_without_chips(rows),
        "map": tile_map(located, boxes, area) if located else None,
        "colours": {split: css_colour(colours.get(split, NO_SPLIT)) for split in splits},
    }


def chip_variables(
    labels: LabelMeaning,
    chips: Sequence[PreviewChip],
    bands: Sequence[str],
    split_statistics: Mapping[str, SplitStatistics],
    names: ClassLegend | None = None,
) -> dict[str, Any]:
    """The variables of the sections about chips and classes.

    Args:
        labels: What label values stand for.
        chips: The chips to show, whose labels are at most 255.
        bands: The names of the bands.
        split_statistics: The statistics of each split that has chips.
        names: Names and colours of classes in place of those of `labels`.
    """
    legend = class_legend(labels, split_statistics, names)
    colours, background, chips = shade_values(labels, chips, {value: entry.rgb for value, entry in legend.items()})
    return {
        "legend": legend,
        "sheet": contact_sheet(chips, colours, background),
        "display": [bands[index] for index in display_bands(bands)],
        "true_colour": is_true_colour(bands),
        "split_pixels": {split: entry.pixels for split, entry in split_statistics.items()},
        "classes": class_rows(split_statistics, legend, labels),
    }


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        number=lambda value: f"{value:,}",
        px=lambda value: f"{value:.2f}".rstrip("0").rstrip("."),
        share=lambda value: "–" if value is None else "< 0.1 %" if 0 < value < 5e-4 else f"{100 * value:.1f} %",
        value=lambda value: f"{value:,}" if isinstance(value, int) else f"{value:.6g}",
    )
    environment.globals.update(
        made=MADE,
        dropped=DROPPED,
        fills=_FILLS,
        limits={"rows": MAX_SHOWN_ROWS, "scenes": MAX_SHOWN_SCENES, "tiles": MAX_SHOWN_TILES},
        conflict_levels=list(zip(CONFLICT_LEVELS, map(css_colour, CONFLICT_COLOURS), strict=True)),
        background=css_colour(BACKGROUND),
        unknown=css_colour(UNKNOWN),
    )
    return environment.from_string((Path(__file__).parent / "report.html.j2").read_text(encoding="utf-8"))


def group_reasons(rows: Iterable[LedgerRow]) -> list[tuple[str, str, int]]:
    """Group the tiles without chips by state and reason, ignoring figures that differ from tile to tile.

    Returns:
        State, reason and number of tiles, by state; within a state the most frequent reason first.
    """
    counts = Counter((row.state, redact_message(_general_reason(row))) for row in rows if row.state != MADE)
    order = sorted(counts, key=lambda group: (STATES.index(group[0]), -counts[group], group[1]))
    return [(state, reason, counts[state, reason]) for state, reason in order]


def _general_reason(row: LedgerRow) -> str:
    """The reason without the tile's own figures, and without the names of chips made elsewhere."""
    reason = row.reason if row.valid is None else row.reason.replace(str(row.valid), "…")
    reason = re.sub(r"^select: \d+ of", "select: … of", reason)
    reason = _GUARDED.sub(r"\1 a chip of split", reason)
    return reason.replace(row.tile, "…") if row.state == REJECTED else reason


def tiles_without_chips(rows: Sequence[LedgerRow]) -> list[tuple[LedgerRow, str]]:
    """The tiles without chips with their redacted reasons, those of the rarest state first."""
    counts = Counter(row.state for row in rows)
    by_frequency = sorted(rows, key=lambda row: counts[row.state])
    return [(row, redact_message(row.reason)) for row in by_frequency if row.state != MADE]
