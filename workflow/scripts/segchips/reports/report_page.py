"""The page of a report: its template, and the parts that datasets made here and made from chips share."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from segchips.files import atomic_write
from segchips.grids.tile_array import TileKeys
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
from segchips.reports.ledger import (
    FAILED,
    NO_SCENES,
    STATES,
    UNFINISHED,
    Ledger,
    LedgerRow,
    is_in,
    summarise_states,
    to_ledger,
)
from segchips.reports.redaction import redact_message
from segchips.reports.target_previews import shade_values
from segchips.reports.tile_boxes import TileBoxes
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
    ledger: Iterable[LedgerRow], splits: Sequence[str], boxes: TileBoxes, area: Geometries, unit: str
) -> dict[str, Any]:
    """The variables of the section about tiles, or chips made elsewhere.

    Args:
        ledger: The ledger.
        splits: The splits in the order of the page; "" is none.
        boxes: The box of each tile or chip that has a location.
        area: The area of interest in lon/lat.
        unit: "tile" or "chip".
    """
    rows, named_splits = to_ledger(ledger), [split for split in splits if split]
    colours = dict(zip(named_splits, palette(SPLIT_COLOURS, len(named_splits)), strict=True))
    located = rows.where(boxes.keys.rows(TileKeys(rows.column("tile"))) >= 0)
    states = rows.counts("state")
    omitted = sum(count for state, count in states.items() if state != MADE)
    return {
        "summary": summarise_states(rows, unit),
        "unit": unit,
        "states": [state for state in STATES if states[state]],
        "tile_counts": rows.counts("state", "split"),
        "state_counts": states,
        "split_counts": rows.counts("split"),
        "reasons": group_reasons(rows),
        "omitted": omitted,
        "listed": omitted - states[DROPPED],
        "without_chips": tiles_without_chips(rows, MAX_SHOWN_ROWS),
        "map": tile_map(located, boxes.at(TileKeys(located.column("tile"))), area) if len(located) else None,
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
    ledger = to_ledger(rows)
    left_out = ledger.where(~is_in(ledger, MADE))
    counts = Counter[tuple[str, str]]()
    for (state, reason, valid), count in (
        left_out.where(~is_in(left_out, REJECTED)).counts("state", "reason", "valid").items()
    ):
        counts[state, redact_message(general_reason(reason, valid))] += count
    for row in left_out.where(is_in(left_out, REJECTED)):
        counts[row.state, redact_message(general_reason(row.reason, row.valid).replace(row.tile, "…"))] += 1
    order = sorted(counts, key=lambda group: (STATES.index(group[0]), -counts[group], group[1]))
    return [(state, reason, counts[state, reason]) for state, reason in order]


def general_reason(reason: str, valid: float | None) -> str:
    """The reason without the tile's own figures."""
    reason = reason if valid is None else reason.replace(str(valid), "…")
    reason = re.sub(r"^select: \d+ of", "select: … of", reason)
    return _GUARDED.sub(r"\1 a chip of split", reason)


def tiles_without_chips(rows: Ledger, count: int) -> list[tuple[LedgerRow, str]]:
    """The first tiles without chips, except dropped ones, with redacted reasons, those of the rarest state first."""
    states = rows.counts("state")
    order = sorted(dict.fromkeys(rows.column("state").unique().to_pylist()), key=lambda state: states[state])
    places = [np.flatnonzero(is_in(rows, state))[:count] for state in order if state not in (MADE, DROPPED)]
    chosen = rows.where(np.concatenate([np.empty(0, np.int64), *places])[:count])
    return [(row, redact_message(row.reason)) for row in chosen]
