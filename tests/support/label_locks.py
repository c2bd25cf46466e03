"""Label locks that tests change."""

from dataclasses import replace

import pyarrow as pa

from segchips.grids.tile_array import ByTile
from segchips.labels.lock import LabelLock


def with_digest(lock: LabelLock, row: int, text: str) -> LabelLock:
    """The lock with another digest of one tile."""
    digests = lock.digests.column.to_pylist()
    digests[row] = text
    return replace(lock, digests=ByTile(lock.keys, pa.array(digests)))
