"""The records of a shard that are kept when it is written again: those whose chips, and all else, are as they were.

What a shard was made from is noted in a hidden file beside it. Where that is missing, or tells of other files, or the
shard is damaged, nothing is kept.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segchips.description import MADE, Entry, Info, Layout, read_index, shard_beside, tally_beside
from segchips.errors import RecordError
from segchips.files import content_digest, write_whole
from segchips.records import checksum, decode, read_record

if TYPE_CHECKING:
    from segchips.config import TFRecordsConfig
    from segchips.examples import Example
    from segchips.records import Piece
    from segchips.tally import Tally

Stamp = list[list[int]]
Sources = Mapping[str, tuple[int, Stamp]]
"""By tile, the checksum of its record and the stamp of the chips that this was made from."""
_YOUNG = 2.0
"""Seconds within which a file system may give two versions of a file the same times."""


def notes_beside(index: Path) -> Path:
    """The file that tells what the shard of an index was made from."""
    return index.with_name(f".{index.name.removesuffix('.csv').replace('.index-', '.sources-')}.json")


def stamp(*chips: str) -> Stamp:
    """What tells files from all others that have been in their place; empty where one cannot be opened."""
    found = []
    with suppress(OSError):
        for chip in chips:
            with open(chip, "rb", buffering=0) as stream:  # what NFS says of a file that is not open may be outdated
                status = os.fstat(stream.fileno())
            found.append([status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns])
        return found
    return []


@dataclass
class Notes:
    """What a shard is made from; `recipe` stands for all but the chips."""

    recipe: str
    sources: dict[str, tuple[int, Stamp]] = field(default_factory=dict)

    def add(self, tile: str, record: Iterable[Piece], chips: Stamp) -> None:
        """Note a record, without its chips where these are so young that another version could look the same."""
        youngest = max((max(moments) for _, _, *moments in chips), default=0)
        self.sources[tile] = checksum(*record), chips if youngest < (time.time() - _YOUNG) * 1e9 else []

    def save(self, index: Path) -> None:
        """Write them down, with the digests of the index and the tally."""
        content = {"recipe": self.recipe, "beside": _beside(index), "sources": self.sources}
        write_whole(notes_beside(index), json.dumps(content))


def _beside(index: Path) -> list[str]:
    return [content_digest(index), content_digest(tally_beside(index))]


def _noted(index: Path, recipe: str) -> Sources:
    """What the shard was made from, where it is of this recipe and its index and tally are those that were written."""
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        notes = json.loads(notes_beside(index).read_bytes())
        if (notes["recipe"], notes["beside"]) == (recipe, _beside(index)):
            return {tile: (crc, chips) for tile, (crc, chips) in notes["sources"].items()}
    return {}


@dataclass(frozen=True)
class Kept:
    """Records to keep of a shard, by tile, and the counts of their chips."""

    shard: Path
    compression: str | None
    entries: Mapping[str, Entry]
    tally: Tally

    def record(self, tile: str) -> bytes:
        """One of the records; RecordError where the shard is damaged."""
        entry = self.entries[tile]
        return read_record(self.shard, entry.offset or 0, entry.length or 0, self.compression)


def _example(record: bytes, config: TFRecordsConfig) -> Example:
    """The chips in a record, of which only the record tells."""
    from segchips.examples import decode_example

    found: dict[str, Any] = decode(record)
    image, label = (
        Layout(bytes(found[f"{kind}/dtype"]).decode(), tuple(found[f"{kind}/{size}"] for size in sizes), "", None)
        for kind, sizes in (("image", ("height", "width", "channels")), ("target", ("height", "width")))
    )
    return decode_example(record, Info("", config.storage, config.compression, {}, image, label))


def _without(tally: Tally, records: Iterable[bytes], config: TFRecordsConfig) -> Tally:
    """The tally after these records are taken out of it."""
    from segchips.tally import Tally

    gone = Tally(tally.dtype.name, tally.bands, tally.nodata)
    for record in records:
        example = _example(record, config)
        gone.add(example["image"], example["label"])
    tally.subtract(gone)
    return tally


def keep(index: Path, chips: Mapping[str, Sequence[str]], config: TFRecordsConfig, recipe: str) -> Kept | None:
    """What to keep of a shard now that its tiles have these chips; None where that is nothing, or not worth it."""
    sources = _noted(index, recipe)
    same = {tile for tile, (_, old) in sources.items() if old and tile in chips and old == stamp(*chips[tile])}
    if 2 * len(same) <= max(len(sources), len(chips)) or config.storage == "jpeg":
        return None
    from segchips.tally import Tally

    with suppress(RecordError, OSError, LookupError):
        tally = Tally.read(tally_beside(index))
        entries = {entry.tile: entry for entry in read_index(index) if entry.state == MADE}
        old = Kept(shard_beside(index), config.compression, entries, tally)
        if tally.is_divisible and all(checksum(old.record(tile)) == sources[tile][0] for tile in entries):
            _without(tally, (old.record(tile) for tile in entries if tile not in same), config)
            return Kept(old.shard, old.compression, {tile: entries[tile] for tile in same}, tally)
    return None
