"""A page to look at a dataset while it is made: a map of tiles by state, chips with layers and steps, and failures."""

import base64
import json
import math
import os
import shutil
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import shapely

from segchips.errors import SegchipsError
from segchips.files import atomic_write, digest
from segchips.records.statistics import statistics
from segchips.reports.chip_pictures import Pictures, write_pictures
from segchips.reports.colours import NO_SPLIT, SPLIT_COLOURS, css_colour, palette
from segchips.reports.ledger import FAILED, NO_SCENES, STATES, UNFINISHED, LedgerRow, summarise_states
from segchips.reports.progress_rows import READY, progress_rows
from segchips.reports.redaction import redact_message
from segchips.reports.report_page import group_reasons
from segchips.reports.tile_map import read_boxes
from segchips.tiles.assignment import DROPPED, EXCLUDED, MADE, REJECTED, TOO_FEW_VALID

_STEPS = 65_535
"""The position of the east and south edge of the map in the page's data."""
_STATE_COLOURS = {
    MADE: "#2f7d4f",
    UNFINISHED: "#c9ced3",
    FAILED: "#c0281c",
    NO_SCENES: "#7c6bb0",
    TOO_FEW_VALID: "#d9a33a",
    EXCLUDED: "#8c3b2a",
    DROPPED: "#e6dccb",
    REJECTED: "#8c3b2a",
}
_READY_COLOUR = "#6fb58a"
_READY_STATE = "chips ready"
_MOST_REASONS = 400
_SHOWN_REASONS = 40


def write_look(folder: Path, logs: Path, output: Path, count: int) -> str:
    """Write the page and its pictures.

    Args:
        folder: The dataset's folder of results.
        logs: The dataset's folder of logs.
        output: The folder to write `index.html` and the folder `pictures` to.
        count: How many tiles get pictures at most.

    Returns:
        A line for the terminal.

    Raises:
        InputError: The folder is not one of a dataset, or a file is damaged.
    """
    rows = progress_rows(folder, logs)
    boxes = read_boxes(folder / "tiles.parquet")
    shown = choose_rows(rows, folder, count)
    pictures = output / "pictures"
    shutil.rmtree(pictures, ignore_errors=True)
    made = write_pictures(folder, shown, pictures)
    states = [_state(row) for row in rows]
    report, reasons = folder / "report" / "index.html", _reasons(rows)
    data = {**_tile_data(rows, states, boxes), **_picture_data(rows, shown, made)}
    page = _template().render(
        name=folder.absolute().name,
        summary=summarise_states(rows),
        counts=_counts(rows, states),
        splits=list(dict.fromkeys(row.split for row in rows)),
        reasons=reasons[:_SHOWN_REASONS],
        more_reasons=len(reasons) - _SHOWN_REASONS,
        classes=_class_rows(folder, made),
        report=os.path.relpath(report, output) if report.exists() else None,
        colours=data["state_colours"],
        pictures=len(shown),
        data=_packed(data),
    )
    atomic_write(output / "index.html", page)
    return f"{output / 'index.html'}: {summarise_states(rows)}; pictures of {len(shown)} tiles"


def choose_rows(rows: Sequence[LedgerRow], folder: Path, count: int) -> list[LedgerRow]:
    """Choose tiles that have an image chip, spread evenly over splits and states, the same ones each time."""
    names = {path.name for path in (folder / "images").rglob("*.tif") if path.stat().st_size}
    with_chips = [row for row in rows if f"{row.tile.replace(':', '#')}.tif" in names and row.state != DROPPED]
    queues: dict[tuple[str, str], list[LedgerRow]] = {}
    for row in sorted(with_chips, key=lambda row: digest("report", row.tile)):
        queues.setdefault((row.split, row.state), []).append(row)
    turns = chain.from_iterable(zip_longest(*queues.values()))
    chosen = {row.tile for row, _ in zip((row for row in turns if row), range(count), strict=False)}
    return [row for row in with_chips if row.tile in chosen]


def _state(row: LedgerRow) -> str:
    return _READY_STATE if row.state == UNFINISHED and row.reason == READY else row.state


def _counts(rows: Sequence[LedgerRow], states: Sequence[str]) -> list[tuple[str, dict[str, int]]]:
    """For each state the number of tiles in each split."""
    counts = Counter((state, row.split) for state, row in zip(states, rows, strict=True))
    order = [*STATES[:1], _READY_STATE, *STATES[1:]]
    listed = [state for state in order if any(key[0] == state for key in counts)]
    return [(state, {split: number for (one, split), number in counts.items() if one == state}) for state in listed]


