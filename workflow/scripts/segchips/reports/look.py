"""A page to look at a dataset while it is made: a map of tiles by state, chips with layers and steps, and failures."""

import base64
import json
import os
import shutil
import zlib
from collections.abc import Mapping, Sequence
from heapq import nsmallest
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from segchips.arrays import Ints
from segchips.errors import SegchipsError
from segchips.files import atomic_write, digest
from segchips.grids.tile_array import TileKeys
from segchips.records.statistics import statistics
from segchips.reports.chip_pictures import Pictures, write_pictures
from segchips.reports.colours import NO_SPLIT, SPLIT_COLOURS, css_colour, palette
from segchips.reports.ledger import FAILED, NO_SCENES, STATES, UNFINISHED, Ledger, LedgerRow, is_in, summarise_states
from segchips.reports.look_map import UNITS, TileBlocks, square_data, tile_data
from segchips.reports.progress_rows import READY, Progress, read_progress
from segchips.reports.redaction import redact_message
from segchips.reports.report_page import MAX_SHOWN_ROWS, general_reason, group_reasons, tiles_without_chips
from segchips.reports.tile_boxes import TileBoxes
from segchips.reports.tile_map import MAX_TILES, MapView
from segchips.tiles.assignment import DROPPED, EXCLUDED, MADE, REJECTED, TOO_FEW_VALID

_READY_STATE = "chips ready"
_STATE_COLOURS = {
    MADE: "#2f7d4f",
    _READY_STATE: "#6fb58a",
    UNFINISHED: "#c9ced3",
    FAILED: "#c0281c",
    NO_SCENES: "#7c6bb0",
    TOO_FEW_VALID: "#d9a33a",
    EXCLUDED: "#8c3b2a",
    DROPPED: "#e6dccb",
    REJECTED: "#8c3b2a",
}
_ORDER = (*STATES[:1], _READY_STATE, *STATES[1:])
_SHOWN_REASONS = 40
_BATCH = 50_000
"""Tiles with chips that are chosen from at once."""


def write_look(folder: Path, logs: Path, output: Path, count: int) -> str:
    """Write the page, its pictures, and of many tiles the files that the page reads when it shows them.

    Args:
        folder: The dataset's folder of results.
        logs: The dataset's folder of logs.
        output: The folder to write `index.html` and the folders `pictures` and `tiles` to.
        count: How many tiles get pictures at most.

    Returns:
        A line for the terminal.

    Raises:
        InputError: The folder is not one of a dataset, or a file is damaged.
    """
    progress = read_progress(folder, logs)
    rows, keys = progress.rows, TileKeys(progress.rows.column("tile"))
    boxes = TileBoxes.read(folder / "tiles.parquet").at(keys)
    shown = choose_rows(progress, count)
    for part in ("pictures", "tiles"):
        shutil.rmtree(output / part, ignore_errors=True)
    made = write_pictures(folder, shown, output / "pictures")
    by_state = _with_ready(rows)
    reasons, failed = _reasons(rows), rows.where(is_in(rows, FAILED) | is_in(rows, EXCLUDED))
    reasons, more_reasons = reasons[:_SHOWN_REASONS], len(reasons) - _SHOWN_REASONS
    listed = tiles_without_chips(failed, MAX_SHOWN_ROWS)
    about = _values(by_state)
    view = MapView.around(boxes)
    if len(rows) > MAX_TILES:
        named = [*(row.tile for row in shown), *(row.tile for row, _ in listed), *(row["tile"] for row in reasons)]
        at_once, blocks = np.unique(keys.known_rows(TileKeys(dict.fromkeys(named)))), TileBlocks.of(keys)
    else:
        at_once, blocks = np.arange(len(rows)), None
    data = {
        **about,
        "size": [view.width * UNITS, view.height * UNITS],
        "tiles": _tiles(by_state, boxes, view, about, at_once),
        "shown": _pictures(shown, made),
        "legend": made.legend,
    }
    if blocks:
        states, splits = (_numbers(by_state, about[f"{name}s"], name) for name in ("state", "split"))
        data["squares"] = square_data(boxes, view, states, splits)
        data["blocks"] = _write_blocks(output / "tiles", blocks, by_state, boxes, view, about)
        data["span"] = blocks.span
    report = folder / "report" / "index.html"
    page = _template().render(
        name=folder.absolute().name,
        summary=summarise_states(rows),
        counts=_counts(by_state),
        splits=about["splits"],
        reasons=reasons,
        more_reasons=more_reasons,
        failed=listed,
        more_failed=len(failed) - len(listed),
        classes=_class_rows(folder, made),
        report=os.path.relpath(report, output) if report.exists() else None,
        colours=about["state_colours"],
        pictures=len(shown),
        tiles_of_square=len(rows) / len(data["squares"]["x"]) if blocks else None,
        data=_packed(data),
    )
    atomic_write(output / "index.html", page)
    return f"{output / 'index.html'}: {summarise_states(rows)}; pictures of {len(shown)} tiles"


