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

from segchips.errors import RecordError
from segchips.files import atomic_write, content_digest
from segchips.records.dataset_info import ChipLayout, DatasetInfo
from segchips.records.file_names import counts_path, shard_path
from segchips.records.shard_index import IndexEntry, read_index
from segchips.records.tf_example import decode
from segchips.records.tfrecord import checksum, read_record
from segchips.tiles.assignment import MADE

if TYPE_CHECKING:
    from segchips.config.model import TFRecordsConfig
    from segchips.records.pixel_counts import PixelCounts
    from segchips.records.record_decoding import Example
    from segchips.records.tf_example import Piece

FileIdentity = list[list[int]]
Sources = Mapping[str, tuple[int, FileIdentity]]
"""By tile, the checksum of its record and the stamp of the chips that this was made from."""
_TIMESTAMP_MARGIN = 2.0
"""Seconds within which a file system may give two versions of a file the same times."""


def provenance_path(index: Path) -> Path:
    """The file that tells what the shard of an index was made from."""
    return index.with_name(f".{index.name.removesuffix('.csv').replace('.index-', '.sources-')}.json")


def file_identity(*chips: str) -> FileIdentity:
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
class ShardProvenance:
    """What a shard is made from; `recipe` stands for all but the chips."""

    recipe: str
    sources: dict[str, tuple[int, FileIdentity]] = field(default_factory=dict)

    def add(self, tile: str, record: Iterable[Piece], chips: FileIdentity) -> None:
        """Note a record, without its chips where these are so young that another version could look the same."""
        youngest = max((max(moments) for _, _, *moments in chips), default=0)
        self.sources[tile] = checksum(*record), chips if youngest < (time.time() - _TIMESTAMP_MARGIN) * 1e9 else []

    def save(self, index: Path) -> None:
        """Write them down, with the digests of the index and the tally."""
        content = {"recipe": self.recipe, "beside": _sidecar_digests(index), "sources": self.sources}
        atomic_write(provenance_path(index), json.dumps(content))


def _sidecar_digests(index: Path) -> list[str]:
    return [content_digest(index), content_digest(counts_path(index))]


def _recorded_sources(index: Path, recipe: str) -> Sources:
    """What the shard was made from, where it is of this recipe and its index and tally are those that were written."""
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        notes = json.loads(provenance_path(index).read_bytes())
        if (notes["recipe"], notes["beside"]) == (recipe, _sidecar_digests(index)):
            return {tile: (crc, chips) for tile, (crc, chips) in notes["sources"].items()}
    return {}


@dataclass(frozen=True)
class ReusableRecords:
    """Records to keep of a shard, by tile, and the counts of their chips."""

    shard: Path
    compression: str | None
    entries: Mapping[str, IndexEntry]
    tally: PixelCounts

    def record(self, tile: str) -> bytes:
        """One of the records; RecordError where the shard is damaged."""
        entry = self.entries[tile]
        return read_record(self.shard, entry.offset or 0, entry.length or 0, self.compression)


def _decode_chips(record: bytes, config: TFRecordsConfig) -> Example:
    """The chips in a record, of which only the record tells."""
    from segchips.records.record_decoding import decode_example

    found: dict[str, Any] = decode(record)
    image, label = (
        ChipLayout(bytes(found[f"{kind}/dtype"]).decode(), tuple(found[f"{kind}/{size}"] for size in sizes), "", None)
        for kind, sizes in (("image", ("height", "width", "channels")), ("target", ("height", "width")))
    )
    return decode_example(record, DatasetInfo("", config.storage, config.compression, {}, image, label))


def _subtract_records(tally: PixelCounts, records: Iterable[bytes], config: TFRecordsConfig) -> PixelCounts:
    """The tally after these records are taken out of it."""
    from segchips.records.pixel_counts import PixelCounts

    gone = PixelCounts(tally.dtype.name, tally.bands, tally.nodata)
    for record in records:
        example = _decode_chips(record, config)
        gone.add(example["image"], example["label"])
    tally.subtract(gone)
    return tally


def find_reusable_records(
    index: Path, chips: Mapping[str, Sequence[str]], config: TFRecordsConfig, recipe: str
) -> ReusableRecords | None:
    """What to keep of a shard now that its tiles have these chips; None where that is nothing, or not worth it."""
    sources = _recorded_sources(index, recipe)
    same = {tile for tile, (_, old) in sources.items() if old and tile in chips and old == file_identity(*chips[tile])}
    if 2 * len(same) <= max(len(sources), len(chips)) or config.storage == "jpeg":
        return None
    from segchips.records.pixel_counts import PixelCounts

    with suppress(RecordError, OSError, LookupError):
        tally = PixelCounts.read(counts_path(index))
        entries = {entry.tile: entry for entry in read_index(index) if entry.state == MADE}
        old = ReusableRecords(shard_path(index), config.compression, entries, tally)
        if tally.is_divisible and all(checksum(old.record(tile)) == sources[tile][0] for tile in entries):
            _subtract_records(tally, (old.record(tile) for tile in entries if tile not in same), config)
            return ReusableRecords(old.shard, old.compression, {tile: entries[tile] for tile in same}, tally)
    return None
