"""Chips to TFRecord shards that describe themselves.

TensorFlow Datasets opens uncompressed shards only: it has no switch for GZIP or ZLIB files and reports them as
corrupted. `segchips.load` and `tf.data.TFRecordDataset` read all of them.
"""

from __future__ import annotations

import pickle
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from segchips.errors import InputError, SegchipsError
from segchips.files import atomic_path
from segchips.grids.tile import chip_filename
from segchips.records.chip_header import ChipHeader
from segchips.records.chip_reader import read_chip, read_header
from segchips.records.file_names import counts_path
from segchips.records.reuse import FileIdentity, ReusableRecords, ShardProvenance, file_identity, find_reusable_records
from segchips.records.shard_index import IndexEntry, write_index
from segchips.records.tfrecord import RecordWriter
from segchips.tiles.assignment import EXCLUDED, MADE, REJECTED, TOO_FEW_VALID

if TYPE_CHECKING:
    from segchips.arrays import Pixels
    from segchips.config.model import TFRecordsConfig
    from segchips.records.pixel_counts import PixelCounts
from segchips.records.dataset_description import chip_layout
from segchips.records.record_encoding import ChipPair, ReferenceHeaders, describe_layout, make_record, record_order


def _too_empty(header: ChipHeader, min_valid: float) -> str:
    if not min_valid:
        return ""
    if header.valid is None:
        raise InputError(
            f"{header.path} has no tag VALID, its share of valid pixels, which min_valid needs; make the chip again"
        )
    return f"{header.valid} of the pixels are valid, min_valid is {min_valid}" if header.valid < min_valid else ""


def _check_alike(headers: ReferenceHeaders, like: ReferenceHeaders) -> None:
    for header, other in zip(headers, like, strict=True):
        if header.layout != other.layout:
            raise InputError(
                f"{header.path} is {describe_layout(header.layout)}, {other.path} {describe_layout(other.layout)}; "
                "the chips of a dataset are alike"
            )


def _short(message: object, *paths: str | Path) -> str:
    """A message with only folder and file name of the paths it names."""
    text = str(message)
    for path in map(Path, paths):
        text = text.replace(str(path), f"{path.parent.name}/{path.name}")
    return text


@dataclass(frozen=True)
class ShardSpec:
    """A shard to write with its index and, where it is `counted`, its tally: pairs in the order of their records.

    Excluded tiles are in the index with their reasons. With `like`, headers of a good pair, a chip that cannot become
    a record, or one unlike them, is rejected in the index; without, it is an error. `recipe` stands for all that a
    record depends on but its chips; without it, nothing is kept of the shard that was there.
    """

    shard: Path
    index: Path
    pairs: Sequence[ChipPair]
    split: str
    config: TFRecordsConfig
    min_valid: float = 0.0
    like: ReferenceHeaders | None = None
    excluded: Mapping[str, str] = field(default_factory=dict)
    counted: bool = False
    unknown: int | None = None
    recipe: str = ""

    def keep(self) -> ReusableRecords | None:
        """What to keep of the shard that is there."""
        chips = {pair.name: (pair.image, pair.label) for pair in self.pairs}
        return find_reusable_records(self.index, chips, self.config, self.recipe) if self.recipe else None


