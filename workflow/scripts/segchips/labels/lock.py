"""TODO: describe."""

import os
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
    """For each tile the features that touch it, in burning order, and a digest of all its chip shows.

    `values` are those of the features, `known` counts the pixels inside the coverage.
    """

    digests: Mapping[str, str]
    features: Mapping[str, Sequence[int]]
    values: Mapping[str, Sequence[int]]
    known: Mapping[str, int]


def lock_labels(features: LabelFeatures, tiles: Sequence[Tile], code_version: str = "") -> LabelLock:
    """Work out which features each tile's chip depends on."""
    touching = {tile.key: found for tile, found in zip(tiles, features.touching(tiles), strict=True)}
    digests, known = {}, {}
    for tile in tiles:
        mask = features.known(tile)
        digests[tile.key] = digest(code_version, features.digest(touching[tile.key], mask))
        known[tile.key] = tile.grid.size**2 if mask is None else int(mask.sum())
    values = {key: features.values(found) for key, found in touching.items()}
    return LabelLock(digests, touching, values, known)


def write_label_lock(path: Path, lock: LabelLock) -> None:
    """Write the lock as Parquet: tile, digest, features, values, known."""
    table = pa.table(
        {
            "tile": pa.array(list(lock.digests), pa.string()),
            "digest": pa.array(list(lock.digests.values()), pa.string()),
            "features": pa.array([lock.features[key] for key in lock.digests], pa.list_(pa.int32())),
            "values": pa.array([lock.values[key] for key in lock.digests], pa.list_(pa.uint8())),
            "known": pa.array([lock.known[key] for key in lock.digests], pa.int32()),
        }
    )
    with atomic_path(path) as part:
        pq.write_table(table, part, compression="zstd")


def read_label_lock(path: Path) -> LabelLock:
    """Read what `write_label_lock` wrote."""
    columns = read_parquet(path).to_pydict()
    return LabelLock(
        dict(zip(columns["tile"], columns["digest"], strict=True)),
        dict(zip(columns["tile"], columns["features"], strict=True)),
        dict(zip(columns["tile"], columns["values"], strict=True)),
        dict(zip(columns["tile"], columns["known"], strict=True)),
    )


def is_own(folder: Path) -> bool:
    """Whether a dataset's folder of label chips holds chips of its own, and is no link to those of another dataset."""
    return folder.is_dir() and not folder.is_symlink()


def share_labels(folder: Path, owner: Path) -> None:
    """Let a dataset's folder of label chips be a link to that of another, or no longer be one where both are one."""
    if folder.is_symlink():
        folder.unlink()
    if folder != owner:
        folder.symlink_to(os.path.relpath(owner, folder.parent), target_is_directory=True)
