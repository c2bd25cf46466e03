"""The label lock: which features each tile's label chip depends on, and a digest of the chip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from segchips.config.layers import UNNAMED
from segchips.errors import InputError
from segchips.files import atomic_path, digest, read_parquet
from segchips.grids.tile import Tile
from segchips.grids.tile_array import ByTile, TileArray, TileKeys
from segchips.labels.features import LabelFeatures, TileLabels

_SCHEMA = pa.schema(
    [
        ("tile", pa.string()),
        ("digest", pa.string()),
        ("features", pa.list_(pa.int32())),
        ("values", pa.list_(pa.uint8())),
        ("known", pa.int32()),
    ]
)
_BATCH = 20_000
"""Tiles whose features are in memory as Python objects at once."""


@dataclass(frozen=True)
class LabelLock:
    """What the label chip of each tile depends on, by tile key.

    Attributes:
        keys: The tiles, in the order of all columns.
        digests: A digest of the features, how they are burned, the coverage and the code.
        feature_indices: The features that intersect the tile, in burning order.
        values: The distinct label values of these features and of rasters, ascending; empty for measurements.
        covered_pixels: How many of the tile's pixels are known: inside the coverage, where there is one, and with
            data, where labels come from rasters.
    """

    keys: TileKeys
    digests: ByTile[str]
    feature_indices: ByTile[Sequence[int]]
    values: ByTile[Sequence[int]]
    covered_pixels: ByTile[int]

    @classmethod
    def of(cls, table: pa.Table, keys: TileKeys | None = None) -> "LabelLock":
        """The lock in the columns of a file; `keys` are its tiles, where they are known."""
        table = table.combine_chunks()
        columns = [
            table[name].combine_chunks() if len(table) else pa.array([], table[name].type)
            for name in table.column_names
        ]
        keys = keys or TileKeys(columns[0])
        return cls(keys, *(ByTile(keys, column) for column in columns[1:]))


def lock_labels(features: LabelFeatures, tiles: Sequence[Tile], code_version: str) -> LabelLock:
    """Find the features of each tile and digest what its chip depends on.

    Args:
        features: The features of the dataset's label layers.
        tiles: The dataset's tiles, in the order of the lock.
        code_version: A digest of the code that burns labels, so that changed code changes every chip's digest.
    """
    batches = (tiles[start : start + _BATCH] for start in range(0, len(tiles), _BATCH))
    return LabelLock.of(
        pa.concat_tables([_SCHEMA.empty_table(), *(_lock(features, batch, code_version) for batch in batches)])
    )


def _lock(features: LabelFeatures, tiles: Sequence[Tile], code_version: str) -> pa.Table:
    indices = features.intersecting(tiles)
    labels = _described(features, tiles, indices)
    digests = {found: digest(code_version, found) for found in {one.digest for one in labels}}
    columns = {
        "tile": TileArray.of(tiles).keys.column,
        "digest": [digests[one.digest] for one in labels],
        "features": indices,
        "values": [one.values for one in labels],
        "known": [one.known for one in labels],
    }
    return pa.table(columns, schema=_SCHEMA)


def _described(features: LabelFeatures, tiles: Sequence[Tile], indices: Sequence[Sequence[int]]) -> list[TileLabels]:
    """What the label chip of each tile depends on, found once for tiles with the same features where these tell all."""
    if not features.follow_from_features:
        return [features.describe(tile, some) for tile, some in zip(tiles, indices, strict=True)]
    by_features: dict[tuple[int, ...], TileLabels] = {}
    for position, some in enumerate(map(tuple, indices)):
        if some not in by_features:
            by_features[some] = features.describe(tiles[position], some)
    return [by_features[some] for some in map(tuple, indices)]


def write_label_locks(path: Path, locks: Mapping[str, LabelLock]) -> None:
    """Write the locks of a dataset's targets as Parquet.

    Args:
        path: The file to write, with the columns tile, digest, features, values and known (covered pixels).
        locks: The lock of each target. Those of named targets have a column `target`.
    """
    parts = []
    for target, lock in locks.items():
        columns = lock.digests, lock.feature_indices, lock.values, lock.covered_pixels
        table = pa.table([lock.keys.column, *(column.column for column in columns)], schema=_SCHEMA)
        parts.append(table if target == UNNAMED else table.add_column(0, "target", [pa.array([target] * len(table))]))
    with atomic_path(path) as part:
        pq.write_table(pa.concat_tables(parts).combine_chunks(), part, compression="zstd")


def read_label_locks(path: Path) -> dict[str, LabelLock]:
    """Read the lock of each target from a file that `write_label_locks` wrote; InputError where it is another one."""
    try:
        table = read_parquet(path)
        table.select(_SCHEMA.names)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a label lock ({error}); delete it and run again") from error
    if "target" not in table.column_names:
        return {UNNAMED: LabelLock.of(table)}
    locks: dict[str, LabelLock] = {}
    for target in pc.unique(table["target"]).to_pylist():
        of_target = table.filter(pc.equal(table["target"], target)).drop_columns("target")
        keys = next(
            (lock.keys for lock in locks.values() if of_target["tile"].equals(pa.chunked_array([lock.keys.column]))),
            None,
        )
        locks[target] = LabelLock.of(of_target, keys)
    return locks


def features_met(lock: LabelLock) -> np.ndarray:
    """The features that meet any tile, ascending."""
    return np.unique(lock.feature_indices.column.flatten().to_numpy())