def choose_rows(progress: Progress, count: int) -> list[LedgerRow]:
    """Choose tiles that have an image chip, spread evenly over splits and states, the same ones each time."""
    rows = progress.rows
    places = np.flatnonzero(progress.have_images & ~is_in(rows, DROPPED))
    groups: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for batch in np.array_split(places, len(places) // _BATCH + 1):
        some = rows.where(batch)
        columns = (some.texts(name) for name in ("tile", "split", "state"))
        for place, tile, split, state in zip(batch.tolist(), *columns, strict=True):
            groups.setdefault((split, state), []).append((digest("report", tile), place))
        groups = {group: nsmallest(count, members) for group, members in groups.items()}
    queues = sorted(members for members in groups.values() if members)
    turns = (member for member in chain.from_iterable(zip_longest(*queues)) if member)
    return list(rows.where(np.array(sorted(place for _, place in islice(turns, count)), np.int64)))


def _with_ready(rows: Ledger) -> Ledger:
    """The rows with a state of its own for tiles that wait for their shard alone."""
    ready = pc.and_(pc.equal(rows.column("state"), UNFINISHED), pc.equal(rows.column("reason"), READY))
    return rows.replaced(state=pc.if_else(ready, _READY_STATE, rows.column("state")))


def _counts(by_state: Ledger) -> list[tuple[str, dict[str, int]]]:
    """For each state the number of tiles in each split."""
    counts = by_state.counts("state", "split")
    listed = [state for state in _ORDER if any(key[0] == state for key in counts)]
    return [(state, {split: number for (one, split), number in counts.items() if one == state}) for state in listed]


def _reasons(rows: Ledger) -> list[dict[str, Any]]:
    """Why tiles have no chips in the shards, with the first tile of each reason."""
    numbered = rows.table.append_column("row", pa.array(np.arange(len(rows))))
    first = numbered.group_by(["state", "reason", "valid"]).aggregate([("row", "min")]).sort_by("row_min")
    examples: dict[tuple[str, str], str] = {}
    keys = rows.column("tile").take(first["row_min"]).to_pylist()
    for tile, state, reason, valid in zip(
        keys, *(first[name].to_pylist() for name in ("state", "reason", "valid")), strict=True
    ):
        examples.setdefault((state, redact_message(general_reason(reason, valid))), tile)
    return [
        {"state": state, "reason": reason, "count": count, "tile": examples[state, reason]}
        for state, reason, count in group_reasons(rows)
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


def _values(by_state: Ledger) -> dict[str, Any]:
    """The states and splits of the page with their colours, and how many tiles have them."""
    states, of_split = by_state.counts("state"), by_state.counts("split")
    splits = by_state.column("split").unique().to_pylist()
    listed, named = [state for state in _ORDER if states[state]], [split for split in splits if split]
    split_colours = dict(zip(named, map(css_colour, palette(SPLIT_COLOURS, len(named))), strict=True))
    return {
        "states": listed,
        "state_colours": {state: _STATE_COLOURS[state] for state in listed},
        "state_counts": [states[state] for state in listed],
        "splits": splits,
        "split_colours": {split: split_colours.get(split, css_colour(NO_SPLIT)) for split in splits},
        "split_counts": [of_split[split] for split in splits],
        "marked": [listed.index(state) for state in (FAILED, EXCLUDED) if state in listed],
    }


def _numbers(by_state: Ledger, values: Sequence[str], name: str) -> Ints:
    """The number of the state or split of each tile (n)."""
    return np.asarray(pc.index_in(by_state.column(name), value_set=pa.array(values, pa.string())), np.int64)


def _tiles(by_state: Ledger, boxes: TileBoxes, view: MapView, about: Mapping[str, Any], rows: Ints) -> dict[str, Any]:
    some = TileBoxes(boxes.keys.where(np.isin(np.arange(len(boxes)), rows)), boxes.wkb.take(pa.array(rows)))
    return tile_data(by_state.where(rows), some, view, about["states"], about["splits"])


def _write_blocks(
    folder: Path, blocks: TileBlocks, by_state: Ledger, boxes: TileBoxes, view: MapView, about: Mapping[str, Any]
) -> list[tuple[str, int, list[int]]]:
    """Write a file for each block of tiles; returns its name, number of tiles and limits on the map."""
    written = []
    for number, (name, rows) in enumerate(zip(blocks.names, blocks.rows, strict=True)):
        data = _tiles(by_state, boxes, view, about, rows)
        atomic_write(folder / f"{number}.js", f'addTiles({number}, "{_packed(data)}");\n')
        corners = np.cumsum(np.array(data["quads"]).reshape(-1, 8), axis=0).reshape(-1, 2)
        limits: list[int] = [*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()]
        written.append((name, len(rows), limits))
    return written


def _pictures(shown: Sequence[LedgerRow], made: Pictures) -> list[dict[str, Any]]:
    return [
        {
            "tile": row.tile,
            "images": made.images[row.tile],
            "labels": made.labels[row.tile],
            "broken": made.broken.get(row.tile, ""),
        }
        for row in shown
    ]


def _packed(data: Mapping[str, Any]) -> str:
    """The data as compressed JSON in base64."""
    content = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
    return base64.b64encode(zlib.compress(content)).decode()


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    return environment.from_string((Path(__file__).parent / "look.html.j2").read_text(encoding="utf-8"))
