"""The label lock: which features each tile's label chip depends on, and a digest of the chip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from segchips.config.layers import UNNAMED
from segchips.files import atomic_path, digest, read_parquet
from segchips.grids.tile import Tile
from segchips.labels.features import LabelFeatures


@dataclass(frozen=True)
class LabelLock:
    """What the label chip of each tile depends on, by tile key.

    Attributes:
        digests: A digest of the features, how they are burned, the coverage and the code.
        feature_indices: The features that intersect the tile, in burning order.
        values: The distinct label values of these features and of rasters, ascending; empty for measurements.
        covered_pixels: How many of the tile's pixels are known: inside the coverage, where there is one, and with
            data, where labels come from rasters.
    """

    digests: Mapping[str, str]
    feature_indices: Mapping[str, Sequence[int]]
    values: Mapping[str, Sequence[int]]
    covered_pixels: Mapping[str, int]


def lock_labels(features: LabelFeatures, tiles: Sequence[Tile], code_version: str) -> LabelLock:
    """Find the features of each tile and digest what its chip depends on.

    Args:
        features: The features of the dataset's label layers.
        tiles: The dataset's tiles, in the order of the lock.
        code_version: A digest of the code that burns labels, so that changed code changes every chip's digest.
    """
    indices = dict(zip((tile.key for tile in tiles), features.intersecting(tiles), strict=True))
    digests, values, covered_pixels = {}, {}, {}
    for tile in tiles:
        labels = features.describe(tile, indices[tile.key])
        digests[tile.key] = digest(code_version, labels.digest)
        values[tile.key], covered_pixels[tile.key] = labels.values, labels.known
    return LabelLock(digests, indices, values, covered_pixels)


def write_label_locks(path: Path, locks: Mapping[str, LabelLock]) -> None:
    """Write the locks of a dataset's targets as Parquet.

    Args:
        path: The file to write, with the columns tile, digest, features, values and known (covered pixels).
        locks: The lock of each target. Those of named targets have a column `target`.
    """
    parts = []
    for target, lock in locks.items():
        table = _table(lock)
        parts.append(table if target == UNNAMED else table.add_column(0, "target", [pa.array([target] * len(table))]))
    with atomic_path(path) as part:
        pq.write_table(pa.concat_tables(parts).combine_chunks(), part, compression="zstd")


def _table(lock: LabelLock) -> pa.Table:
    return pa.table(
        {
            "tile": pa.array(list(lock.digests), pa.string()),
            "digest": pa.array(list(lock.digests.values()), pa.string()),
            "features": pa.array([lock.feature_indices[key] for key in lock.digests], pa.list_(pa.int32())),
            "values": pa.array([lock.values[key] for key in lock.digests], pa.list_(pa.uint8())),
            "known": pa.array([lock.covered_pixels[key] for key in lock.digests], pa.int32()),
        }
    )


def read_label_locks(path: Path) -> dict[str, LabelLock]:
    """Read the lock of each target from a file that `write_label_locks` wrote."""
    columns = read_parquet(path).to_pydict()
    targets = columns.get("target") or [UNNAMED] * len(columns["tile"])
    rows: dict[str, list[int]] = {}
    for number, target in enumerate(targets):
        rows.setdefault(target, []).append(number)
    return {target: LabelLock(*_maps(columns, numbers)) for target, numbers in rows.items()}


def _maps(columns: Mapping[str, Sequence[Any]], rows: Sequence[int]) -> list[dict[str, Any]]:
    """The columns of some rows by tile key, in the order of the fields of `LabelLock`."""
    names = ("digest", "features", "values", "known")
    return [{columns["tile"][row]: columns[name][row] for row in rows} for name in names]
