"""The tile manifest, `tiles.parquet`: a row for each tile of a dataset, as GeoParquet."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from segchips.columns import Rows
from segchips.errors import InputError
from segchips.files import read_parquet
from segchips.grids.outlines import outline_batches
from segchips.grids.tile_array import TileArray, TileKeys
from segchips.tiles.assignment import COLUMNS, SCHEMA, Assignments, TileAssignment, to_assignments
from segchips.vectors.geoparquet import write_geoparquet


def write_manifest(path: str | Path, assignments: Iterable[TileAssignment]) -> None:
    """Writes a manifest as GeoParquet 1.1: the columns of `TileAssignment`, and the core boxes in lon/lat.

    Args:
        path: The file.
        assignments: At least one tile, all of one grid.
    """
    write_assignments(path, to_assignments(assignments))


def write_assignments(
    path: str | Path,
    assignments: Assignments,
    more: Mapping[str, Any] | None = None,
    about: Mapping[str, str] | None = None,
) -> None:
    """Writes assignments as `write_manifest` does, with more columns and metadata."""
    columns = dict(zip(COLUMNS, assignments.table.columns, strict=True))
    tiles = TileArray.from_keys(TileKeys(assignments.column("key")))
    write_geoparquet(path, {**columns, **(more or {})}, outline_batches(tiles), about)


def read_manifest(path: str | Path) -> Assignments:
    """Returns a manifest's tiles in its order; raises InputError where the file is not a manifest."""
    return assignments_of(_read(path, COLUMNS))


def assignments_of(table: pa.Table) -> Assignments:
    """Returns the assignments in the table of a file."""
    return Rows(TileAssignment, pa.table(table.select(COLUMNS).columns, names=SCHEMA.names).cast(SCHEMA))


def read_keys(path: str | Path) -> TileKeys:
    """Returns the keys of a manifest; raises InputError as `read_manifest` does."""
    return TileKeys(_read(path, ["key"])["key"])


def read_parquet_columns(path: str | Path, names: list[str]) -> list[list[Any]]:
    """Returns the values of named columns; raises InputError where the file cannot be read or lacks one."""
    table = _read(path, names)
    return [table[name].to_pylist() for name in names]


def _read(path: str | Path, names: list[str]) -> pa.Table:
    try:
        return read_parquet(path, names).select(names)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise InputError(f"'{path}' cannot be read as a Parquet file with the columns {', '.join(names)}") from error
