"""Shards: the records of chip pairs in a TFRecord file, with an index and, on request, pixel counts.

TensorFlow Datasets opens uncompressed shards only: it has no option for GZIP or ZLIB and reports such files as
corrupted. `segchips.load` and `tf.data.TFRecordDataset` read all of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

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
    RecordParts,
    describe_layout,
    make_record,
    record_order,
    valid_mask,
)
from segchips.records.reuse import FileIdentity, ReusableRecords, ShardProvenance, file_identity, find_reusable_records
from segchips.records.shard_index import IndexEntry, write_index
from segchips.records.tf_example import decode
from segchips.records.tfrecord import RecordWriter
from segchips.tiles.assignment import EXCLUDED, MADE, REJECTED, TOO_FEW_VALID

if TYPE_CHECKING:
    from segchips.config.tfrecords import TFRecordsConfig
    from segchips.records.chip_values import ValueRules
    from segchips.records.part_counts import PartCounts


def _below_min_valid(header: ChipHeader, layer: str, min_valid: float) -> str:
    """Why the chip of a layer has too few valid pixels; empty if it has enough."""
    if not min_valid:
        return ""
    if header.valid is None:
        raise InputError(
            f"{header.path} has no tag VALID, its share of valid pixels, which min_valid needs; make the chip again"
        )
    if header.valid >= min_valid:
        return ""
    return f"{layer}{': ' if layer else ''}{header.valid} of the pixels are valid, min_valid is {min_valid}"


def _check_same_layout(headers: PairHeaders, reference: PairHeaders) -> None:
    for header, expected in zip(chain(*headers), chain(*reference), strict=True):
        if (header.layout, len(header.steps)) != (expected.layout, len(expected.steps)):
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
        min_valid: For each layer, the share of valid pixels below which a tile is left out; empty sets no limit.
        reference: The headers of a good pair. With it, a chip that cannot become a record, or differs from it in
            layout, is rejected in the index; without it, such a chip is an error.
        excluded: The reasons of tiles that have no chips, which the index lists.
        count_pixels: Whether to write pixel counts beside the index.
        unknown: As for `make_record`.
        recipe: A text that stands for all that a record depends on but its chips. Without it, no record of the shard
            that this one replaces is reused.
        parts: The names of layers and targets.
        values: What the values of chips made elsewhere become; None for chips made here.
    """

    shard: Path
    index: Path
    pairs: Sequence[ChipPair]
    split: str
    config: TFRecordsConfig
    min_valid: Sequence[float] = ()
    reference: PairHeaders | None = None
    excluded: Mapping[str, str] = field(default_factory=dict)
    count_pixels: bool = False
    unknown: Sequence[int | None] = ()
    recipe: str = ""
    parts: RecordParts = RecordParts()
    values: ValueRules | None = None

    def reusable_records(self) -> ReusableRecords | None:
        """The records of the shard at this path that are still valid."""
        chips = {pair.name: pair.files for pair in self.pairs}
        return find_reusable_records(self.index, chips, self.config, self.recipe, self.parts) if self.recipe else None


