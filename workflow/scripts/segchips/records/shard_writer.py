"""Shards: the records of chip pairs in a TFRecord file, with an index and, on request, pixel counts.

TensorFlow Datasets opens uncompressed shards only: it has no option for GZIP or ZLIB and reports such files as
corrupted. `segchips.load` and `tf.data.TFRecordDataset` read all of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from segchips.errors import InputError
from segchips.files import atomic_path
from segchips.grids.tile import chip_filename
from segchips.records.chip_header import ChipHeader
from segchips.records.chip_reader import read_chip, read_header
from segchips.records.dataset_description import chip_layout
from segchips.records.file_names import counts_path
from segchips.records.record_encoding import (
    ChipPair,
    PairHeaders,
    Record,
    describe_layout,
    make_record,
    record_order,
    valid_mask,
)
from segchips.records.reuse import FileIdentity, ReusableRecords, ShardProvenance, file_identity, find_reusable_records
from segchips.records.shard_index import IndexEntry, write_index
from segchips.records.tfrecord import RecordWriter
from segchips.tiles.assignment import EXCLUDED, MADE, REJECTED, TOO_FEW_VALID

if TYPE_CHECKING:
    from segchips.config.tfrecords import TFRecordsConfig
    from segchips.records.pixel_counts import PixelCounts


def _below_min_valid(header: ChipHeader, min_valid: float) -> str:
    """Why the chip has too few valid pixels; empty if it has enough."""
    if not min_valid:
        return ""
    if header.valid is None:
        raise InputError(
            f"{header.path} has no tag VALID, its share of valid pixels, which min_valid needs; make the chip again"
        )
    return f"{header.valid} of the pixels are valid, min_valid is {min_valid}" if header.valid < min_valid else ""


def _check_same_layout(headers: PairHeaders, reference: PairHeaders) -> None:
    for header, expected in zip(headers, reference, strict=True):
        if header.layout != expected.layout:
            raise InputError(
                f"{header.path} is {describe_layout(header.layout)}, {expected.path} "
                f"{describe_layout(expected.layout)}; all chips of a dataset need the same size, bands and dtype"
            )


def _shorten_paths(message: object, *paths: str | Path) -> str:
    """The message with only folder and file name of these paths."""
    text = str(message)
    for path in map(Path, paths):
        text = text.replace(str(path), f"{path.parent.name}/{path.name}")
    return text


@dataclass(frozen=True)
class ShardSpec:
    """A shard to write.

    Attributes:
        shard: The path of the TFRecord file.
        index: The path of its index.
        pairs: The chips, in the order of their records.
        split: The split that the shard belongs to.
        config: How records are stored.
        min_valid: The share of valid pixels below which a chip is left out.
        reference: The headers of a good pair. With it, a chip that cannot become a record, or differs from it in
            layout, is rejected in the index; without it, such a chip is an error.
        excluded: The reasons of tiles that have no chips, which the index lists.
        count_pixels: Whether to write pixel counts beside the index.
        unknown: As for `make_record`.
        recipe: A text that stands for all that a record depends on but its chips. Without it, no record of the shard
            that this one replaces is reused.
    """

    shard: Path
    index: Path
    pairs: Sequence[ChipPair]
    split: str
    config: TFRecordsConfig
    min_valid: float = 0.0
    reference: PairHeaders | None = None
    excluded: Mapping[str, str] = field(default_factory=dict)
    count_pixels: bool = False
    unknown: int | None = None
    recipe: str = ""

    def reusable_records(self) -> ReusableRecords | None:
        """The records of the shard at this path that are still valid."""
        chips = {pair.name: (pair.image, pair.label) for pair in self.pairs}
        return find_reusable_records(self.index, chips, self.config, self.recipe) if self.recipe else None


class _ShardWriter:
    """Writes one shard to an open file.

    Attributes:
        provenance: What each record was made from.
        made: The number of records made from chips so far.
    """

    def __init__(self, spec: ShardSpec, stream: BinaryIO) -> None:
        self._spec, self._reference, self._reusable = spec, spec.reference, spec.reusable_records()
        self._writer = RecordWriter(stream, spec.config.compression)
        self._counts: PixelCounts | None = None
        self.provenance = ShardProvenance(spec.recipe)
        self.made = 0

    @property
    def reused(self) -> int:
        """The number of records that are copied from the shard that this one replaces."""
        return len(self._reusable.entries) if self._reusable else 0

    def write_records(self) -> Iterator[IndexEntry]:
        """Write the records, and yield the entry of each for the index."""
        for pair in self._spec.pairs:
            identity = file_identity(pair.image, pair.label) if self._spec.recipe else []
            if self._reusable and pair.name in self._reusable.entries:
                yield self._copy(self._reusable, pair, identity)
            else:
                yield self._make(pair, identity)
        for name, reason in self._spec.excluded.items():
            yield IndexEntry(name, EXCLUDED, reason, None)
        self._writer.finish()

    def _copy(self, reusable: ReusableRecords, pair: ChipPair, identity: FileIdentity) -> IndexEntry:
        if not self._reference:
            self._reference = read_header(pair.image, pair.sidecars), read_header(pair.label, pair.sidecars)
        pieces = [reusable.record(pair.name)]
        self.provenance.add(pair.name, pieces, identity)
        offset, length = self._writer.write(pieces)
        return replace(reusable.entries[pair.name], offset=offset, length=length)

    def _make(self, pair: ChipPair, identity: FileIdentity) -> IndexEntry:
        spec = self._spec
        try:
            record = make_record(pair, spec.split, spec.config, spec.unknown)
            self._reference = self._reference or record.headers
            _check_same_layout(record.headers, self._reference)
        except InputError as error:
            if spec.reference is None:
                raise
            reason = _shorten_paths(error, pair.image, pair.label, *(header.path for header in spec.reference))
            return IndexEntry(pair.name, REJECTED, reason, None)
        image, _ = record.headers
        if reason := _below_min_valid(image, spec.min_valid):
            return IndexEntry(pair.name, TOO_FEW_VALID, reason, image.valid)
        if spec.count_pixels:
            self._count(pair, record)
        if spec.recipe:
            self.provenance.add(pair.name, record.pieces, identity)
        self.made += 1
        place = self._writer.write(record.pieces)
        return IndexEntry(pair.name, MADE, "", image.valid, *place, image.acquired, image.scenes)

    def _count(self, pair: ChipPair, record: Record) -> None:
        from segchips.records.pixel_counts import PixelCounts

        header, _ = record.headers
        self._counts = self._counts or PixelCounts(header.dtype, header.channels, chip_layout(header).nodata)
        image, label = (
            read_chip(path, pair.sidecars)[1] if pixels is None else pixels
            for path, pixels in ((pair.image, record.image), (pair.label, record.label))
        )
        self._counts.add(image, label, valid_mask(header) if self._counts.nodata is None else None)

    def pixel_counts(self) -> PixelCounts:
        """The counts of all chips in the shard, once its records are written."""
        from segchips.records.pixel_counts import PixelCounts

        if self._reusable and self._counts:
            self._reusable.counts.merge(self._counts)
        return self._reusable.counts if self._reusable else self._counts or PixelCounts("uint8", 0, None)


def write_shard_file(spec: ShardSpec) -> tuple[int, int]:
    """Write a shard and its index.

    Returns:
        How many records were made from chips, and how many were reused from the shard that was replaced.

    Raises:
        InputError: A chip cannot become a record, and the spec has no reference.
    """
    with atomic_path(spec.shard) as part, atomic_path(spec.index) as index_part, part.open("wb") as stream:
        writer = _ShardWriter(spec, stream)
        write_index(index_part, writer.write_records())
        if spec.count_pixels:
            writer.pixel_counts().save(counts_path(spec.index))
    if spec.recipe:
        writer.provenance.save(spec.index)
    return writer.made, writer.reused


def write_shard_files(specs: Iterable[ShardSpec]) -> None:
    """Write shards one after another."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Dataset has no geotransform")
        for spec in specs:
            write_shard_file(spec)


