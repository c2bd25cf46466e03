"""The conflicts step: count the pixels of each tile that lie in features of different classes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from segchips.arrays import Ints
from segchips.files import digest, read_parquet
from segchips.grids.outlines import outline_batches
from segchips.grids.tile_array import ByTile, TileArray, TileKeys
from segchips.labels.conflict_counts import count_conflicts
from segchips.labels.features import LabelFeatures
from segchips.labels.lock import LabelLock
from segchips.vectors.geoparquet import write_geoparquet


def write_conflicts(path: Path, targets: Sequence[tuple[LabelFeatures, LabelLock]]) -> str:
    """Write GeoParquet with a row for each tile: key, label digest, pixels in conflict, core box in lon/lat.

    Pixels of several targets are added up. Counts that the file already holds are kept for tiles whose label digest is
    unchanged.

    Args:
        path: The file to write or update.
        targets: The features and the label lock of each target.

    Returns:
        A sentence that says how many pixels of how many tiles are in conflict.
    """
    keys, digests = targets[0][1].keys, _digests([lock for _, lock in targets])
    pixels = _unchanged_counts(path, keys, digests) if path.exists() else np.full(len(keys), -1)
    tiles = TileArray.from_keys(keys)
    new = pixels < 0
    pixels[new] = sum(count_conflicts(features, lock, tiles.where(new)) for features, lock in targets)
    columns = {"key": keys.column, "label": digests, "pixels": pixels}
    write_geoparquet(path, columns, outline_batches(tiles))
    return f"{pixels.sum()} pixels of {np.count_nonzero(pixels)} tiles lie in features of different classes"


def read_conflicts(path: Path) -> ByTile[int]:
    """Read how many pixels are in conflict, by tile key."""
    table = read_parquet(path, ["key", "pixels"])
    return ByTile(TileKeys(table["key"]), table["pixels"].combine_chunks())


def _digests(locks: Sequence[LabelLock]) -> pa.Array:
    """A digest of the labels of each tile, in the order of the first lock."""
    first, *others = locks
    if not others:
        return first.digests.column
    texts = [first.digests.column.to_pylist(), *(lock.digests.of(first.keys) for lock in others)]
    return pa.array([digest(*parts) for parts in zip(*texts, strict=True)], pa.string())


def _unchanged_counts(path: Path, keys: TileKeys, digests: pa.Array) -> Ints:
    """The counts (n) in a file for tiles whose labels are the same as then; -1 for others."""
    table = read_parquet(path, ["key", "label", "pixels"]).combine_chunks()
    rows = TileKeys(table["key"]).rows(keys)
    former = table.take(pa.array(rows, mask=rows < 0))
    counts = pc.if_else(pc.equal(former["label"], digests), former["pixels"], -1)
    return np.array(pc.fill_null(counts, -1).to_pylist(), np.int64)
