"""The report step: one HTML page that shows what a dataset holds, what was left out, and why."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jinja2

from segchips.config.model import Dataset, LabelsConfig
from segchips.files import atomic_write
from segchips.labels.conflicts import read_conflicts
from segchips.records.dataset_info import made_entries, read_info
from segchips.records.statistics import statistics
from segchips.reports.audit import read_audit
from segchips.reports.band_table import band_rows
from segchips.reports.chip_previews import ChipPreviews, preview_chips
from segchips.reports.class_table import Statistics, class_legend, class_shares
from segchips.reports.colours import BACKGROUND, CONFLICT_COLOURS, NO_SPLIT, SPLIT_COLOURS, UNKNOWN, css_colour, palette
from segchips.reports.contact_sheet import choose_tiles, contact_sheet, display_bands, is_true_colour
from segchips.reports.histograms import band_histograms
from segchips.reports.ledger import STATES, LedgerRow, read_ledger, summarise_states
from segchips.reports.public_config import public_config
from segchips.reports.redaction import redact_message
from segchips.reports.software_versions import software_versions
from segchips.reports.tile_map import CONFLICT_LEVELS, conflict_map, read_area, tile_map
from segchips.reports.timelines import scene_table, timelines
from segchips.scenes.lock import read_lock
from segchips.tiles.assignment import DROPPED, MADE
from segchips.vectors.geometry import Geometries

MAX_SHOWN_CHIPS = 24
MAX_SHOWN_ROWS = 50
MAX_SHOWN_SCENES = 200
MAX_SHOWN_TILES = 10
FILLS = dict(zip(STATES, ("solid", "empty", "lines", "cross", "dots", "bars", "pale"), strict=True))


def write_report(dataset: Dataset, folder: Path, output: Path) -> None:
    """Write the page at `output` from the results in `folder`; InputError where one of them is missing or damaged."""
    rows, info = read_ledger(folder / "ledger.csv"), read_info(folder / "tfrecords")
    lock, area = read_lock(folder / "scenes.parquet"), read_area(dataset.tiles)
    splits = list(dict.fromkeys([*dataset.tfrecords.splits, *(row.split for row in rows)]))
    shown = choose_tiles(rows, splits, MAX_SHOWN_CHIPS)
    bands = tuple(name or f"band {number}" for number, name in enumerate(info.image.bands, 1))
    entries = made_entries(folder / "tfrecords", info)
    survey = preview_chips(rows, entries, folder, set(shown), display_bands(bands), dataset.labels.unknown)
    found = {split: held for split, held in statistics(folder / "tfrecords").items() if held.chips}
    content = {
        **_tiles_section(rows, splits, folder / "tiles.parquet", area),
        **_chips_section(dataset.labels, survey, shown, bands, found),
        "histograms": band_histograms(folder / "tfrecords", info, found),
        "audit": read_audit(folder / "audit.json"),
        "conflicts": _conflicts(folder, area, dataset.tiles.size),
        "scenes": scene_table(dataset, lock, survey.used),
        "timelines": timelines(dataset.imagery, lock, survey.used),
        "versions": software_versions(),
        "config": public_config(dataset),
    }
    atomic_write(output, _template().render(dataset=dataset, info=info, rows=rows, splits=splits, **content))


def _tiles_section(
    rows: Sequence[LedgerRow], splits: Sequence[str], manifest: Path, area: Geometries
) -> dict[str, Any]:
    named = [split for split in splits if split]
    colours = dict(zip(named, palette(SPLIT_COLOURS, len(named)), strict=True))
    return {
        "summary": summarise_states(rows),
        "states": [state for state in STATES if any(row.state == state for row in rows)],
        "tiles": Counter((row.state, row.split) for row in rows),
        "reasons": group_reasons(rows),
        "left_out": tiles_without_chips(rows),
        "map": tile_map(rows, manifest, area),
        "colours": {split: css_colour(colours.get(split, NO_SPLIT)) for split in splits},
    }


def _conflicts(folder: Path, area: Geometries, size: int) -> dict[str, Any]:
    """The tiles with labels in conflict by their pixels, most first, and the map of them."""
    pixels = read_conflicts(folder / "conflicts.parquet")
    tiles = sorted(((tile, count) for tile, count in pixels.items() if count), key=lambda one: -one[1])
    made = conflict_map(pixels, folder / "tiles.parquet", area, size) if tiles else {}
    return {"tiles": tiles, "pixels": sum(count for _, count in tiles), "map": made}


def _chips_section(
    labels: LabelsConfig, survey: ChipPreviews, shown: Sequence[str], bands: Sequence[str], found: Statistics
) -> dict[str, Any]:
    legend = class_legend(labels, found)
    colours = {value: entry.rgb for value, entry in legend.items()}
    if labels.unknown is not None:
        colours[labels.unknown] = UNKNOWN
    return {
        "legend": legend,
        "cards": contact_sheet([survey.shown[tile] for tile in shown], colours, labels.background),
        "display": [bands[index] for index in display_bands(bands)],
        "true_colour": is_true_colour(bands),
        "held": {split: statistics.pixels for split, statistics in found.items()},
        "classes": class_shares(found, legend, labels),
        "bands": band_rows(found, bands, survey.scaling),
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
        fills=FILLS,
        limits={"rows": MAX_SHOWN_ROWS, "scenes": MAX_SHOWN_SCENES, "tiles": MAX_SHOWN_TILES},
        levels=list(zip(CONFLICT_LEVELS, map(css_colour, CONFLICT_COLOURS), strict=True)),
        background=css_colour(BACKGROUND),
        unknown=css_colour(UNKNOWN),
    )
    return environment.from_string((Path(__file__).parent / "report.html.j2").read_text(encoding="utf-8"))


# The ledger.


def group_reasons(rows: Iterable[LedgerRow]) -> list[tuple[str, str, int]]:
    """State, reason and number of tiles left out, most frequent first in each state, whatever a tile's own share."""
    count = Counter((row.state, redact_message(_reason(row))) for row in rows if row.state != MADE)
    order = sorted(count, key=lambda group: (STATES.index(group[0]), -count[group], group[1]))
    return [(state, reason, count[state, reason]) for state, reason in order]


def _reason(row: LedgerRow) -> str:
    """The reason without the tile's own figures."""
    reason = row.reason if row.valid is None else row.reason.replace(str(row.valid), "…")
    return re.sub(r"^select: \d+ of", "select: … of", reason)


def tiles_without_chips(rows: Sequence[LedgerRow]) -> list[tuple[LedgerRow, str]]:
    """The tiles that were not made and why, those of the rarest state first."""
    count = Counter(row.state for row in rows)
    return [
        (row, redact_message(row.reason)) for row in sorted(rows, key=lambda row: count[row.state]) if row.state != MADE
    ]