class _ShardWriter:
    """Writes one shard to an open file.

    Attributes:
        provenance: What each record was made from.
        made: The number of records made from chips so far.
        identifiers: The identifier of each record of a chip made elsewhere, by its name.
    """

    def __init__(self, spec: ShardSpec, stream: BinaryIO) -> None:
        self._spec, self._reference, self._reusable = spec, spec.reference, spec.reusable_records()
        self._writer = RecordWriter(stream, spec.config.compression)
        self._counts: PartCounts | None = None
        self._nodata: list[float | None] = []
        self.provenance = ShardProvenance(spec.recipe)
        self.made = 0
        self.identifiers: dict[str, str] = {}

    @property
    def reused(self) -> int:
        """The number of records that are copied from the shard that this one replaces."""
        return len(self._reusable.entries) if self._reusable else 0

    def write_records(self) -> Iterator[IndexEntry]:
        """Write the records, and yield the entry of each for the index."""
        for pair in self._spec.pairs:
            identity = file_identity(*pair.files) if self._spec.recipe else []
            if self._reusable and pair.name in self._reusable.entries:
                yield self._copy(self._reusable, pair, identity)
            else:
                yield self._make(pair, identity)
        for name, reason in self._spec.excluded.items():
            yield IndexEntry(name, EXCLUDED, reason, None)
        self._writer.finish()

    def _copy(self, reusable: ReusableRecords, pair: ChipPair, identity: FileIdentity) -> IndexEntry:
        if not self._reference:
            images, labels = (
                tuple(read_header(path, pair.sidecars) for path in paths) for paths in (pair.images, pair.labels)
            )
            self._reference = images, labels
        pieces = [reusable.record(pair.name)]
        if self._spec.values:
            features: dict[str, Any] = decode(pieces[0])
            self.identifiers[pair.name] = bytes(features["identifier"]).decode()
        self.provenance.add(pair.name, pieces, identity)
        offset, length = self._writer.write(pieces)
        return replace(reusable.entries[pair.name], offset=offset, length=length)

    def _make(self, pair: ChipPair, identity: FileIdentity) -> IndexEntry:
        spec = self._spec
        try:
            record = make_record(pair, spec.split, spec.config, spec.unknown, spec.parts, spec.values)
            self._reference = self._reference or record.headers
            _check_same_layout(record.headers, self._reference)
        except InputError as error:
            if spec.reference is None:
                raise
            reason = _shorten_paths(error, *pair.paths, *(header.path for header in chain(*spec.reference)))
            return IndexEntry(pair.name, REJECTED, reason, None)
        images, _ = record.headers
        valid = self._least_valid(images)
        for layer, image, limit in zip(spec.parts.layers, images, spec.min_valid, strict=False):
            if reason := _below_min_valid(image, layer, limit):
                return IndexEntry(pair.name, TOO_FEW_VALID, reason, valid)
        if spec.count_pixels:
            self._count(pair, record)
        if spec.recipe:
            self.provenance.add(pair.name, record.pieces, identity)
        self.made += 1
        place = self._writer.write(record.pieces)
        acquired = tuple(sorted({time for image in images for time in image.acquired}))
        scenes = tuple(dict.fromkeys(scene for image in images for scene in image.scenes))
        if spec.values:
            self.identifiers[pair.name] = record.identifier
        notes = [_shorten_paths(record.note, *pair.paths)] if record.note else []
        skipped = dict.fromkeys(f"{product}/{scene}" for image in images for product, scene in image.skipped)
        notes += [f"without scenes that cannot be read: {', '.join(skipped)}"] if skipped else []
        return IndexEntry(pair.name, MADE, "; ".join(notes), valid, *place, acquired, scenes)

    def _least_valid(self, images: Sequence[ChipHeader]) -> float | None:
        """The least share of valid pixels among the layers that are not optional; None where no chip says it."""
        layers = zip(self._spec.parts.layers, images, strict=True)
        required = [image.valid for layer, image in layers if layer not in self._spec.parts.optional]
        return min((share for share in required if share is not None), default=None)

    def _count(self, pair: ChipPair, record: Record) -> None:
        from segchips.records.part_counts import PartCounts

        if self._counts is None:
            self._counts = PartCounts(self._spec.parts.layers, self._spec.parts.targets)
            own = [self._spec.values.nodata] if self._spec.values else None
            self._nodata = own or [chip_layout(header).nodata for header in record.headers[0]]
        images, labels = (
            [
                read_chip(path, pair.sidecars)[1] if pixels is None else pixels
                for path, pixels in zip(paths, decoded, strict=True)
            ]
            for paths, decoded in ((pair.images, record.images), (pair.labels, record.labels))
        )
        headers = zip(record.headers[0], self._nodata, strict=True)
        valid = [valid_mask(header) if nodata is None else None for header, nodata in headers]
        if self._spec.values:
            valid = [record.valid]
        self._counts.add(images, labels, self._nodata, valid)

    def pixel_counts(self) -> PartCounts:
        """The counts of all chips in the shard, once its records are written."""
        from segchips.records.part_counts import PartCounts

        parts = self._spec.parts
        counts = self._reusable.counts if self._reusable else PartCounts(parts.layers, parts.targets)
        if self._counts:
            counts.merge(self._counts)
        return counts


