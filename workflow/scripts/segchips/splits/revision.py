"""Revises the splits that follow from location: drops tiles that are not selected, and gives splits missing classes.

A block that was moved to give a split a class stays there in later runs, which read it from the former result.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from segchips.arrays import Ints, Mask
from segchips.config.splitting import SplittingConfig
from segchips.grids.tile import Tile
from segchips.splits.class_presence import ANY_CLASS, class_table, missing_classes
from segchips.splits.rebalancing import BalanceInput, rebalance
from segchips.tiles.assignment import DROPPED, PLANNED, TileAssignment
from segchips.tiles.split_assignment import assign_by_location, tile_assignments
from segchips.tiles.split_strategies import block_side

Rows = list[TileAssignment]


def revise_splits(
    rows: Sequence[TileAssignment],
    config: SplittingConfig,
    shards: int,
    classes: Sequence[Sequence[int]],
    deselected: Mapping[str, str],
    former: Sequence[TileAssignment] = (),
) -> tuple[Rows, list[str]]:
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
    table, selected = class_table(classes), np.array([row.key not in deselected for row in rows])
    kept = selected & np.array([row.state == PLANNED for row in rows])
    revised, moves = list(rows), list[str]()
    if config.cover and (_has_moved(rows, former) or _missing(rows, config, table, kept)):
        revised, moves = _rebalance(rows, config, shards, BalanceInput(table, selected, _are_in(rows, former)), former)
    revised = [_deselect(row, deselected.get(row.key)) for row in revised]
    kept = np.array([row.state == PLANNED for row in revised])
    missing = _describe_missing(revised, config, _missing(revised, config, table, kept))
    dropped = len(revised) - int(kept.sum())
    count = f"{len(revised)} tiles: {len(revised) - dropped} planned, {dropped} dropped"
    return revised, [*moves, *missing, count]


def _has_moved(rows: Sequence[TileAssignment], former: Sequence[TileAssignment]) -> bool:
    """Whether a former run assigned a tile to another split than its location does."""
    splits = {row.key: row.split for row in former}
    return any(splits.get(row.key, row.split) != row.split for row in rows)


def _are_in(rows: Sequence[TileAssignment], former: Sequence[TileAssignment]) -> Mask:
    keys = {row.key for row in former}
    return np.array([row.key in keys for row in rows])


def _missing(rows: Sequence[TileAssignment], config: SplittingConfig, table: Mask, kept: Mask) -> list[tuple[int, int]]:
    return missing_classes(table, _split_numbers(rows, config), kept, len(config.shares))


def _split_numbers(rows: Sequence[TileAssignment], config: SplittingConfig) -> Ints:
    numbers = {name: number for number, name in enumerate(config.shares)} | {"": -1}
    return np.array([numbers[row.split] for row in rows], np.int64)


def _rebalance(
    rows: Sequence[TileAssignment],
    config: SplittingConfig,
    shards: int,
    balance: BalanceInput,
    former: Sequence[TileAssignment],
) -> tuple[Rows, list[str]]:
    tiles, names = [Tile.from_key(row.key) for row in rows], list(config.shares)
    assignment = assign_by_location(tiles, config)
    keys = {row.key for row in rows}
    for row in former:
        if row.key in keys and row.split:
            assignment.block_splits[row.block_id] = names.index(row.split)
    moves = rebalance(assignment, balance, config)
    return tile_assignments(tiles, assignment, config, shards), moves


def _deselect(row: TileAssignment, reason: str | None) -> TileAssignment:
    return replace(row, state=DROPPED, reason=reason) if reason else row


def _describe_missing(
    rows: Sequence[TileAssignment], config: SplittingConfig, missing: Sequence[tuple[int, int]]
) -> Iterator[str]:
    names = list(config.shares)
    for split, value in missing:
        if value == ANY_CLASS:
            blocks, side = len({row.block_id for row in rows}), block_side(config, Tile.from_key(rows[0].key).grid)
            advice = f": {len(rows)} tiles lie in {blocks} blocks of {side:g} m; take smaller ones"
            yield f"split {names[split]} has no tile{advice if config.by == 'block' else ''}"
        else:
            yield f"split {names[split]} has no tile that a feature of class {value} meets"
