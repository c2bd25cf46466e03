"""The ledger: every tile once, with its state and the reason for it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from segchips.files import atomic_write
from segchips.grids.tile import chip_name
from segchips.records.index import Entry, read_index
from segchips.tiles.assignment import DROPPED, EXCLUDED, MADE, PLANNED, REJECTED, TOO_FEW_VALID

if TYPE_CHECKING:
    from segchips.chips.image_plan import ImagePlan
    from segchips.tiles.assignment import TileAssignment

NO_SCENES = "no scenes"
FAILED = "failed"
UNFINISHED = "unfinished"
STATES = (MADE, NO_SCENES, TOO_FEW_VALID, FAILED, UNFINISHED, EXCLUDED, DROPPED)


@dataclass(frozen=True)
class LedgerRow:
    """One tile or foreign chip; `valid` is the share of pixels valid in every band, `scenes` how many are pinned.

    A chip that fits in no shard has neither split nor shard.
    """

    tile: str
    split: str
    shard: int | None
    state: str
    reason: str
    valid: float | None
    scenes: int


def finished_rows(placed: Sequence[TileAssignment], plan: ImagePlan, indices: Iterable[Path]) -> list[LedgerRow]:
    """The ledger of a dataset whose shards are all written."""
    entries = {entry.tile: entry for path in indices for entry in read_index(path)}
    return [_row(row, plan, _found(row, plan, entries)) for row in placed]


def mark_moved_tiles(rows: Sequence[LedgerRow], before: Sequence[LedgerRow]) -> list[LedgerRow]:
    """The rows, with a word on where a tile was that is in another split or shard than before."""
    places = {row.tile: (row.split, row.shard) for row in before}
    return [
        replace(row, reason=f"moved from {places[row.tile][0]}/{places[row.tile][1]}")
        if not row.reason and places.get(row.tile, (row.split, row.shard)) != (row.split, row.shard)
        else row
        for row in rows
    ]


def unfinished_rows(placed: Sequence[TileAssignment], plan: ImagePlan, folder: Path, logs: Path) -> list[LedgerRow]:
    """The ledger of a run that stopped: what the shards hold, why chips are missing, and what is still to do."""
    indices = sorted((folder / "tfrecords").glob("*.index-*.csv"))
    entries = {entry.tile: entry for path in indices for entry in read_index(path)}
    return [_row(row, plan, _stopped(row, plan, entries, folder, logs)) for row in placed]


def converted_rows(entries: Iterable[Entry], folder: Path) -> list[LedgerRow]:
    """The ledger of a dataset that started from chips, by name."""
    places: dict[str, tuple[str, int | None]] = {}
    for path in folder.glob("*.index-*.csv"):
        split, _, shard = path.name.partition("-")[2].partition(".index-")
        made = [entry.tile for entry in read_index(path) if entry.state != REJECTED]
        places.update(dict.fromkeys(made, (split, int(shard[:5]))))
    rows = []
    for entry in sorted(entries, key=lambda entry: entry.tile):
        split, number = places.get(entry.tile, ("", None))
        rows.append(LedgerRow(entry.tile, split, number, entry.state, entry.reason, entry.valid, 0))
    return rows


def _found(placed: TileAssignment, plan: ImagePlan, entries: Mapping[str, Entry]) -> tuple[str, str, float | None]:
    if placed.state != PLANNED:
        return placed.state, placed.reason, None
    if placed.key in entries:
        return entries[placed.key].state, entries[placed.key].reason, entries[placed.key].valid
    missing = plan.missing(placed.key)
    if missing:
        return NO_SCENES, missing, None
    return UNFINISHED, "not sharded yet; run again", None


def _stopped(
    placed: TileAssignment, plan: ImagePlan, entries: Mapping[str, Entry], folder: Path, logs: Path
) -> tuple[str, str, float | None]:
    name = chip_name(placed.key)
    for kind in ("images", "labels") if placed.state == PLANNED else ():
        chip, log = folder / kind / f"{name}.tif", logs / kind / f"{name}.log"
        if (is_exclusion_marker(chip) or not chip.exists()) and log.exists() and log.stat().st_size:
            return EXCLUDED if chip.exists() else FAILED, log.read_text(encoding="utf-8").strip(), None
    return _found(placed, plan, entries)


def is_exclusion_marker(chip: Path) -> bool:
    """Whether an empty file stands in place of a chip that could not be made."""
    return chip.exists() and chip.stat().st_size == 0


def _row(placed: TileAssignment, plan: ImagePlan, found: tuple[str, str, float | None]) -> LedgerRow:
    state, reason, valid = found
    scenes = len(plan.lock.tiles.get(placed.key, ()))
    return LedgerRow(placed.key, placed.split, placed.shard, state, reason, valid, scenes)


def write_ledger(path: Path, rows: Sequence[LedgerRow]) -> None:
    """Write the rows as CSV, in the manifest's order."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.name for column in fields(LedgerRow)])
    writer.writerows(vars(row).values() for row in rows)
    atomic_write(path, text.getvalue())


def read_ledger(path: Path) -> list[LedgerRow]:
    """Read what `write_ledger` wrote."""
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


def summarise_states(rows: Sequence[LedgerRow]) -> str:
    """Such as `48 tiles: 45 made, 3 no scenes`."""
    count = Counter(row.state for row in rows)
    return f"{len(rows)} tiles: " + ", ".join(
        f"{count[state]} {state}" for state in (*STATES, REJECTED) if count[state]
    )
