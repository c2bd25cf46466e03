"""Reuse of the records of unchanged chips when a shard is written again.

A hidden file beside a shard says what each record was made from. If that file is missing or belongs to other files, or
the shard is damaged, no record is reused.
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
from segchips.records.dataset_info import ChipLayout, DatasetInfo, image_key, image_prefix, label_key, target_prefix
from segchips.records.file_names import counts_path, provenance_path, shard_path
from segchips.records.shard_index import IndexEntry, read_index
from segchips.records.tf_example import decode
from segchips.records.tfrecord import checksum, read_record
from segchips.tiles.assignment import MADE

if TYPE_CHECKING:
    from segchips.arrays import Pixels
    from segchips.config.tfrecords import TFRecordsConfig
    from segchips.records.part_counts import PartCounts
    from segchips.records.record_encoding import RecordParts
    from segchips.records.tf_example import Piece

FileIdentity = list[list[int]]
"""Inode, size, modification time and change time (nanoseconds) of each file."""
RecordSources = Mapping[str, tuple[int, FileIdentity]]
"""By tile, the checksum of its record and the identity of the chips that it was made from."""
_TIMESTAMP_MARGIN = 2.0
"""Seconds within which a file system may give two versions of a file the same times."""


def file_identity(*paths: str) -> FileIdentity:
    """What distinguishes these files from other versions of them; empty if a file cannot be opened."""
    identity = []
    with suppress(OSError):
        for path in paths:
            with open(path, "rb", buffering=0) as stream:  # NFS may report outdated values of a file that is not open
                status = os.fstat(stream.fileno())
            identity.append([status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns])
        return identity
    return []


@dataclass
class ShardProvenance:
    """What the records of a shard are made from.

    Attributes:
        recipe: A text that stands for all that a record depends on but its chips.
        sources: The checksum of each tile's record, and the identity of its chips.
    """

    recipe: str
    sources: dict[str, tuple[int, FileIdentity]] = field(default_factory=dict)

    def add(self, tile: str, record: Iterable[Piece], chips: FileIdentity) -> None:
        """Add a record; without its chips if they are so new that another version could have the same times."""
        newest = max((max(times) for _, _, *times in chips), default=0)
        self.sources[tile] = checksum(*record), chips if newest < (time.time() - _TIMESTAMP_MARGIN) * 1e9 else []

    def save(self, index: Path) -> None:
        """Write the provenance beside the index, with the digests of index and pixel counts."""
        content = {"recipe": self.recipe, "beside": _sidecar_digests(index), "sources": self.sources}
        atomic_write(provenance_path(index), json.dumps(content))


def _sidecar_digests(index: Path) -> list[str]:
    return [content_digest(index), content_digest(counts_path(index))]


def _recorded_sources(index: Path, recipe: str) -> RecordSources:
    """The sources of a shard's records; empty if its recipe, index or pixel counts are not the recorded ones."""
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        content = json.loads(provenance_path(index).read_bytes())
        if (content["recipe"], content["beside"]) == (recipe, _sidecar_digests(index)):
            return {tile: (crc, chips) for tile, (crc, chips) in content["sources"].items()}
    return {}


@dataclass(frozen=True)
class ReusableRecords:
    """Records of a shard to copy into the one that replaces it.

    Attributes:
        shard: The path of the shard.
        compression: Its compression.
        entries: The index entry of each record, by tile.
        counts: The pixel counts of the records' chips.
    """

    shard: Path
    compression: str | None
    entries: Mapping[str, IndexEntry]
    counts: PartCounts

    def record(self, tile: str) -> bytes:
        """Read a record; RecordError if the shard is damaged."""
        entry = self.entries[tile]
        return read_record(self.shard, entry.offset or 0, entry.length or 0, self.compression)


def _layout(features: Mapping[str, Any], prefix: str, sizes: Sequence[str]) -> ChipLayout:
    """The layout of an image or label, taken from its record alone."""
    shape = tuple(features[f"{prefix}/{size}"] for size in sizes)
    if steps := features.get(f"{prefix}/steps"):
        shape = (len(json.loads(bytes(steps))), *shape)
    return ChipLayout(bytes(features[f"{prefix}/dtype"]).decode(), shape, "", None)


def _decode_chips(record: bytes, config: TFRecordsConfig, parts: RecordParts) -> tuple[list[Pixels], list[Pixels]]:
    """Decode the images and labels of a record, the steps of a time series as bands."""
    from segchips.records.record_decoding import decode_example, steps_as_bands

    features: dict[str, Any] = decode(record)
    images = {layer: _layout(features, image_prefix(layer), ("height", "width", "channels")) for layer in parts.layers}
    labels = {target: _layout(features, target_prefix(target), ("height", "width")) for target in parts.targets}
    info = DatasetInfo("", config.storage, config.compression, {}, images, labels, {})
    example = decode_example(record, info)
    return (
        [steps_as_bands(example[image_key(layer)]) for layer in images],
        [example[label_key(target)] for target in labels],
    )


def _subtract_records(
    counts: PartCounts, records: Iterable[bytes], config: TFRecordsConfig, parts: RecordParts
) -> None:
    from segchips.records.part_counts import PartCounts

    nodata = [of_layer.nodata if (of_layer := counts.of_layer(layer)) else None for layer in parts.layers]
    replaced = PartCounts(parts.layers, parts.targets)
    for record in records:
        replaced.add(*_decode_chips(record, config, parts), nodata)
    counts.subtract(replaced)


def find_reusable_records(
    index: Path, chips: Mapping[str, Sequence[str]], config: TFRecordsConfig, recipe: str, parts: RecordParts
) -> ReusableRecords | None:
    """Find the records of a shard whose chips have not changed.

    Args:
        index: The index of the shard.
        chips: The paths of the chips that the new shard is made from, by tile.
        config: How records are stored.
        recipe: A text that stands for all that a record depends on but its chips.
        parts: The names of layers and targets.

    Returns:
        The records, or None if there are none, or too few to be faster than a new shard.
    """
    sources = _recorded_sources(index, recipe)
    unchanged = {
        tile
        for tile, (_, identity) in sources.items()
        if identity and tile in chips and identity == file_identity(*chips[tile])
    }
    if 2 * len(unchanged) <= max(len(sources), len(chips)) or config.storage == "jpeg":
        return None
    from segchips.records.part_counts import PartCounts

    with suppress(RecordError, OSError, LookupError):
        counts = PartCounts.read(counts_path(index), parts.layers, parts.targets)
        entries = {entry.tile: entry for entry in read_index(index) if entry.state == MADE}
        old = ReusableRecords(shard_path(index), config.compression, entries, counts)
        if counts.is_divisible and all(checksum(old.record(tile)) == sources[tile][0] for tile in entries):
            _subtract_records(counts, (old.record(tile) for tile in entries if tile not in unchanged), config, parts)
            return ReusableRecords(old.shard, old.compression, {tile: entries[tile] for tile in unchanged}, counts)
    return None
