"""The index of a shard: a CSV file that says where each record lies, and why a tile has none."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from segchips.errors import RecordError
from segchips.files import read_csv

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class IndexEntry:
    """One line of a shard's index.

    Attributes:
        tile: The tile key, or the name of a chip made elsewhere.
        state: What became of the chip, such as "made" or "rejected"; see `segchips.tiles.assignment`.
        reason: Why the chip has no record; empty if it has one.
        valid: The share of valid pixels; None if the chip does not say.
        offset: The byte at which the record begins in the shard file; None without a record.
        length: The bytes of the record, framing included; None without a record.
        acquired: Acquisition times, as in `segchips.records.chip_tags.ChipTags`.
        scenes: Product and id of the scenes, as in `segchips.records.chip_tags.ChipTags`.
    """

    tile: str
    state: str
    reason: str
    valid: float | None
    offset: int | None = None
    length: int | None = None
    acquired: tuple[str, ...] = ()
    scenes: tuple[tuple[str, str], ...] = ()


_COLUMNS = [field.name for field in fields(IndexEntry)]


def write_index(path: Path, entries: Iterable[IndexEntry]) -> None:
    """Write a shard's index as CSV."""
    with path.open("w", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(_COLUMNS)
        for entry in entries:
            scenes = json.dumps(entry.scenes) if entry.scenes else ""
            rows.writerow((vars(entry) | {"acquired": " ".join(entry.acquired), "scenes": scenes}).values())


def read_index(path: Path) -> list[IndexEntry]:
    """Read a shard's index.

    Returns:
        The entries; those with a record are in the order of the records.

    Raises:
        RecordError: The file is missing or damaged.
    """
    try:
        with path.open(newline="") as stream:
            header, *rows = csv.reader(stream)
            if header != _COLUMNS:
                raise ValueError(f"its columns are {', '.join(header)}")
            return [_parse_entry(*row) for row in rows]
    except (OSError, TypeError, ValueError, csv.Error) as error:
        raise RecordError(f"{path} cannot be read as the index of a shard: {error}") from error


def read_index_columns(paths: Iterable[Path], names: Sequence[str]) -> pa.Table:
    """Read some fields of the entries of several indices as columns; times and scenes as texts, as the files have them.

    Raises:
        RecordError: A file is missing or damaged.
    """
    import pyarrow as pa

    types = {"valid": pa.float64(), "offset": pa.int64(), "length": pa.int64()}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in names])
    tables = [schema.empty_table()]
    for path in paths:
        try:
            tables.append(read_csv(path, schema))
        except (OSError, KeyError, ValueError) as error:  # those of Arrow are ValueErrors and KeyErrors
            raise RecordError(f"{path} cannot be read as the index of a shard: {error}") from error
    return pa.concat_tables(tables).combine_chunks()


def parse_scenes(text: str) -> tuple[tuple[str, str], ...]:
    """Parse product and id of scenes as an index has them."""
    return tuple((product, scene) for product, scene in json.loads(text or "[]"))


def _parse_entry(
    tile: str, state: str, reason: str, valid: str, offset: str, length: str, acquired: str, scenes: str
) -> IndexEntry:
    start, size = (int(text) if text else None for text in (offset, length))
    if min(start or 0, size or 0) < 0:
        raise ValueError(f"byte {offset} and length {length} of {tile}")
    times = tuple(acquired.split())
    return IndexEntry(tile, state, reason, float(valid) if valid else None, start, size, times, parse_scenes(scenes))
