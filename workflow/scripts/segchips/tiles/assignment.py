"""TODO: describe."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

PLANNED, MADE, TOO_FEW_VALID, EXCLUDED, REJECTED = "planned", "made", "below min_valid", "excluded", "rejected"
DROPPED = "dropped"


def split_of(name: str, splits: Mapping[str, float]) -> str:
    """The split of a chip: a function of its name and the shares alone, taken in the order of `splits`."""
    place, end, last = hash64(name, b"split") / 2**64 * sum(splits.values()), 0.0, ""
    for split, share in splits.items():
        if share > 0:
            end, last = end + share, split
            if place < end:
                break
    return last


def shard_of(name: str, shards: int) -> int:
    """The shard of a chip within its split, from 0: a function of its name alone."""
    return hash64(name, b"shard") % shards


def hash64(name: str, salt: bytes) -> int:
    """A number below 2**64 that follows from a chip's name and the salt alone."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8, salt=salt).digest(), "little")


@dataclass(frozen=True)
class TileAssignment:
    """A tile's split ("" for none), shard and state, and why it is dropped; tiles of one `unit` share their split."""

    key: str
    split: str
    shard: int
    state: str = PLANNED
    reason: str = ""
    unit: int = 0
