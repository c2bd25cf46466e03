"""TODO: describe."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segchips.config.model import TFRecordsConfig
from segchips.errors import InputError
from segchips.files import read_parquet
from segchips.grids.outlines import core_outlines
from segchips.grids.tile import Tile
from segchips.tiles.assignment import TileAssignment, shard_of, split_of
from segchips.vectors.geoparquet import write_geoparquet


def write_manifest(
    path: str | Path, tiles: Sequence[Tile], tfrecords: TFRecordsConfig, rows: Sequence[TileAssignment] = ()
) -> None:
    """Write the manifest as GeoParquet 1.1: key, split, shard, state and the core box in lon/lat.

    Where there are no rows, each tile's split follows from its key.
    """
    import pyarrow as pa

    keys = [tile.key for tile in tiles]
    rows = rows or [
        TileAssignment(key, split_of(key, tfrecords.splits), shard_of(key, tfrecords.shards)) for key in keys
    ]
    columns = {
        "key": pa.array(keys, pa.string()),
        "split": pa.array([row.split for row in rows], pa.string()),
        "shard": pa.array([row.shard for row in rows], pa.int32()),
        "state": pa.array([row.state for row in rows], pa.string()),
    }
    write_geoparquet(path, columns, core_outlines(tiles))


def read_manifest(path: str | Path) -> list[TileAssignment]:
    """The manifest's rows in its order; InputError where the file is none."""
    rows = read_parquet_columns(path, ["key", "split", "shard", "state"])
    return [TileAssignment(*row) for row in zip(*rows, strict=True)]


def read_parquet_columns(path: str | Path, names: list[str]) -> list[list[Any]]:
    import pyarrow as pa

    try:
        table = read_parquet(path, names)
        return [table[name].to_pylist() for name in names]
    except (OSError, KeyError, pa.ArrowException) as error:
        raise InputError(f"'{path}' cannot be read as a Parquet file with the columns {', '.join(names)}") from error
