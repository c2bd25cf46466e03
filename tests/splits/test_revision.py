"""Blocks move to splits that lack a class, and stay there."""

from dataclasses import replace

from segchips.grids.tile import Grid
from segchips.splits.revision import revise_splits
from segchips.tiles.assignment import DROPPED, PLANNED
from segchips.tiles.split_assignment import split_by_location
from support.assignments import SHARES, assign, split_config, tile_rectangle


def revise(tiles, classes, **keys):
    """The tiles' assignments and the lines about them."""
    splitting = split_config(**keys)
    return revise_splits(split_by_location(tiles, splitting, 4), splitting, 4, classes, {})


def classes_by_split(rows, classes):
    """The classes of each split's kept tiles."""
    classes_of = {split: set() for split in SHARES}
    for row, values in zip(rows, classes, strict=True):
        if row.state == PLANNED:
            classes_of[row.split].update(values)
    return classes_of


def test_a_split_that_lacks_a_class_is_given_a_block_that_has_it():
    tiles = tile_rectangle(40, 40)
    plain = assign(tiles, block=2400, cover=False)
    train = [number for number, row in enumerate(plain) if (row.split, row.state) == ("train", PLANNED)]
    spots = {train[10], train[500], train[900]}
    classes = [[1, 7] if number in spots else [1] for number in range(len(tiles))]
    rows, notes = revise(tiles, classes, block=2400)
    assert classes_by_split(rows, classes) == dict.fromkeys(SHARES, {1, 7})
    assert sum("moved to" in note for note in notes) == 2 and not any("has no" in note for note in notes)
    blocks = {row.block_id for row, former in zip(rows, plain, strict=True) if row.split != former.split}
    assert len(blocks) == 2
    assert revise(tiles, classes, block=2400)[0] == rows


def test_splits_that_lack_nothing_stay_as_their_location_says():
    tiles, splitting = tile_rectangle(40, 40), split_config(block=2400)
    located = split_by_location(tiles, splitting, 4)
    out = {tiles[7].key: "select: why", tiles[900].key: "select: why"}
    rows, notes = revise_splits(located, splitting, 4, [[1]] * len(tiles), out)
    assert rows == [replace(row, state=DROPPED, reason=out[row.key]) if row.key in out else row for row in located]
    dropped = sum(row.state == DROPPED for row in rows)
    assert notes == [f"1600 tiles: {1600 - dropped} planned, {dropped} dropped"]


def test_what_no_block_can_give_is_told():
    tiles = tile_rectangle(30, 30)
    classes = [[1, 9] if number == 40 else [1] for number in range(len(tiles))]
    rows, notes = revise(tiles, classes, block=2400)
    lacking = {split for split, values in classes_by_split(rows, classes).items() if 9 not in values}
    assert len(lacking) == 2
    for split in lacking:
        assert f"split {split} has no tile that a feature of class 9 meets" in notes


def test_an_empty_split_is_told_with_what_to_do():
    rows, notes = revise(tile_rectangle(3, 3), [[]] * 9, block=60_000)
    assert len({row.split for row in rows}) == 1
    assert sum("has no tile: 9 tiles lie in 1 blocks of 60000 m; take smaller ones" in note for note in notes) == 2


def test_few_blocks_leave_no_split_empty():
    for seed in range(20):
        rows = assign(tile_rectangle(12, 12, Grid(60, 0, 10)), block=2400, seed=seed)
        assert {row.split for row in rows if row.state == PLANNED} == set(SHARES)


def test_a_moved_block_stays_where_it_was_moved():
    tiles = tile_rectangle(40, 40)
    plain = assign(tiles, block=2400, cover=False)
    spots = [n for n, row in enumerate(plain) if (row.split, row.state) == ("train", PLANNED)][::400]
    rows = assign(tiles, [[7] if n in spots else [] for n in range(len(tiles))], block=2400)
    assert rows != plain
    assert assign(tiles, former=rows, block=2400) == rows
