"""The ledger: a row for each tile with its state and the reason for it.

A tile is in one of these states, in the order in which reports list them:

| state | meaning |
|---|---|
| made | the tile's chips are in the shards |
| no scenes | a product has no scene of the tile within the dates and the cloud limit |
| below min_valid | fewer pixels are valid than imagery.min_valid asks for |
| failed | a chip could not be made, and the run stopped |
| unfinished | the run stopped before the tile's shard was written |
| excluded | a chip could not be made, and imagery.on_failure is exclude |
| dropped | splitting or selection left the tile out |
| rejected | only in converted datasets: the pair of chips does not fit the others |

`COLUMNS` describes the columns.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from segchips.columns import Rows
from segchips.files import atomic_path, read_csv
from segchips.grids.tile import chip_filename, chip_name
from segchips.grids.tile_array import TileKeys
from segchips.records.shard_index import IndexEntry, read_index, read_index_columns
from segchips.tiles.assignment import (
    DROPPED,
    EXCLUDED,
    MADE,
    PLANNED,
    REJECTED,
    TOO_FEW_VALID,
    Assignments,
    TileAssignment,
    to_assignments,
)

if TYPE_CHECKING:
    from segchips.arrays import Mask
    from segchips.chips.image_plan import ImagePlans

NO_SCENES = "no scenes"
FAILED = "failed"
UNFINISHED = "unfinished"
STATES = (MADE, NO_SCENES, TOO_FEW_VALID, FAILED, UNFINISHED, EXCLUDED, DROPPED, REJECTED)
COLUMNS = {
    "tile": "Tile key; chips are named after it, with '#' for ':'.",
    "split": "Split of the tile.",
    "shard": "Number of the tile's shard in its split, from 0.",
    "state": "Whether the tile is in the shards, or why not.",
    "reason": "What led to the state.",
    "valid": "Share of pixels that are valid in every band.",
    "scenes": "Number of pinned scenes.",
}


@dataclass(frozen=True)
class LedgerRow:
    """A tile, or a chip of a converted dataset, with the fields that `COLUMNS` describes.

    A converted chip that is in no shard has the split "" and no shard. `valid` is None where no image was made.
    """

    tile: str
    split: str
    shard: int | None
    state: str
    reason: str
    valid: float | None
    scenes: int


Ledger = Rows[LedgerRow]
"""The rows of many tiles."""
_MOVED = "moved from "
_INDEXED = "tile", "state", "reason", "valid"
"""What the ledger takes from the indices of shards."""
_SCHEMA = pa.schema(
    [
        ("tile", pa.string()),
        ("split", pa.string()),
        ("shard", pa.int32()),
        ("state", pa.string()),
        ("reason", pa.string()),
        ("valid", pa.float64()),
        ("scenes", pa.int32()),
    ]
)


def to_ledger(rows: Iterable[LedgerRow]) -> Ledger:
    """Rows of the ledger as columns."""
    return Rows.of(LedgerRow, rows, _SCHEMA)


def finished_rows(assignments: Iterable[TileAssignment], plan: ImagePlans, indices: Iterable[Path]) -> Ledger:
    """The ledger of a dataset whose shards are all written.

    Args:
        assignments: Every tile with its split and shard.
        plan: The image plan of each layer, which says which tiles lack scenes.
        indices: The index files of all shards.
    """
    return _rows(to_assignments(assignments), plan, read_index_columns(indices, _INDEXED))


def _rows(tiles: Assignments, plan: ImagePlans, entries: pa.Table) -> Ledger:
    """The row of each tile: from its entry of an index, or with the reason why it has none."""
    keys = TileKeys(tiles.column("key"))
    place = TileKeys(entries["tile"]).rows(keys)
    planned, indexed = is_in(tiles, PLANNED), place >= 0
    places = pa.array(place, mask=~indexed | ~planned)
    columns = {name: entries[name].take(places) for name in ("state", "reason", "valid")}
    others = np.flatnonzero(planned & ~indexed)
    waiting = pa.chunked_array([pa.array([], pa.string()), keys.column.take(pa.array(others))])
    missing = [plan.missing_scenes(key) for key in waiting.to_pylist()]
    texts = {
        "state": [NO_SCENES if reason else UNFINISHED for reason in missing],
        "reason": [reason or "not sharded yet; run again" for reason in missing],
    }
    for name, values in texts.items():
        known = pc.if_else(pa.array(planned), columns[name], tiles.table[name])
        columns[name] = pc.replace_with_mask(
            known.combine_chunks(), pa.array(planned & ~indexed), pa.array(values, pa.string())
        )
    scenes = pa.array(plan.scene_counts(keys), pa.int32())
    columns = {"tile": keys.column, "split": tiles.column("split"), "shard": tiles.column("shard"), **columns}
    return Ledger(LedgerRow, pa.table(columns | {"scenes": scenes}, schema=_SCHEMA))


def is_in(rows: Rows[LedgerRow] | Rows[TileAssignment], state: str) -> Mask:
    """Which of many rows have a state."""
    return np.asarray(pc.equal(rows.column("state"), state).to_numpy(zero_copy_only=False), bool)


def unfinished_rows(
    assignments: Iterable[TileAssignment],
    plan: ImagePlans,
    indices: Mapping[str, Sequence[Path]],
    parts: Sequence[tuple[str, Path, Path]],
) -> Ledger:
    """The ledger of a run that stopped: what the shards hold, which chips failed, and what is still to do.

    Args:
        assignments: Every tile with its split and shard.
        plan: The image plan of each layer, which says which tiles lack scenes.
        indices: The index files of the shards of each split, of which some may be missing, or from before tiles moved.
        parts: The names of layers and targets, with the folders of their chips and of the logs of failed jobs.
    """
    tiles = to_assignments(assignments)
    rows = _rows(tiles, plan, _entries_in_place(tiles, indices))
    planned = np.flatnonzero(is_in(tiles, PLANNED)).tolist()
    keys = tiles.column("key")
    failed = {row: failure for row in planned if (failure := _failure(keys[row].as_py(), parts))}
    places = pa.array(list(failed), pa.int64())
    columns = {"state": [state for state, _ in failed.values()], "reason": [reason for _, reason in failed.values()]}
    chosen = np.isin(np.arange(len(tiles)), places)
    texts = {
        name: pc.replace_with_mask(rows.column(name), pa.array(chosen), pa.array(values, pa.string()))
        for name, values in columns.items()
    }
    return rows.replaced(**texts, valid=pc.if_else(pa.array(chosen), None, rows.column("valid")))


def _entries_in_place(tiles: Assignments, indices: Mapping[str, Sequence[Path]]) -> pa.Table:
    """The entries of tiles in the indices of the shards that they are assigned to."""
    paths = [(split, shard, path) for split in indices for shard, path in enumerate(indices[split]) if path.exists()]
    tables = [read_index_columns([path], _INDEXED) for *_, path in paths]
    entries = pa.concat_tables([read_index_columns([], _INDEXED), *tables]).combine_chunks()
    place = TileKeys(tiles.column("key")).rows(TileKeys(entries["tile"]))
    assigned = tiles.table.take(pa.array(place, mask=place < 0))
    read_from = pa.array(np.repeat(np.arange(len(paths)), list(map(len, tables))))
    splits = pa.array([split for split, *_ in paths], pa.string()).take(read_from)
    shards = pa.array([shard for _, shard, _ in paths], pa.int32()).take(read_from)
    same = pc.and_(pc.equal(assigned["split"], splits), pc.equal(assigned["shard"], shards))
    return entries.filter(pc.fill_null(same, False)).combine_chunks()


def converted_rows(entries: Iterable[IndexEntry], folder: Path) -> Ledger:
    """The ledger of a converted dataset, sorted by the chips' names.

    Args:
        entries: An index entry for each pair of chips, rejected ones included.
        folder: The folder of the shards.
    """
    shards: dict[str, tuple[str, int | None]] = {}
    for path in folder.glob("*.index-*.csv"):
        split, _, shard = path.name.partition("-")[2].partition(".index-")
        names = [entry.tile for entry in read_index(path) if entry.state != REJECTED]
        shards.update(dict.fromkeys(names, (split, int(shard[:5]))))
    rows = []
    for entry in sorted(entries, key=lambda entry: entry.tile):
        split, number = shards.get(entry.tile, ("", None))
        rows.append(LedgerRow(entry.tile, split, number, entry.state, entry.reason, entry.valid, 0))
    return to_ledger(rows)


def mark_moved_tiles(rows: Iterable[LedgerRow], previous: Iterable[LedgerRow], repeats: bool = False) -> Ledger:
    """Name the previous split and shard as the reason of tiles that moved and have no other reason.

    Args:
        rows: The rows of now.
        previous: Those of the last whole ledger.
        repeats: Whether what the previous rows say of moves is said again of tiles that have not moved since.
    """
    now, before = to_ledger(rows), to_ledger(previous)
    place = TileKeys(before.column("tile")).rows(TileKeys(now.column("tile")))
    former = before.table.take(pa.array(place, mask=place < 0))
    differs = pc.or_(*(pc.not_equal(former[name], now.table[name]) for name in ("split", "shard")))
    has_no_reason = pc.equal(now.table["reason"], "")
    moved = pc.and_(pc.fill_null(differs, False), has_no_reason)
    places = zip(*(former.filter(moved)[name].to_pylist() for name in ("split", "shard")), strict=True)
    reasons = pa.array([f"{_MOVED}{split}/{shard}" for split, shard in places], pa.string())
    marked = now.replaced(reason=pc.replace_with_mask(now.column("reason"), moved.combine_chunks(), reasons))
    if not repeats:
        return marked
    moved_before = pc.and_(pc.invert(moved), pc.fill_null(pc.starts_with(former["reason"], _MOVED), False))
    repeated = pc.and_(moved_before, has_no_reason)
    return marked.replaced(reason=pc.if_else(repeated, former["reason"], marked.column("reason")))


def _failure(key: str, parts: Sequence[tuple[str, Path, Path]]) -> tuple[str, str] | None:
    """State and reason of a tile that lacks a chip and has a message in the chip's log."""
    for part, chips, logs in parts:
        chip, log = chips / chip_filename(key), logs / f"{chip_name(key)}.log"
        if (is_exclusion_marker(chip) or not chip.exists()) and log.exists() and log.stat().st_size:
            reason = log.read_text(encoding="utf-8").strip()
            return EXCLUDED if chip.exists() else FAILED, f"{part}: {reason}" if part else reason
    return None


def is_exclusion_marker(chip: Path) -> bool:
    """Whether the file is empty, which marks a chip that could not be made."""
    return chip.exists() and chip.stat().st_size == 0


def write_ledger(path: Path, rows: Iterable[LedgerRow]) -> None:
    """Write the rows as CSV with a header."""
    with atomic_path(path) as part, part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for batch in to_ledger(rows).batches():
            writer.writerows(zip(*batch, strict=True))


def read_ledger(path: Path) -> Ledger:
    """Read a file that `write_ledger` wrote."""
    return Ledger(LedgerRow, read_csv(path, _SCHEMA))


def summarise_states(rows: Iterable[LedgerRow], unit: str = "tile") -> str:
    """Count the rows of each state, such as `48 tiles: 45 made, 3 no scenes`."""
    counts = to_ledger(rows).counts("state")
    by_state = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    return f"{counts.total()} {unit}s: {by_state}"