def write_shard(
    shard: Path,
    index: Path,
    tiles: Sequence[str],
    images: Path,
    labels: Path,
    split: str,
    config: TFRecordsConfig,
    min_valid: float,
    excluded: Mapping[str, str] | None = None,
    unknown: int | None = None,
    recipe: str = "",
) -> tuple[int, int]:
    """Write the shard of these tiles, with its index and pixel counts.

    Args:
        shard: The path of the shard.
        index: The path of its index.
        tiles: The tile keys; records are in an order that depends on the keys alone.
        images: The folder of image chips, named after their tiles.
        labels: The folder of label chips, named after their tiles.
        split: The split that the shard belongs to.
        config: How records are stored.
        min_valid: The share of valid pixels below which a tile is left out and the index says so.
        excluded: The reasons of tiles without an image chip, by tile key.
        unknown: The value of label pixels where a band of the image has no valid value; None leaves labels as they are.
        recipe: A text that stands for all that a record depends on but its chips. If the shard that is there has the
            same, records of unchanged chips are reused.

    Returns:
        How many records were made from chips, and how many were reused.

    Raises:
        InputError: A chip cannot be read, or differs from the others in size, bands or dtype.
    """
    excluded = excluded or {}
    files = {tile: chip_filename(tile) for tile in record_order(set(tiles) - excluded.keys())}
    pairs = [ChipPair(tile, f"{images}/{name}", f"{labels}/{name}") for tile, name in files.items()]
    return write_shard_file(
        ShardSpec(shard, index, pairs, split, config, min_valid, None, excluded, True, unknown, recipe)
    )
