"""Which split lacks what, and which blocks move to give it to them."""

from collections.abc import Iterator

from segchips.config.model import SplittingConfig
from segchips.files import digest
from segchips.splits.split_assignment import ANY, SplitAssignment

_TRIES = 200


def rebalance(ground: SplitAssignment, config: SplittingConfig) -> Iterator[str]:
    """Move blocks, in a seeded order, as long as that leaves fewer classes lacking; tells each move."""
    names, lacking = list(config.shares), ground.lacking()
    free = set(ground.free().tolist())
    for split, value in list(lacking):
        if (split, value) not in lacking:
            continue
        for unit in _candidates(ground, config, free, split, value):
            former, ground.known[unit] = ground.known[unit], split
            now = ground.lacking()
            if len(now) < len(lacking):
                what = "was empty" if value == ANY else f"lacked class {value}"
                yield f"a block of {names[former]} moved to {names[split]}, which {what}"
                lacking, free = now, free - {unit}
                break
            ground.known[unit] = former


def _candidates(ground: SplitAssignment, config: SplittingConfig, free: set[int], split: int, value: int) -> list[int]:
    """The units that could give a class to a split: those of the largest splits first, then in a seeded order."""
    having = set(ground.units[ground.present[:, value] & ground.wanted].tolist()) & free
    donors = [unit for unit in having if ground.known[unit] not in (split, -1)]

    def order(unit: int) -> tuple[float, str]:
        return -ground.shares[ground.known[unit]], digest("mend", config.seed, unit)

    return sorted(donors, key=order)[:_TRIES]
