"""The ledger as a file, its summary, and the tiles that moved since the last one."""

from dataclasses import replace

from segchips.reports.ledger import (
    COLUMNS,
    FAILED,
    NO_SCENES,
    LedgerRow,
    mark_moved_tiles,
    read_ledger,
    summarise_states,
    write_ledger,
)
from segchips.tiles.assignment import DROPPED, MADE

ROWS = [
    LedgerRow("60:2:10.0:33:0:8500", "train", 0, MADE, "", 0.987654321, 3),
    LedgerRow("60:2:10.0:33:1:8500", "val", 1, NO_SCENES, 'no "scene", of s2', None, 0),
    LedgerRow("60:2:10.0:33:2:8500", "val", 1, FAILED, "two\nlines", None, 2),
    LedgerRow("chip", "", None, DROPPED, "guard", None, 0),
]


def test_a_ledger_is_read_as_it_was_written(tmp_path):
    write_ledger(tmp_path / "ledger.csv", ROWS)
    assert read_ledger(tmp_path / "ledger.csv") == ROWS
    assert (tmp_path / "ledger.csv").read_text().splitlines()[0] == ",".join(COLUMNS)
    assert tuple(COLUMNS) == tuple(vars(ROWS[0]))


def test_states_are_summarised_in_their_order():
    assert summarise_states(ROWS[::-1]) == "4 tiles: 1 made, 1 no scenes, 1 failed, 1 dropped"


def test_tiles_without_another_reason_say_where_they_were():
    before = [LedgerRow(row.tile, "test", 5, MADE, "", 1.0, 1) for row in ROWS[:2]]
    moved = mark_moved_tiles(ROWS, before)
    assert moved[0].reason == "moved from test/5" and moved[1:] == ROWS[1:]
    assert mark_moved_tiles(ROWS, ROWS) == ROWS


def test_former_moves_are_repeated_on_demand():
    moved = [ROWS[0], LedgerRow("60:2:10.0:33:3:8500", "train", 0, MADE, "", 1.0, 1)]
    before = [replace(row, reason=f"moved from test/{n}") for n, row in enumerate(moved)]
    failed = replace(moved[1], state=FAILED, reason="no file", valid=None)
    again = replace(moved[1], split="val")
    said = replace(again, reason="moved from train/0")
    assert mark_moved_tiles(moved, before) == moved
    assert mark_moved_tiles(moved, before, repeats=True) == before
    assert mark_moved_tiles([moved[0], failed], before, repeats=True) == [before[0], failed]
    assert mark_moved_tiles([moved[0], again], before) == [moved[0], said]
    assert mark_moved_tiles([moved[0], again], before, repeats=True) == [before[0], said]
