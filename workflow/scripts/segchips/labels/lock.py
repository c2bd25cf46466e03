"""The label lock: which features each tile's label chip depends on, and a digest of the chip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from segchips.files import atomic_path, digest, read_parquet
from segchips.grids.tile import Tile
from segchips.labels.features import LabelFeatures


@dataclass(frozen=True)
class LabelLock:
    """What the label chip of each tile depends on, by tile key.

    Attributes:
        digests: A digest of the features, how they are burned, the coverage and the code.
        feature_indices: The features that intersect the tile, in burning order.
        values: The distinct label values of these features, ascending.
        covered_pixels: How many of the tile's pixels lie inside the coverage; all of them without one.
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
    digests, covered_pixels = {}, {}
    for tile in tiles:
        mask = features.coverage_mask(tile)
        digests[tile.key] = digest(code_version, features.chip_digest(indices[tile.key], mask))
        covered_pixels[tile.key] = tile.grid.size**2 if mask is None else int(mask.sum())
    values = {key: features.distinct_values(of_tile) for key, of_tile in indices.items()}
    return LabelLock(digests, indices, values, covered_pixels)


def write_label_lock(path: Path, lock: LabelLock) -> None:
    """Write the lock as Parquet with the columns tile, digest, features, values and known (covered pixels)."""
    table = pa.table(
        {
            "tile": pa.array(list(lock.digests), pa.string()),
            "digest": pa.array(list(lock.digests.values()), pa.string()),
            "features": pa.array([lock.feature_indices[key] for key in lock.digests], pa.list_(pa.int32())),
            "values": pa.array([lock.values[key] for key in lock.digests], pa.list_(pa.uint8())),
            "known": pa.array([lock.covered_pixels[key] for key in lock.digests], pa.int32()),
        }
    )
    with atomic_path(path) as part:
        pq.write_table(table, part, compression="zstd")


def read_label_lock(path: Path) -> LabelLock:
    """Read a file that `write_label_lock` wrote."""
    columns = read_parquet(path).to_pydict()
    return LabelLock(
        *(dict(zip(columns["tile"], columns[name], strict=True)) for name in ("digest", "features", "values", "known"))
    )
