"""The report step: one HTML page that shows what a dataset contains, which tiles were left out, and why."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import jinja2

from segchips.config.labels import LabelsConfig
from segchips.config.model import Dataset
from segchips.files import atomic_write
from segchips.labels.conflicts import read_conflicts
from segchips.records.dataset_files import made_entries, read_info
from segchips.records.dataset_info import DatasetInfo
from segchips.records.statistics import statistics
from segchips.records.statistics_file import SplitStatistics
from segchips.reports.audit import read_audit
from segchips.reports.band_table import band_groups
from segchips.reports.chip_previews import ChipPreviews, preview_chips
from segchips.reports.class_table import class_legend, class_rows
from segchips.reports.colours import (
    BACKGROUND,
    CONFLICT_COLOURS,
    NO_SPLIT,
    SPLIT_COLOURS,
    UNKNOWN,
    css_colour,
    palette,
)
from segchips.reports.contact_sheet import choose_tiles, contact_sheet, display_bands, is_true_colour
from segchips.reports.dataset_summary import band_names
from segchips.reports.histograms import band_histograms, measurement_histograms
from segchips.reports.layer_previews import LayerPicture, layer_pictures, layer_scaling
from segchips.reports.ledger import (
    FAILED,
    NO_SCENES,
    STATES,
    UNFINISHED,
    LedgerRow,
    read_ledger,
    summarise_states,
)
from segchips.reports.measurements import measurement_groups
from segchips.reports.pixel_size import pixel_size
from segchips.reports.public_config import public_config
from segchips.reports.redaction import redact_message
from segchips.reports.software_versions import software_versions
from segchips.reports.target_previews import shade_values, target_pictures
from segchips.reports.tile_map import CONFLICT_LEVELS, conflict_map, read_area, tile_map
from segchips.reports.timelines import scene_table, timelines
from segchips.scenes.lock import read_locks
from segchips.tiles.assignment import DROPPED, EXCLUDED, MADE, TOO_FEW_VALID
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
}


def write_report(dataset: Dataset, folder: Path, output: Path) -> None:
    """Write the report, a page without external files or scripts.

    Args:
        dataset: The config of the dataset.
        folder: The dataset's folder of results.
        output: Where to write the page.

    Raises:
        InputError: A file of results is missing or damaged.
    """
    rows, info = read_ledger(folder / "ledger.csv"), read_info(folder / "tfrecords")
    locks, area = read_locks(folder / "scenes.parquet"), read_area(dataset.tiles)
    layers, labels = dataset.imagery.layers, dataset.labels.first
    splits = list(dict.fromkeys([*dataset.tfrecords.splits, *(row.split for row in rows)]))
    selected = choose_tiles(rows, splits, MAX_SHOWN_CHIPS)
    bands = tuple(name or f"band {number}" for number, name in enumerate(info.image.bands, 1))
    entries = made_entries(folder / "tfrecords", info)
    folders = folder / "images" / next(iter(layers)), folder / "labels" / next(iter(dataset.labels.targets))
    steps = info.image.shape[0] if len(info.image.shape) == 4 else 1
    previews = preview_chips(rows, entries, folders, set(selected), display_bands(bands), labels.unknown, steps)
    shown = [previews.previews[tile].row for tile in selected]
    split_statistics = {split: entry for split, entry in statistics(folder / "tfrecords").items() if entry.chips}
    variables = {
        **_tile_variables(rows, splits, folder / "tiles.parquet", area),
        **_chip_variables(labels, previews, selected, bands, split_statistics),
        "histograms": list(chain(*band_histograms(folder / "tfrecords", info, split_statistics).values()))
        + measurement_histograms(folder / "tfrecords", info, split_statistics),
        "bands": [
            group
            for layer, layout in info.images.items()
            for group in band_groups(
                split_statistics, layer, band_names(layout), layer_scaling(folder, layer, layout, shown)
            )
        ]
        + measurement_groups(split_statistics),
        "pictures": _pictures(dataset, info, folder, shown),
        "audit": read_audit(folder / "audit.json"),
        "conflicts": _conflict_variables(folder, area, dataset.tiles.size),
        "scenes": [
            row for name, layer in layers.items() for row in scene_table(layer, locks[name], previews.tiles_by_scene)
        ],
        "timelines": [
            (layer, line)
            for name, layer in layers.items()
            if layer.source != "files"
            for line in timelines(layer, locks[name], previews.tiles_by_scene)
        ],
        "pixel_size": pixel_size(rows[0].tile),
        "versions": software_versions(),
        "config": public_config(dataset),
    }
    page = _template().render(
        dataset=dataset, imagery=dataset.imagery.first, labels=labels, info=info, rows=rows, splits=splits, **variables
    )
    atomic_write(output, page)


def _pictures(
    dataset: Dataset, info: DatasetInfo, folder: Path, rows: Sequence[LedgerRow]
) -> dict[str, list[LayerPicture]]:
    """Pictures of all layers and of further targets by tile; empty where the contact sheet shows everything."""
    layers, targets = layer_pictures(info, folder, rows), target_pictures(dataset.labels.targets, folder, rows)
    pictures = {row.tile: [*layers.get(row.tile, []), *targets[row.tile]] for row in rows}
    return pictures if any(pictures.values()) else {}


def _tile_variables(
    rows: Sequence[LedgerRow], splits: Sequence[str], manifest: Path, area: Geometries
) -> dict[str, Any]:
    named_splits = [split for split in splits if split]
    colours = dict(zip(named_splits, palette(SPLIT_COLOURS, len(named_splits)), strict=True))
    return {
        "summary": summarise_states(rows),
        "states": [state for state in STATES if any(row.state == state for row in rows)],
        "tile_counts": Counter((row.state, row.split) for row in rows),
        "reasons": group_reasons(rows),
        "omitted": tiles_without_chips(rows),
        "map": tile_map(rows, manifest, area),
        "colours": {split: css_colour(colours.get(split, NO_SPLIT)) for split in splits},
    }


def _conflict_variables(folder: Path, area: Geometries, size: int) -> dict[str, Any]:
    """The tiles with pixels in conflict, those with most first, and the map of conflicts."""
    pixels = read_conflicts(folder / "conflicts.parquet")
    tiles = sorted(((tile, count) for tile, count in pixels.items() if count), key=lambda item: -item[1])
    map_variables = conflict_map(pixels, folder / "tiles.parquet", area, size) if tiles else {}
    return {"tiles": tiles, "pixels": sum(count for _, count in tiles), "map": map_variables}


def _chip_variables(
    labels: LabelsConfig,
    previews: ChipPreviews,
    selected: Sequence[str],
    bands: Sequence[str],
    split_statistics: Mapping[str, SplitStatistics],
) -> dict[str, Any]:
    legend = class_legend(labels, split_statistics)
    chips = [previews.previews[tile] for tile in selected]
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
    """The reason without the tile's own figures."""
    reason = row.reason if row.valid is None else row.reason.replace(str(row.valid), "…")
    return re.sub(r"^select: \d+ of", "select: … of", reason)


def tiles_without_chips(rows: Sequence[LedgerRow]) -> list[tuple[LedgerRow, str]]:
    """The tiles without chips with their redacted reasons, those of the rarest state first."""
    counts = Counter(row.state for row in rows)
    by_frequency = sorted(rows, key=lambda row: counts[row.state])
    return [(row, redact_message(row.reason)) for row in by_frequency if row.state != MADE]