def write_shard_file(spec: ShardSpec) -> tuple[int, int]:
    """Write a shard and its index.

    Returns:
        How many records were made from chips, and how many were reused from the shard that was replaced.

    Raises:
        InputError: A chip cannot become a record, and the spec has no reference.
    """
    writer = _write(spec)
    return writer.made, writer.reused


def _write(spec: ShardSpec) -> _ShardWriter:
    with atomic_path(spec.shard) as part, atomic_path(spec.index) as index_part, part.open("wb") as stream:
        writer = _ShardWriter(spec, stream)
        write_index(index_part, writer.write_records())
        if spec.count_pixels:
            writer.pixel_counts().save(counts_path(spec.index))
    if spec.recipe:
        writer.provenance.save(spec.index)
    return writer


class WrittenShards(NamedTuple):
    """What became of shards of chips made elsewhere.

    Attributes:
        identifiers: The identifier of each record by the name of its chip.
        made: The number of records made from chips.
        reused: The number of records copied from the shards that were replaced.
    """

    identifiers: dict[str, str]
    made: int
    reused: int


def write_shard_files(specs: Iterable[ShardSpec]) -> WrittenShards:
    """Write shards of chips made elsewhere one after another."""
    identifiers: dict[str, str] = {}
    made = reused = 0
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Dataset has no geotransform")
        for spec in specs:
            writer = _write(spec)
            identifiers |= writer.identifiers
            made, reused = made + writer.made, reused + writer.reused
    return WrittenShards(identifiers, made, reused)


def write_shard(
    shard: Path,
    index: Path,
    tiles: Sequence[str],
    images: Mapping[str, Path],
    labels: Mapping[str, Path],
    split: str,
    config: TFRecordsConfig,
    min_valid: Sequence[float],
    excluded: Mapping[str, str] | None = None,
    unknown: Sequence[int | None] = (),
    recipe: str = "",
    optional: Sequence[str] = (),
) -> tuple[int, int]:
    """Write the shard of these tiles, with its index and pixel counts.

    Args:
        shard: The path of the shard.
        index: The path of its index.
        tiles: The tile keys; records are in an order that depends on the keys alone.
        images: The folder of image chips of each layer, named after their tiles.
        labels: The folder of label chips of each target, named after their tiles.
        split: The split that the shard belongs to.
        config: How records are stored.
        min_valid: For each layer, the share of valid pixels below which a tile is left out and the index says so.
        excluded: The reasons of tiles without an image chip, by tile key.
        unknown: For each target, the value of label pixels where an image has no valid pixel; None leaves labels as
            they are.
        recipe: A text that stands for all that a record depends on but its chips. If the shard that is there has the
            same, records of unchanged chips are reused.
        optional: The layers whose chips may lack valid pixels.

    Returns:
        How many records were made from chips, and how many were reused.

    Raises:
        InputError: A chip cannot be read, or differs from the others in size, bands or dtype.
    """
    excluded = excluded or {}
    files = {tile: chip_filename(tile) for tile in record_order(set(tiles) - excluded.keys())}
    pairs = [
        ChipPair(
            tile,
            tuple(f"{folder}/{name}" for folder in images.values()),
            tuple(f"{folder}/{name}" for folder in labels.values()),
        )
        for tile, name in files.items()
    ]
    parts = RecordParts(tuple(images), tuple(labels), tuple(optional))
    return write_shard_file(
        ShardSpec(shard, index, pairs, split, config, min_valid, None, excluded, True, unknown, recipe, parts)
    )
