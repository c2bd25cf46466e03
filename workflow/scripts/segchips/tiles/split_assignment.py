"""Each tile's split as it follows from location alone, and which tiles a guard drops.

Both look at all tiles that the grid has around a tile, whether or not the area holds them, so that neither changes when
the area grows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from segchips.arrays import Ints
from segchips.config.splitting import SplittingConfig
from segchips.grids.indices import decode_indices, tile_indices
from segchips.grids.neighbours import neighbour_pairs, neighbourhood
from segchips.grids.tile import Grid, Tile
from segchips.grids.tile_array import TileArray
from segchips.tiles.assignment import DROPPED, PLANNED, SCHEMA, Assignments, TileAssignment, shard_of
from segchips.tiles.split_strategies import SplitStrategy, split_strategy

_MAX_PAIRS = 4_000_000
"""Pairs of tiles and blocks after which repeated ones are left out, while they are collected."""


class BlockSplits:
    """The number of each block's split, -1 for none, which may be changed.

    Args:
        blocks: Blocks (n), which may be repeated.
        splits: The number of the split of each (n).
    """

    def __init__(self, blocks: Ints, splits: Ints) -> None:
        self.blocks, first = np.unique(blocks, return_index=True)
        self.splits = splits[first]

    def __getitem__(self, block: int) -> int:
        return int(self.splits[self.positions(block)])

    def __setitem__(self, block: int, split: int) -> None:
        self.splits[self.positions(block)] = split

    def positions(self, blocks: Ints | int) -> Ints:
        """The positions of blocks in `blocks`; KeyError where one is not there."""
        found = np.minimum(np.searchsorted(self.blocks, blocks), len(self.blocks) - 1)
        if (self.blocks[found] != blocks).any():
            raise KeyError(blocks)
        return np.asarray(found)


@dataclass(frozen=True)
class SplitAssignment:
    """The split of every block of tiles, and which tiles come too close to another block.

    Attributes:
        block_ids: The block of each tile (n).
        block_splits: The split of each block. It has the blocks around the area as well, and may be changed to move a
            block to another split.
        close_tiles: Positions (m) of tiles that come too close to another block.
        close_blocks: That block (m).
        shares: The share of each split.
    """

    block_ids: Ints
    block_splits: BlockSplits
    close_tiles: Ints
    close_blocks: Ints
    shares: tuple[float, ...]

    def splits(self) -> Ints:
        """Returns the number of each tile's split (n), -1 for none."""
        return self.block_splits.splits[self._positions[0]]

    def conflicting_splits(self) -> Ints:
        """Returns the number of the split for which the guard drops each tile (n), -1 for none.

        Where tiles of two splits come too close to one another, the smaller split keeps its tiles.
        """
        own, other = (self.block_splits.splits[of] for of in (self._positions[0][self.close_tiles], self._positions[1]))
        loses = (own >= 0) & (other >= 0) & (self._priority[other] > self._priority[own])
        highest = np.full(len(self.block_ids), -1, np.int64)
        np.maximum.at(highest, self.close_tiles[loses], self._priority[other[loses]])
        return np.where(highest < 0, -1, np.argsort(self._priority)[highest])

    @cached_property
    def _positions(self) -> tuple[Ints, Ints]:
        """The positions of `block_ids` (n) and `close_blocks` (m) in `block_splits`."""
        return self.block_splits.positions(self.block_ids), self.block_splits.positions(self.close_blocks)

    @cached_property
    def _priority(self) -> Ints:
        """The priority of each split: the smaller its share, the higher."""
        order = sorted(range(len(self.shares)), key=lambda split: (-self.shares[split], split))
        return np.argsort(order)


def split_by_location(tiles: Sequence[Tile], config: SplittingConfig, shards: int) -> Assignments:
    """Assigns tiles to splits and shards by location, without regard to labels.

    Args:
        tiles: At least one tile, all of one grid.
        config: How tiles are split.
        shards: The number of shards of each split.

    Raises:
        InputError: The layer of regions cannot be used.
    """
    return tile_assignments(tiles, assign_by_location(tiles, config), config, shards)


def assign_by_location(tiles: Sequence[Tile], config: SplittingConfig) -> SplitAssignment:
    """Returns the splits of blocks that follow from location; arguments and errors as for `split_by_location`."""
    indices, grid = tile_indices(tiles), tiles[0].grid
    strategy = split_strategy(config, grid)
    block_ids, splits = strategy.assign(indices)
    close_tiles, close_blocks, close_splits = _find_close_blocks(indices, block_ids, strategy, config, grid)
    block_splits = BlockSplits(np.concatenate([block_ids, close_blocks]), np.concatenate([splits, close_splits]))
    return SplitAssignment(block_ids, block_splits, close_tiles, close_blocks, tuple(config.shares.values()))


def tile_assignments(
    tiles: Sequence[Tile], assignment: SplitAssignment, config: SplittingConfig, shards: int
) -> Assignments:
    """Returns each tile's row, in the order of the tiles; those that a guard drops or that have no split say so."""
    names, keys = [*config.shares, ""], TileArray.of(tiles).keys
    splits, conflicting = assignment.splits(), assignment.conflicting_splits()
    reasons = [_drop_reason(config, split, near) for split in names for near in names]
    cases = splits % len(names) * len(names) + conflicting % len(names)
    columns = {
        "key": keys.column,
        "split": pa.array(names).take(pa.array(splits % len(names))),
        "shard": pa.array([shard_of(key, shards) for key in keys], pa.int32()),
        "state": pa.array([DROPPED if reason else PLANNED for reason in reasons]).take(pa.array(cases)),
        "reason": pa.array(reasons).take(pa.array(cases)),
        "block_id": pa.array(assignment.block_ids),
    }
    return Assignments(TileAssignment, pa.table(columns, schema=SCHEMA))


def _drop_reason(config: SplittingConfig, split: str, conflicting: str) -> str:
    if not split:
        return "its middle lies in no region that names a split"
    if conflicting:
        near = f"comes nearer than {config.guard:g} m to" if config.guard else "overlaps"
        return f"guard: it {near} split {conflicting}"
    return ""


def _find_close_blocks(
    indices: Ints, block_ids: Ints, strategy: SplitStrategy, config: SplittingConfig, grid: Grid
) -> tuple[Ints, Ints, Ints]:
    """Returns positions (m) of tiles that come too close to another block, that block (m), and its split (m)."""
    if config.allow_overlap:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64)
    nearby = neighbourhood(indices, grid, config.guard)
    nearby_blocks, nearby_splits = strategy.assign(decode_indices(nearby))
    close = [np.empty((0, 3), np.int64)]
    for positions, codes in neighbour_pairs(indices, grid, config.guard):
        at = np.minimum(np.searchsorted(nearby, codes), len(nearby) - 1)
        differ = (nearby[at] == codes) & (nearby_blocks[at] != block_ids[positions]) & (nearby_splits[at] >= 0)
        at = at[differ]
        close.append(np.column_stack([positions[differ], nearby_blocks[at], nearby_splits[at]]))
        if sum(map(len, close)) > max(_MAX_PAIRS, 2 * len(close[0])):
            close = [_distinct_rows(close)]
    tiles, blocks, splits = _distinct_rows(close).T
    return tiles, blocks, splits


def _distinct_rows(parts: Sequence[Ints]) -> Ints:
    """Returns the distinct rows of arrays (n, 3), ordered by the first two columns, from which the third follows."""
    rows = np.concatenate(parts)
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    return rows[np.concatenate([[True], (rows[1:, :2] != rows[:-1, :2]).any(axis=1)])[: len(rows)]]
