"""The splits step: the last word on each tile's split, shard and state, before any image is made."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from segchips.config.model import Dataset
from segchips.errors import InputError
from segchips.files import read_parquet
from segchips.grids.outlines import core_outlines
from segchips.grids.tile import Tile
from segchips.labels.lock import LabelLock
from segchips.splits.assignment import assign_tiles
from segchips.splits.selection import Counts, count_classes, count_columns, deselect, read_counts
from segchips.tiles.assignment import DROPPED, TileAssignment
from segchips.tiles.manifest import read_manifest
from segchips.vectors.geoparquet import write_geoparquet

OUTSIDE_COVERAGE = "it lies outside labels.coverage: no pixel's label is known"
_COLUMNS = [field.name for field in fields(TileAssignment)]


def make_splits(dataset: Dataset, manifest: Path, path: Path, lock: LabelLock | None, scheme: str) -> list[str]:
    """Write the splits of a manifest's tiles, return lines that tell about them; InputError where no tile is left.

    Moved blocks stay where they are as long as `scheme`, a digest of the config, is that of the file at `path`. There
    is no label lock where nothing depends on labels.
    """
    keys, config, select = [row.key for row in read_manifest(manifest)], dataset.splitting, dataset.select
    old, former = _read(path) if path.exists() else ([], "")
    counts: Counts = {}
    if lock and select.by_label:
        counts = count_classes(dataset.labels, lock, keys, read_counts(path, lock) if old else {})
    unwanted = deselect(select, dataset.labels, counts, config.seed)
    unwanted |= {key: OUTSIDE_COVERAGE for key in keys if lock and not lock.covered_pixels[key]}
    classes: list[Sequence[int]] = [lock.values[key] if lock else () for key in keys]
    shards, placed = dataset.tfrecords.shards, old if former == scheme else []
    rows, notes = assign_tiles([Tile.from_key(key) for key in keys], config, shards, classes, unwanted, placed)
    if all(row.state == DROPPED for row in rows):
        raise InputError(f"none of the {len(rows)} tiles is left; the first is dropped because of {rows[0].reason}")
    write_splits(path, rows, scheme, count_columns(keys, lock, counts) if lock else {})
    return notes


def write_splits(path: Path, rows: Sequence[TileAssignment], scheme: str, counts: Mapping[str, Any]) -> None:
    """Write the rows as GeoParquet with the tiles' core boxes; `scheme` is a digest of the config that made them."""
    columns: dict[str, Any] = {name: [getattr(row, name) for row in rows] for name in _COLUMNS}
    tiles = [Tile.from_key(row.key) for row in rows]
    about = {"segchips": json.dumps({"scheme": scheme})}
    write_geoparquet(path, {**columns, **counts}, core_outlines(tiles), about)


def read_splits(path: Path) -> list[TileAssignment]:
    """Read what `write_splits` wrote; InputError where the file is something else."""
    return _read(path)[0]


def _read(path: Path) -> tuple[list[TileAssignment], str]:
    import pyarrow as pa

    try:
        table = read_parquet(path, _COLUMNS)
        scheme = str(json.loads(table.schema.metadata[b"segchips"])["scheme"])
        return [
            TileAssignment(*row) for row in zip(*(table[name].to_pylist() for name in _COLUMNS), strict=True)
        ], scheme
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a file of splits ({error}); delete it and run again") from error