class _ShardWriter:
    """A shard on its way into an open file."""

    def __init__(self, job: ShardSpec, stream: BinaryIO) -> None:
        self._job, self._first, self._kept = job, job.like, job.keep()
        self._writer = RecordWriter(stream, job.config.compression)
        self._counts: PixelCounts | None = None
        self._made = 0
        self.notes = ShardProvenance(job.recipe)

    @property
    def records(self) -> tuple[int, int]:
        """How many were made, and how many were kept."""
        return self._made, len(self._kept.entries) if self._kept else 0

    def entries(self) -> Iterator[IndexEntry]:
        """Write the records; the lines of the index."""
        for pair in self._job.pairs:
            chips = file_identity(pair.image, pair.label) if self._job.recipe else []
            if self._kept and pair.name in self._kept.entries:
                yield self._keep(self._kept, pair, chips)
            else:
                yield self._make(pair, chips)
        for name, reason in self._job.excluded.items():
            yield IndexEntry(name, EXCLUDED, reason, None)
        self._writer.finish()

    def _keep(self, kept: ReusableRecords, pair: ChipPair, chips: FileIdentity) -> IndexEntry:
        if not self._first:
            self._first = read_header(pair.image, pair.beside), read_header(pair.label, pair.beside)
        record = [kept.record(pair.name)]
        self.notes.add(pair.name, record, chips)
        offset, length = self._writer.write(record)
        return replace(kept.entries[pair.name], offset=offset, length=length)

    def _make(self, pair: ChipPair, chips: FileIdentity) -> IndexEntry:
        job = self._job
        try:
            headers, record, pixels = make_record(pair, job.split, job.config, job.unknown)
            self._first = self._first or headers
            _check_alike(headers, self._first)
        except InputError as error:
            if job.like is None:
                raise
            reason = _short(error, pair.image, pair.label, *(header.path for header in job.like))
            return IndexEntry(pair.name, REJECTED, reason, None)
        image = headers[0]
        if reason := _too_empty(image, job.min_valid):
            return IndexEntry(pair.name, TOO_FEW_VALID, reason, image.valid)
        if job.counted:
            self._count(headers, pixels, pair.beside)
        if job.recipe:
            self.notes.add(pair.name, record, chips)
        self._made += 1
        return IndexEntry(pair.name, MADE, "", image.valid, *self._writer.write(record), image.acquired, image.scenes)

    def _count(self, headers: ReferenceHeaders, pixels: Sequence[Pixels | None], beside: int) -> None:
        from segchips.records.pixel_counts import PixelCounts

        image, label = (
            read_chip(one.path, beside)[1] if known is None else known
            for one, known in zip(headers, pixels, strict=True)
        )
        self._counts = self._counts or PixelCounts(
            headers[0].dtype, headers[0].channels, chip_layout(headers[0]).nodata
        )
        self._counts.add(image, label)

    def tally(self) -> PixelCounts:
        """The counts of all chips in the shard."""
        from segchips.records.pixel_counts import PixelCounts

        if self._kept and self._counts:
            self._kept.tally.merge(self._counts)
        return self._kept.tally if self._kept else self._counts or PixelCounts("uint8", 0, None)


def write_shard_file(job: ShardSpec) -> tuple[int, int]:
    """Write a shard and its index; InputError names a chip that cannot become a record.

    Gives back how many records were made, and how many were kept of the shard that was there.
    """
    with atomic_path(job.shard) as part, atomic_path(job.index) as index_part, part.open("wb") as stream:
        writing = _ShardWriter(job, stream)
        write_index(index_part, writing.entries())
        if job.counted:
            writing.tally().save(counts_path(job.index))
    if job.recipe:
        writing.notes.save(job.index)
    return writing.records


def write_shard_files(jobs: Iterable[ShardSpec]) -> None:
    """Write shards one after another."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Dataset has no geotransform")
        for job in jobs:
            write_shard_file(job)


def work() -> None:
    """What a worker process does: run the jobs of standard input and answer with the error that stopped it, if any.

    It is told the storage; where that needs a decoder, this is imported before the jobs are known.
    """
    if sys.argv[1] != "encoded":
        import imagecodecs

        _ = imagecodecs.tiff_decode
    answer: Exception | None = None
    try:
        write_shard_files(pickle.load(sys.stdin.buffer))
    except (SegchipsError, OSError) as error:
        answer = error
    except KeyboardInterrupt:
        sys.exit(130)
    sys.stdout.buffer.write(pickle.dumps(answer))


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
    """Write the shard of these tile keys, in seeded order, its index and tally; chips are `<key, '#' for ':'>.tif`.

    Excluded tiles have no image chip; the index tells the reasons given.

    Where a band of an image has no valid value, the label becomes `unknown`. A chip below `min_valid` is left out and
    says so in the index; an unreadable or ill-fitting chip is an InputError. Where the shard was written by the same
    `recipe`, which stands for all that a record depends on but its chips, records of unchanged chips are kept. Gives
    back how many records were made, and how many were kept.
    """
    excluded = excluded or {}
    files = {tile: chip_filename(tile) for tile in record_order(set(tiles) - excluded.keys())}
    pairs = [ChipPair(tile, f"{images}/{name}", f"{labels}/{name}") for tile, name in files.items()]
    return write_shard_file(
        ShardSpec(shard, index, pairs, split, config, min_valid, None, excluded, True, unknown, recipe)
    )
