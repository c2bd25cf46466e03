"""The splits step: writes each tile's final split, shard and state, before any image is made."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from segchips.config.model import Dataset
from segchips.errors import InputError
from segchips.files import read_parquet
from segchips.grids.tile_array import TileKeys
from segchips.labels.lock import LabelLock
from segchips.splits.revision import revise_splits
from segchips.splits.selection import Counts, count_classes, count_columns, deselect, read_counts
from segchips.tiles.assignment import COLUMNS, DROPPED, Assignments, TileAssignment, to_assignments
from segchips.tiles.manifest import assignments_of, read_manifest, write_assignments

OUTSIDE_COVERAGE = "it lies outside labels.coverage: no pixel's label is known"
NO_LABEL = "no pixel's label is known: label rasters have no data there, or no feature lies there"


def make_splits(
    dataset: Dataset, manifest: Path, path: Path, lock: LabelLock | None, splitting_digest: str
) -> list[str]:
    """Writes the splits of a manifest's tiles.

    Args:
        dataset: The dataset.
        manifest: The tile manifest.
        path: The file to write. Where it exists with the same digest, blocks that were moved stay where they are.
        lock: The label lock, or None where the splits do not depend on labels.
        splitting_digest: A digest of all config that the splits follow from.

    Returns:
        Lines for the log: moved blocks, classes that splits lack, and the number of tiles.

    Raises:
        InputError: No tile is left, or a file cannot be read.
    """
    rows, config, select = read_manifest(manifest), dataset.splitting, dataset.select
    keys = TileKeys(rows.column("key"))
    former, former_digest = _read(path) if path.exists() else (to_assignments([]), "")
    counts: Counts = {}
    if lock and select.by_label:
        counts = count_classes(dataset.labels.first, lock, keys, read_counts(path, lock) if former else {})
    deselected = deselect(select, dataset.labels.first, counts, config.seed)
    no_label = OUTSIDE_COVERAGE if dataset.labels.first.coverage else NO_LABEL
    classes: pa.ListArray | Sequence[Sequence[int]] = [()] * len(keys)
    if lock:
        place = pa.array(lock.keys.rows(keys))
        classes = lock.values.column.take(place)
        unknown = pc.equal(lock.covered_pixels.column.take(place), 0)
        deselected |= dict.fromkeys(keys.column.filter(unknown).to_pylist(), no_label)
    if former_digest != splitting_digest:
        former = to_assignments([])
    rows, notes = revise_splits(rows, config, dataset.tfrecords.shards, classes, deselected, former)
    if pc.all(pc.equal(rows.column("state"), DROPPED)).as_py():
        raise InputError(f"none of the {len(rows)} tiles is left; the first is dropped: {rows[0].reason}")
    write_splits(path, rows, splitting_digest, count_columns(keys, lock, counts) if lock else {})
    return notes


def write_splits(path: Path, rows: Iterable[TileAssignment], splitting_digest: str, counts: Mapping[str, Any]) -> None:
    """Writes tiles as GeoParquet with their core boxes, the columns of counts, and the digest as metadata."""
    write_assignments(path, to_assignments(rows), counts, {"segchips": json.dumps({"scheme": splitting_digest})})


def read_splits(path: Path) -> Assignments:
    """Returns the tiles of a file of splits; raises InputError where the file is something else."""
    return _read(path)[0]


def _read(path: Path) -> tuple[Assignments, str]:
    """Returns the tiles and the digest of the config that they were made from."""
    try:
        table = read_parquet(path, COLUMNS)
        splitting_digest = str(json.loads(table.schema.metadata[b"segchips"])["scheme"])
        return assignments_of(table), splitting_digest
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a file of splits ({error}); delete it and run again") from error
