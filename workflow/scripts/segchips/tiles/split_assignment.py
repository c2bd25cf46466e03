"""Each tile's split as it follows from location alone, and which tiles a guard drops.

Both look at all tiles that the grid has around a tile, whether or not the area holds them, so that neither changes when
the area grows.
"""

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from segchips.arrays import Ints
from segchips.config.splitting import SplittingConfig
from segchips.grids.indices import decode_indices, tile_indices
from segchips.grids.neighbours import neighbour_pairs, neighbourhood
from segchips.grids.tile import Grid, Tile
from segchips.tiles.assignment import DROPPED, PLANNED, TileAssignment, shard_of
from segchips.tiles.split_strategies import SplitStrategy, split_strategy


@dataclass(frozen=True)
class SplitAssignment:
    """The split of every block of tiles, and which tiles come too close to another block.

    Attributes:
        block_ids: The block of each tile (n).
        block_splits: The number of each block's split, -1 for none. It has the blocks around the area as well, and
            may be changed to move a block to another split.
        close_tiles: Positions (m) of tiles that come too close to another block.
        close_blocks: That block (m).
        shares: The share of each split.
    """

    block_ids: Ints
    block_splits: MutableMapping[int, int]
    close_tiles: Ints
    close_blocks: Ints
    shares: tuple[float, ...]

    def splits(self) -> Ints:
        """Returns the number of each tile's split (n), -1 for none."""
        return self._distinct_splits()[self._distinct_blocks[1]]

    def conflicting_splits(self) -> Ints:
        """Returns the number of the split for which the guard drops each tile (n), -1 for none.

        Where tiles of two splits come too close to one another, the smaller split keeps its tiles.
        """
        _, of_tiles, of_close_blocks = self._distinct_blocks
        block_splits = self._distinct_splits()
        own, other = block_splits[of_tiles][self.close_tiles], block_splits[of_close_blocks]
        loses = (own >= 0) & (other >= 0) & (self._priority[other] > self._priority[own])
        highest = np.full(len(self.block_ids), -1, np.int64)
        np.maximum.at(highest, self.close_tiles[loses], self._priority[other[loses]])
        return np.where(highest < 0, -1, np.argsort(self._priority)[highest])

    def _distinct_splits(self) -> Ints:
        return np.array([self.block_splits[block] for block in self._distinct_blocks[0]], np.int64)

    @cached_property
    def _distinct_blocks(self) -> tuple[list[int], Ints, Ints]:
        """The distinct blocks, and positions among them of `block_ids` (n) and of `close_blocks` (m)."""
        distinct, positions = np.unique(np.concatenate([self.block_ids, self.close_blocks]), return_inverse=True)
        return distinct.tolist(), positions[: len(self.block_ids)], positions[len(self.block_ids) :]

    @cached_property
    def _priority(self) -> Ints:
        """The priority of each split: the smaller its share, the higher."""
        order = sorted(range(len(self.shares)), key=lambda split: (-self.shares[split], split))
        return np.argsort(order)


def split_by_location(tiles: Sequence[Tile], config: SplittingConfig, shards: int) -> list[TileAssignment]:
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
    block_splits = dict(zip(block_ids.tolist(), splits.tolist(), strict=True))
    block_splits |= dict(zip(close_blocks.tolist(), close_splits.tolist(), strict=True))
    return SplitAssignment(block_ids, block_splits, close_tiles, close_blocks, tuple(config.shares.values()))


def tile_assignments(
    tiles: Sequence[Tile], assignment: SplitAssignment, config: SplittingConfig, shards: int
) -> list[TileAssignment]:
    """Returns each tile's row, in the order of the tiles; those that a guard drops or that have no split say so."""
    names = [*config.shares, ""]
    splits, conflicting = assignment.splits().tolist(), assignment.conflicting_splits().tolist()
    rows = []
    for tile, split, conflict, block in zip(tiles, splits, conflicting, assignment.block_ids.tolist(), strict=True):
        reason = _drop_reason(config, names[split], names[conflict])
        state = DROPPED if reason else PLANNED
        rows.append(TileAssignment(tile.key, names[split], shard_of(tile.key, shards), state, reason, block))
    return rows


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
    tiles, blocks, splits = np.unique(np.concatenate(close), axis=0).T
    return tiles, blocks, splits
