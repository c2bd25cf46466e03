"""Revises the splits that follow from location: drops tiles that are not selected, and gives splits missing classes.

A block that was moved to give a split a class stays there in later runs, which read it from the former result.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from segchips.arrays import Array, Ints, Mask
from segchips.config.splitting import SplittingConfig
from segchips.grids.tile import Tile
from segchips.grids.tile_array import TileArray, TileKeys
from segchips.splits.class_presence import ANY_CLASS, ClassTable, missing_classes
from segchips.splits.rebalancing import BalanceInput, rebalance
from segchips.tiles.assignment import DROPPED, PLANNED, Assignments, TileAssignment, to_assignments
from segchips.tiles.split_assignment import assign_by_location, tile_assignments
from segchips.tiles.split_strategies import block_side


def revise_splits(
    rows: Iterable[TileAssignment],
    config: SplittingConfig,
    shards: int,
    classes: pa.ListArray | Sequence[Sequence[int]],
    deselected: Mapping[str, str],
    former: Iterable[TileAssignment] = (),
) -> tuple[Assignments, list[str]]:
    """Revises the assignment of tiles by what their labels say.

    Splits are computed again only where a block has to move, or has moved in a former run.

    Args:
        rows: The tiles as the manifest has them.
        config: How tiles are split.
        shards: The number of shards of each split.
        classes: The classes of the features that meet each tile.
        deselected: Why tiles are not selected, by key.
        former: The result of a former run with the same config. Its moved blocks stay where they are.

    Returns:
        The tiles in the same order, and lines that say what was moved, what is missing, and how many tiles there are.
    """
    located, before, table = to_assignments(rows), to_assignments(former), ClassTable.of(classes)
    keys, revised, moves = TileKeys(located.column("key")), located, list[str]()
    out = keys.rows(TileKeys(deselected))
    selected = np.ones(len(keys), bool)
    selected[out] = False
    place = TileKeys(before.column("key")).rows(keys)
    if config.cover and (_has_moved(located, before, place) or _missing(located, config, table, selected)):
        balance = BalanceInput(table, selected, place >= 0)
        revised, moves = _rebalance(keys, config, shards, balance, before)
    revised = _deselect(revised, out, list(deselected.values()))
    missing = _describe_missing(revised, config, _missing(revised, config, table, selected))
    kept = int(_are(revised, PLANNED).sum())
    count = f"{len(revised)} tiles: {kept} planned, {len(revised) - kept} dropped"
    return revised, [*moves, *missing, count]


def _are(rows: Assignments, state: str) -> Mask:
    return np.asarray(pc.equal(rows.column("state"), state).to_numpy(zero_copy_only=False), bool)


def _has_moved(rows: Assignments, former: Assignments, place: Ints) -> bool:
    """Whether a former run, which has tiles at these places, assigned one to another split than its location does."""
    known = np.flatnonzero(place >= 0)
    now, before = rows.column("split").take(pa.array(known)), former.column("split").take(pa.array(place[known]))
    return not now.equals(before)


def _missing(rows: Assignments, config: SplittingConfig, table: ClassTable, selected: Mask) -> list[tuple[int, int]]:
    kept = selected & _are(rows, PLANNED)
    return missing_classes(table, _split_numbers(rows, config), kept, len(config.shares))


def _split_numbers(rows: Assignments, config: SplittingConfig) -> Ints:
    numbers = pc.fill_null(pc.index_in(rows.column("split"), value_set=pa.array(list(config.shares), pa.string())), -1)
    return np.asarray(numbers.to_numpy(zero_copy_only=False), np.int64)


def _rebalance(
    keys: TileKeys, config: SplittingConfig, shards: int, balance: BalanceInput, former: Assignments
) -> tuple[Assignments, list[str]]:
    tiles = TileArray.from_keys(keys)
    assignment = assign_by_location(tiles, config)
    splits = _split_numbers(former, config)
    known = (keys.rows(TileKeys(former.column("key"))) >= 0) & (splits >= 0)
    blocks = assignment.block_splits
    blocks.splits[blocks.positions(former.values("block_id")[known])] = splits[known]
    moves = rebalance(assignment, balance, config)
    return tile_assignments(tiles, assignment, config, shards), moves


def _deselect(rows: Assignments, out: Ints, reasons: Sequence[str]) -> Assignments:
    """Drops tiles at some places, for these reasons."""
    if not len(out):
        return rows
    states, texts = (
        _with(rows.column(name), out, values) for name, values in (("state", [DROPPED]), ("reason", reasons))
    )
    return rows.replaced(state=states, reason=texts)


def _with(column: pa.Array, places: Ints, values: Sequence[str]) -> pa.Array:
    """Returns a column of texts with other values at some places: one for all, or one for each."""
    positions: Array = np.arange(len(column))
    positions[places] = len(column) + (np.arange(len(places)) if len(values) > 1 else 0)
    return pa.concat_arrays([column, pa.array(values, pa.string())]).take(pa.array(positions))


def _describe_missing(rows: Assignments, config: SplittingConfig, missing: Sequence[tuple[int, int]]) -> Iterator[str]:
    names = list(config.shares)
    for split, value in missing:
        if value == ANY_CLASS:
            blocks, side = len(np.unique(rows.values("block_id"))), block_side(config, Tile.from_key(rows[0].key).grid)
            advice = f": {len(rows)} tiles lie in {blocks} blocks of {side:g} m; take smaller ones"
            yield f"split {names[split]} has no tile{advice if config.by == 'block' else ''}"
        else:
            yield f"split {names[split]} has no tile that a feature of class {value} meets"
