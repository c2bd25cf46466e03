"""The index of a shard: a CSV file that says where each record lies, and why a tile has none."""

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from segchips.errors import RecordError


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


def _parse_entry(
    tile: str, state: str, reason: str, valid: str, offset: str, length: str, acquired: str, scenes: str
) -> IndexEntry:
    start, size = (int(text) if text else None for text in (offset, length))
    if min(start or 0, size or 0) < 0:
        raise ValueError(f"byte {offset} and length {length} of {tile}")
    pairs = tuple((product, scene) for product, scene in json.loads(scenes or "[]"))
    return IndexEntry(tile, state, reason, float(valid) if valid else None, start, size, tuple(acquired.split()), pairs)
