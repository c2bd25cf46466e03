"""A tile's split, shard and state, and the hashes that splits and shards by name follow from."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from segchips.columns import Rows

PLANNED, MADE, TOO_FEW_VALID, EXCLUDED, REJECTED = "planned", "made", "below min_valid", "excluded", "rejected"
DROPPED = "dropped"


@dataclass(frozen=True)
class TileAssignment:
    """Where a tile belongs.

    Attributes:
        key: The tile key.
        split: The split's name, "" for none.
        shard: The shard within the split, from 0.
        state: `PLANNED`, or `DROPPED` where no chip is made.
        reason: Why the tile is dropped, "" where it is not.
        block_id: Tiles with the same number always share a split: those of a block, or of a region, or the tile alone.
    """

    key: str
    split: str
    shard: int
    state: str = PLANNED
    reason: str = ""
    block_id: int = 0


Assignments = Rows[TileAssignment]
"""The assignments of many tiles."""
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("split", pa.string()),
        ("shard", pa.int32()),
        ("state", pa.string()),
        ("reason", pa.string()),
        ("block_id", pa.int64()),
    ]
)
"""The fields of `TileAssignment`."""
COLUMNS = [*SCHEMA.names[:-1], "unit"]
"""The columns that hold them in files."""


def to_assignments(rows: Iterable[TileAssignment]) -> Assignments:
    """Returns assignments as columns."""
    return Rows.of(TileAssignment, rows, SCHEMA)


def split_of(name: str, splits: Mapping[str, float]) -> str:
    """Returns the split of a chip, which follows from its name and the shares alone.

    Args:
        name: The chip's name, such as a tile key.
        splits: The share of each split. Its order counts; shares need not sum to 1.
    """
    position, end, last = hash64(name, b"split") / 2**64 * sum(splits.values()), 0.0, ""
    for split, share in splits.items():
        if share > 0:
            end, last = end + share, split
            if position < end:
                break
    return last


def shard_of(name: str, shards: int) -> int:
    """Returns the shard of a chip within its split, from 0, which follows from its name alone."""
    return hash64(name, b"shard") % shards


def hash64(name: str, salt: bytes) -> int:
    """Returns a number below 2**64 that follows from a chip's name and a salt (BLAKE2b)."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8, salt=salt).digest(), "little")