def _reasons(rows: Sequence[LedgerRow]) -> list[dict[str, Any]]:
    """Why tiles have no chips in the shards, with the first tile of each reason."""
    first = {(row.state, row.reason): row.tile for row in reversed(rows)}
    grouped = group_reasons(rows)
    examples = {(state, redact_message(reason)): tile for (state, reason), tile in first.items()}
    return [
        {"state": state, "reason": reason, "count": count, "tile": examples.get((state, reason), "")}
        for state, reason, count in grouped
    ]


def _class_rows(folder: Path, made: Pictures) -> list[dict[str, Any]]:
    """Pixels of each class of the first target in each split, once the statistics are written."""
    try:
        splits = {split: entry for split, entry in statistics(folder / "tfrecords").items() if entry.chips}
    except SegchipsError:
        return []
    names = {value: name for value, name, _ in next(iter(made.legend.values()), ())}
    values = sorted({value for entry in splits.values() for value in entry.classes or {}})
    return [
        {
            "value": value,
            "name": names.get(value, ""),
            "pixels": {split: _pixels(entry.classes, value) for split, entry in splits.items()},
        }
        for value in values
    ]


def _pixels(classes: Mapping[int, Any] | None, value: int) -> int:
    return int(classes[value].pixels) if classes and value in classes else 0


def _tile_data(rows: Sequence[LedgerRow], states: Sequence[str], boxes: Mapping[str, Any]) -> dict[str, Any]:
    """Corners of tiles in steps of the map, with the numbers of their states, splits and reasons."""
    parts, owners = shapely.get_parts([boxes[row.tile] for row in rows], return_index=True)
    odd = shapely.get_num_coordinates(shapely.get_exterior_ring(parts)) != 5  # cut at 180 degrees
    parts[odd] = shapely.envelope(parts[odd])
    corners = shapely.get_coordinates(shapely.get_exterior_ring(parts)).reshape(len(parts), 5, 2)[:, :4]
    wrapped = bool(np.ptp(corners[..., 0]) > 180)
    if wrapped:
        corners = corners + np.where(corners[..., :1] < 0, [360.0, 0.0], 0.0)
    (west, south), (east, north) = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    scale = np.array([east - west or 1.0, north - south or 1.0])
    x = np.rint((corners[..., 0] - west) / scale[0] * _STEPS).astype(int)
    y = np.rint((north - corners[..., 1]) / scale[1] * _STEPS).astype(int)
    quads = np.stack([x, y], axis=-1).reshape(len(parts), 8)
    aspect = scale[0] * math.cos(math.radians((south + north) / 2)) / scale[1]
    splits = list(dict.fromkeys(row.split for row in rows))
    reasons = list(dict.fromkeys(redact_message(row.reason) for row in rows))
    kept = {reason: number for number, reason in enumerate(reasons[:_MOST_REASONS])}
    named = [split for split in splits if split]
    split_colours = dict(zip(named, map(css_colour, palette(SPLIT_COLOURS, len(named))), strict=True))
    listed = [state for state in (*STATES[:1], _READY_STATE, *STATES[1:]) if state in set(states)]
    return {
        "tiles": "\n".join(row.tile for row in rows),
        "owners": owners.tolist(),
        "quads": np.diff(quads, axis=0, prepend=0).ravel().tolist(),
        "aspect": aspect,
        "bounds": [west, south, east, north],
        "states": listed,
        "state": [listed.index(state) for state in states],
        "state_colours": {state: _STATE_COLOURS.get(state, _READY_COLOUR) for state in listed},
        "splits": splits,
        "split": [splits.index(row.split) for row in rows],
        "split_colours": {split: split_colours.get(split, css_colour(NO_SPLIT)) for split in splits},
        "reasons": [*kept, "see ledger.csv"],
        "reason": [kept.get(redact_message(row.reason), len(kept)) for row in rows],
        "valid": [-1 if row.valid is None else round(row.valid, 3) for row in rows],
        "scenes": [row.scenes for row in rows],
    }


def _picture_data(rows: Sequence[LedgerRow], shown: Sequence[LedgerRow], made: Pictures) -> dict[str, Any]:
    place = {row.tile: number for number, row in enumerate(rows)}
    return {
        "shown": [
            {
                "tile": place[row.tile],
                "images": made.images[row.tile],
                "labels": made.labels[row.tile],
                "broken": made.broken.get(row.tile, ""),
            }
            for row in shown
        ],
        "legend": made.legend,
    }


def _packed(data: Mapping[str, Any]) -> str:
    """The data as compressed JSON in base64."""
    content = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
    return base64.b64encode(zlib.compress(content, 9)).decode()


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    return environment.from_string((Path(__file__).parent / "look.html.j2").read_text(encoding="utf-8"))
