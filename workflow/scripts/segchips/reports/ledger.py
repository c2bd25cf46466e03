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
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from segchips.files import atomic_write
from segchips.grids.tile import chip_filename, chip_name
from segchips.records.shard_index import IndexEntry, read_index
from segchips.tiles.assignment import DROPPED, EXCLUDED, MADE, PLANNED, REJECTED, TOO_FEW_VALID

if TYPE_CHECKING:
    from segchips.chips.image_plan import ImagePlans
    from segchips.tiles.assignment import TileAssignment

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


_Outcome = tuple[str, str, float | None]
"""A tile's state, reason and share of valid pixels."""


def finished_rows(assignments: Sequence[TileAssignment], plan: ImagePlans, indices: Iterable[Path]) -> list[LedgerRow]:
    """The ledger of a dataset whose shards are all written.

    Args:
        assignments: Every tile with its split and shard.
        plan: The image plan of each layer, which says which tiles lack scenes.
        indices: The index files of all shards.
    """
    entries = {entry.tile: entry for path in indices for entry in read_index(path)}
    return [_row(assignment, plan, _outcome(assignment, plan, entries)) for assignment in assignments]


def unfinished_rows(
    assignments: Sequence[TileAssignment], plan: ImagePlans, folder: Path, logs: Path, parts: Sequence[tuple[str, str]]
) -> list[LedgerRow]:
    """The ledger of a run that stopped: what the shards hold, which chips failed, and what is still to do.

    Args:
        assignments: Every tile with its split and shard.
        plan: The image plan of each layer, which says which tiles lack scenes.
        folder: The dataset's folder of results.
        logs: The dataset's folder of logs, which hold the messages of failed jobs.
        parts: The kinds of chips (images, labels), each with the name of a layer or target.
    """
    indices = sorted((folder / "tfrecords").glob("*.index-*.csv"))
    entries = {entry.tile: entry for path in indices for entry in read_index(path)}
    return [
        _row(assignment, plan, _failure(assignment, parts, folder, logs) or _outcome(assignment, plan, entries))
        for assignment in assignments
    ]


def converted_rows(entries: Iterable[IndexEntry], folder: Path) -> list[LedgerRow]:
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
    return rows


def mark_moved_tiles(rows: Sequence[LedgerRow], previous: Sequence[LedgerRow]) -> list[LedgerRow]:
    """Name the previous split and shard as the reason of tiles that moved and have no other reason."""
    shards = {row.tile: (row.split, row.shard) for row in previous}
    return [
        replace(row, reason=f"moved from {shards[row.tile][0]}/{shards[row.tile][1]}")
        if not row.reason and shards.get(row.tile, (row.split, row.shard)) != (row.split, row.shard)
        else row
        for row in rows
    ]


def _outcome(assignment: TileAssignment, plan: ImagePlans, entries: Mapping[str, IndexEntry]) -> _Outcome:
    if assignment.state != PLANNED:
        return assignment.state, assignment.reason, None
    if assignment.key in entries:
        entry = entries[assignment.key]
        return entry.state, entry.reason, entry.valid
    missing = plan.missing_scenes(assignment.key)
    if missing:
        return NO_SCENES, missing, None
    return UNFINISHED, "not sharded yet; run again", None


def _failure(assignment: TileAssignment, parts: Sequence[tuple[str, str]], folder: Path, logs: Path) -> _Outcome | None:
    """The outcome of a tile that lacks a chip and has a message in the chip's log."""
    for kind, part in parts if assignment.state == PLANNED else ():
        chip = folder / kind / part / chip_filename(assignment.key)
        log = logs / kind / part / f"{chip_name(assignment.key)}.log"
        if (is_exclusion_marker(chip) or not chip.exists()) and log.exists() and log.stat().st_size:
            reason = log.read_text(encoding="utf-8").strip()
            return EXCLUDED if chip.exists() else FAILED, f"{part}: {reason}" if part else reason, None
    return None


def is_exclusion_marker(chip: Path) -> bool:
    """Whether the file is empty, which marks a chip that could not be made."""
    return chip.exists() and chip.stat().st_size == 0


def _row(assignment: TileAssignment, plan: ImagePlans, outcome: _Outcome) -> LedgerRow:
    scenes = plan.count_scenes(assignment.key)
    return LedgerRow(assignment.key, assignment.split, assignment.shard, *outcome, scenes)


def write_ledger(path: Path, rows: Sequence[LedgerRow]) -> None:
    """Write the rows as CSV with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(vars(row).values() for row in rows)
    atomic_write(path, text.getvalue())


def read_ledger(path: Path) -> list[LedgerRow]:
    """Read a file that `write_ledger` wrote."""
    with path.open(newline="", encoding="utf-8") as stream:
        return [
            LedgerRow(
                row["tile"],
                row["split"],
                int(row["shard"]) if row["shard"] else None,
                row["state"],
                row["reason"],
                float(row["valid"]) if row["valid"] else None,
                int(row["scenes"]),
            )
            for row in csv.DictReader(stream)
        ]


def summarise_states(rows: Sequence[LedgerRow], unit: str = "tile") -> str:
    """Count the rows of each state, such as `48 tiles: 45 made, 3 no scenes`."""
    counts = Counter(row.state for row in rows)
    return f"{len(rows)} {unit}s: " + ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
