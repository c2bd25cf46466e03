"""The tile manifest, `tiles.parquet`: a row for each tile of a dataset, as GeoParquet."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segchips.errors import InputError
from segchips.files import read_parquet
from segchips.grids.outlines import core_outlines
from segchips.grids.tile import Tile
from segchips.tiles.assignment import COLUMNS, TileAssignment
from segchips.vectors.geoparquet import write_geoparquet


def write_manifest(path: str | Path, assignments: Sequence[TileAssignment]) -> None:
    """Writes a manifest as GeoParquet 1.1: the columns of `TileAssignment`, and the core boxes in lon/lat.

    Args:
        path: The file.
        assignments: At least one tile, all of one grid.
    """
    import pyarrow as pa

    types = {"shard": pa.int32(), "unit": pa.int64()}
    columns = {
        column: pa.array([getattr(row, field) for row in assignments], types.get(column, pa.string()))
        for field, column in COLUMNS.items()
    }
    write_geoparquet(path, columns, core_outlines([Tile.from_key(row.key) for row in assignments]))


def read_manifest(path: str | Path) -> list[TileAssignment]:
    """Returns a manifest's tiles in its order; raises InputError where the file is not a manifest."""
    columns = read_parquet_columns(path, list(COLUMNS.values()))
    return [TileAssignment(*row) for row in zip(*columns, strict=True)]


def read_parquet_columns(path: str | Path, names: list[str]) -> list[list[Any]]:
    """Returns the values of named columns; raises InputError where the file cannot be read or lacks one."""
    import pyarrow as pa

    try:
        table = read_parquet(path, names)
        return [table[name].to_pylist() for name in names]
    except (OSError, KeyError, pa.ArrowException) as error:
        raise InputError(f"'{path}' cannot be read as a Parquet file with the columns {', '.join(names)}") from error
