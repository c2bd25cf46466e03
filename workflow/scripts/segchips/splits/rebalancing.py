"""Moves blocks between splits, so that each split has every class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segchips.arrays import Mask
from segchips.config.splitting import SplittingConfig
from segchips.files import digest
from segchips.splits.class_presence import ANY_CLASS, ClassTable, missing_classes
from segchips.tiles.split_assignment import SplitAssignment

_MAX_CANDIDATES = 200
"""Blocks tried for each split and class that it lacks."""


@dataclass(frozen=True)
class BalanceInput:
    """What the labels say about tiles (n).

    Attributes:
        classes: The classes of each tile.
        selected: The tiles (n) that selection keeps.
        frozen: The tiles (n) that an earlier run assigned: neither they nor blocks close to them may change.
    """

    classes: ClassTable
    selected: Mask
    frozen: Mask


def rebalance(assignment: SplitAssignment, tiles: BalanceInput, config: SplittingConfig) -> list[str]:
    """Moves blocks one at a time, as long as each move leaves fewer classes missing.

    Args:
        assignment: The splits of blocks; moves change its `block_splits`.
        tiles: Classes and selection of its tiles.
        config: How tiles are split. Its seed decides the order in which blocks are tried.

    Returns:
        A line for each move.
    """
    names, missing, notes = list(config.shares), _missing(assignment, tiles), []
    movable = _movable_blocks(assignment, tiles)
    for split, value in list(missing):
        if (split, value) not in missing:
            continue
        for block in _candidates(assignment, tiles, config, movable, split, value):
            donor, assignment.block_splits[block] = assignment.block_splits[block], split
            still_missing = _missing(assignment, tiles)
            if len(still_missing) < len(missing):
                what = "was empty" if value == ANY_CLASS else f"lacked class {value}"
                notes.append(f"a block of {names[donor]} moved to {names[split]}, which {what}")
                missing, movable = still_missing, movable - {block}
                break
            assignment.block_splits[block] = donor
    return notes


def _missing(assignment: SplitAssignment, tiles: BalanceInput) -> list[tuple[int, int]]:
    splits = assignment.splits()
    kept = tiles.selected & (splits >= 0) & (assignment.conflicting_splits() < 0)
    return missing_classes(tiles.classes, splits, kept, len(assignment.shares))


def _movable_blocks(assignment: SplitAssignment, tiles: BalanceInput) -> set[int]:
    """Returns the blocks that have selected tiles, no frozen tile, and no frozen tile close to them."""
    blocks = assignment.block_ids
    near_frozen = assignment.close_blocks[tiles.frozen[assignment.close_tiles]]
    fixed = np.concatenate([blocks[tiles.frozen], near_frozen])
    return set(np.setdiff1d(blocks[tiles.selected], fixed).tolist())


def _candidates(
    assignment: SplitAssignment, tiles: BalanceInput, config: SplittingConfig, movable: set[int], split: int, value: int
) -> Sequence[int]:
    """Returns the blocks that could give a class to a split: those of the largest splits first, then by the seed."""
    with_class = set(assignment.block_ids[tiles.classes.tiles_with(value) & tiles.selected].tolist())
    donors = [block for block in with_class & movable if assignment.block_splits[block] not in (split, -1)]

    def order(block: int) -> tuple[float, str]:
        return -assignment.shares[assignment.block_splits[block]], digest("mend", config.seed, block)

    return sorted(donors, key=order)[:_MAX_CANDIDATES]
