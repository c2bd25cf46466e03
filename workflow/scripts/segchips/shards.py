"""Chips to TFRecord shards that describe themselves.

TensorFlow Datasets opens uncompressed shards only: it has no switch for GZIP or ZLIB files and reports them as
corrupted. `segchips.load` and `tf.data.TFRecordDataset` read all of them.
"""

from __future__ import annotations

import json
import pickle
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os.path import basename
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from segchips.chipfiles import ALONE, Header, encode_like, open_chip, read_chip, read_file, read_header
from segchips.description import (
    BELOW,
    EXCLUDED,
    MADE,
    REJECTED,
    Entry,
    Info,
    Layout,
    draw,
    index_name,
    read_index,
    shard_beside,
    shard_name,
    tally_beside,
    write_description,
    write_index,
)
from segchips.errors import InputError, SegchipsError
from segchips.files import whole
from segchips.kept import Kept, Notes, Stamp, keep, stamp
from segchips.records import RecordWriter, array_bytes, decode, encode, read_record

if TYPE_CHECKING:
    from segchips.chipfiles import Pixels
    from segchips.config import TFRecordsConfig
    from segchips.records import Piece, Value
    from segchips.tally import Tally

__all__ = ["Pair", "index_name", "shard_name", "write_info", "write_records", "write_shard"]

Like = tuple[Header, Header]
_FLOAT32_HOLDS = ("uint8", "int8", "uint16", "int16", "float32")


@dataclass(frozen=True)
class Pair:
    """An image chip and its label chip under one name, a tile key or that of the files."""

    name: str
    image: str
    label: str
    is_tile: bool = True
    beside: int = ALONE


def order(names: Iterable[str]) -> list[str]:
    """The seeded order of records within a shard."""
    return sorted(names, key=lambda name: draw(name, b"order"))


def _floats(header: Header, pixels: Pixels) -> Pixels:
    """As float32; InputError where that would change a value."""
    import numpy as np

    with np.errstate(over="ignore"):
        floats = pixels.astype(np.float32)
    if header.dtype == "float64":
        exact = np.array_equal(floats, pixels, equal_nan=True)
    else:
        exact = header.dtype in _FLOAT32_HOLDS or bool(np.all((pixels <= 2**24) & (pixels >= -(2**24))))
    if not exact:
        raise InputError(f"{header.path} has {header.dtype} values that float32 cannot hold; use storage array")
    return floats


def _picture(header: Header, pixels: Pixels, storage: str, quality: int) -> bytes:
    import imagecodecs
    import numpy as np

    if header.dtype != "uint8" or header.channels not in (1, 3):
        raise InputError(f"{header.path} is {_text(header.layout)}; storage {storage} takes 1 or 3 bands of uint8")
    plane = np.ascontiguousarray(pixels[..., 0] if header.channels == 1 else pixels)
    if storage == "jpeg":
        return bytes(imagecodecs.jpeg8_encode(plane, level=quality))
    return bytes(imagecodecs.png_encode(plane, strategy=imagecodecs.PNG.STRATEGY.RLE))


def _stored(path: str, beside: int, storage: str, quality: int) -> tuple[Header, Value, Pixels | None]:
    """A chip's header, what a record holds of it, and its pixels where they were decoded."""
    if storage == "encoded":
        return *read_file(path, beside), None
    header, pixels = read_chip(path, beside)
    return header, _value(header, pixels, storage, quality), pixels


def _value(header: Header, pixels: Pixels, storage: str, quality: int) -> Value:
    if storage == "array":
        return array_bytes(pixels)
    if storage == "encoded":
        return encode_like(header.path, pixels)
    return _floats(header, pixels) if storage == "float" else _picture(header, pixels, storage, quality)


def _unseen(image: Header) -> Pixels | None:
    """Where (height x width) some band of the image has no valid value; None where there is no such pixel."""
    if image.valid is None or image.valid == 1:
        return None
    with open_chip(image.path) as source:
        unseen: Pixels = (source.read_masks() == 0).any(axis=0)
    return unseen if unseen.any() else None


def _unknown(label: Header, pixels: Pixels | None, unseen: Pixels, beside: int, value: int) -> Pixels:
    """The label's pixels with `value` where the image shows nothing."""
    import numpy as np

    known = read_chip(label.path, beside)[1] if pixels is None else pixels
    return np.where(unseen[..., None], np.array(value, known.dtype), known)


def _text(layout: tuple[int, int, int, str]) -> str:
    height, width, channels, dtype = layout
    return f"{width} x {height} pixels with {channels} band{'s'[: channels != 1]} of {dtype}"


def _check_label(image: Header, label: Header) -> None:
    if label.layout != (image.height, image.width, 1, label.dtype):
        raise InputError(
            f"{label.path} is {_text(label.layout)}; "
            f"the label of {image.path} has 1 band of {image.width} x {image.height} pixels"
        )


def make_record(
    pair: Pair, split: str, config: TFRecordsConfig, unknown: int | None = None
) -> tuple[Like, list[Piece], tuple[Pixels | None, Pixels | None]]:
    """A pair's headers, its serialized record in pieces and its pixels where they were decoded.

    Where a band of the image has no valid value, the label becomes `unknown`, unless that is None. InputError names a
    chip that cannot become a record.
    """
    image, image_data, image_pixels = _stored(pair.image, pair.beside, config.storage, config.quality)
    lossless = "png" if config.storage == "jpeg" else config.storage
    label, label_data, label_pixels = _stored(pair.label, pair.beside, lossless, config.quality)
    _check_label(image, label)
    if unknown is not None and (unseen := _unseen(image)) is not None:
        label_pixels = _unknown(label, label_pixels, unseen, pair.beside, unknown)
        label_data = _value(label, label_pixels, lossless, config.quality)
    transform = list(image.geotransform)
    features: dict[str, Value] = {
        "image/image_data": image_data,
        "image/height": image.height,
        "image/width": image.width,
        "image/channels": image.channels,
        "image/dtype": image.dtype,
        "target/target_data": label_data,
        "target/height": label.height,
        "target/width": label.width,
        "target/dtype": label.dtype,
        "identifier": pair.name if pair.is_tile else f"{basename(pair.image)}|{transform}|{image.crs}",
        "crs": image.crs,
        "transform": " ".join(map(repr, transform)),
        "split": split,
        "bands": json.dumps(image.bands),
        "acquired": json.dumps(image.acquired),
    }
    return (image, label), encode(features), (image_pixels, label_pixels)


def _too_empty(header: Header, min_valid: float) -> str:
    if not min_valid:
        return ""
    if header.valid is None:
        raise InputError(
            f"{header.path} has no tag VALID, its share of valid pixels, which min_valid needs; make the chip again"
        )
    return f"{header.valid} of the pixels are valid, min_valid is {min_valid}" if header.valid < min_valid else ""


def _check_alike(headers: Like, like: Like) -> None:
    for header, other in zip(headers, like, strict=True):
        if header.layout != other.layout:
            raise InputError(
                f"{header.path} is {_text(header.layout)}, {other.path} {_text(other.layout)}; "
                "the chips of a dataset are alike"
            )


def _short(message: object, *paths: str | Path) -> str:
    """A message with only folder and file name of the paths it names."""
    text = str(message)
    for path in map(Path, paths):
        text = text.replace(str(path), f"{path.parent.name}/{path.name}")
    return text


@dataclass(frozen=True)
class Job:
    """A shard to write with its index and, where it is `counted`, its tally: pairs in the order of their records.

    Excluded tiles are in the index with their reasons. With `like`, headers of a good pair, a chip that cannot become
    a record, or one unlike them, is rejected in the index; without, it is an error. `recipe` stands for all that a
    record depends on but its chips; without it, nothing is kept of the shard that was there.
    """

    shard: Path
    index: Path
    pairs: Sequence[Pair]
    split: str
    config: TFRecordsConfig
    min_valid: float = 0.0
    like: Like | None = None
    excluded: Mapping[str, str] = field(default_factory=dict)
    counted: bool = False
    unknown: int | None = None
    recipe: str = ""

    def keep(self) -> Kept | None:
        """What to keep of the shard that is there."""
        chips = {pair.name: (pair.image, pair.label) for pair in self.pairs}
        return keep(self.index, chips, self.config, self.recipe) if self.recipe else None


class _Writing:
    """A shard on its way into an open file."""

    def __init__(self, job: Job, stream: BinaryIO) -> None:
        self._job, self._first, self._kept = job, job.like, job.keep()
        self._writer = RecordWriter(stream, job.config.compression)
        self._counts: Tally | None = None
        self._made = 0
        self.notes = Notes(job.recipe)

    @property
    def records(self) -> tuple[int, int]:
        """How many were made, and how many were kept."""
        return self._made, len(self._kept.entries) if self._kept else 0

    def entries(self) -> Iterator[Entry]:
        """Write the records; the lines of the index."""
        for pair in self._job.pairs:
            chips = stamp(pair.image, pair.label) if self._job.recipe else []
            if self._kept and pair.name in self._kept.entries:
                yield self._keep(self._kept, pair, chips)
            else:
                yield self._make(pair, chips)
        for name, reason in self._job.excluded.items():
            yield Entry(name, EXCLUDED, reason, None)
        self._writer.finish()

    def _keep(self, kept: Kept, pair: Pair, chips: Stamp) -> Entry:
        if not self._first:
            self._first = read_header(pair.image, pair.beside), read_header(pair.label, pair.beside)
        record = [kept.record(pair.name)]
        self.notes.add(pair.name, record, chips)
        offset, length = self._writer.write(record)
        return replace(kept.entries[pair.name], offset=offset, length=length)

    def _make(self, pair: Pair, chips: Stamp) -> Entry:
        job = self._job
        try:
            headers, record, pixels = make_record(pair, job.split, job.config, job.unknown)
            self._first = self._first or headers
            _check_alike(headers, self._first)
        except InputError as error:
            if job.like is None:
                raise
            reason = _short(error, pair.image, pair.label, *(header.path for header in job.like))
            return Entry(pair.name, REJECTED, reason, None)
        image = headers[0]
        if reason := _too_empty(image, job.min_valid):
            return Entry(pair.name, BELOW, reason, image.valid)
        if job.counted:
            self._count(headers, pixels, pair.beside)
        if job.recipe:
            self.notes.add(pair.name, record, chips)
        self._made += 1
        return Entry(pair.name, MADE, "", image.valid, *self._writer.write(record), image.acquired, image.scenes)

    def _count(self, headers: Like, pixels: Sequence[Pixels | None], beside: int) -> None:
        from segchips.tally import Tally

        image, label = (
            read_chip(one.path, beside)[1] if known is None else known
            for one, known in zip(headers, pixels, strict=True)
        )
        self._counts = self._counts or Tally(headers[0].dtype, headers[0].channels, _layout(headers[0]).nodata)
        self._counts.add(image, label)

    def tally(self) -> Tally:
        """The counts of all chips in the shard."""
        from segchips.tally import Tally

        if self._kept and self._counts:
            self._kept.tally.merge(self._counts)
        return self._kept.tally if self._kept else self._counts or Tally("uint8", 0, None)


def write_records(job: Job) -> tuple[int, int]:
    """Write a shard and its index; InputError names a chip that cannot become a record.

    Gives back how many records were made, and how many were kept of the shard that was there.
    """
    with whole(job.shard) as part, whole(job.index) as index_part, part.open("wb") as stream:
        writing = _Writing(job, stream)
        write_index(index_part, writing.entries())
        if job.counted:
            writing.tally().save(tally_beside(job.index))
    if job.recipe:
        writing.notes.save(job.index)
    return writing.records


def run_jobs(jobs: Iterable[Job]) -> None:
    """Write shards one after another."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Dataset has no geotransform")
        for job in jobs:
            write_records(job)


def work() -> None:
    """What a worker process does: run the jobs of standard input and answer with the error that stopped it, if any.

    It is told the storage; where that needs a decoder, this is imported before the jobs are known.
    """
    if sys.argv[1] != "encoded":
        import imagecodecs

        _ = imagecodecs.tiff_decode
    answer: Exception | None = None
    try:
        run_jobs(pickle.load(sys.stdin.buffer))
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
    files = {tile: f"{tile.replace(':', '#')}.tif" for tile in order(set(tiles) - excluded.keys())}
    pairs = [Pair(tile, f"{images}/{name}", f"{labels}/{name}") for tile, name in files.items()]
    return write_records(Job(shard, index, pairs, split, config, min_valid, None, excluded, True, unknown, recipe))


def _layout(header: Header) -> Layout:
    shape = header.height, header.width, header.channels
    if header.bare:
        return Layout(header.dtype, shape, "GTiff", None, (None,) * header.channels)
    with open_chip(header.path) as source:
        return Layout(header.dtype, shape, source.driver, source.nodata, tuple(source.descriptions))


def _check_shard(index: Path, image: Layout, compression: str | None) -> tuple[int, int]:
    """The number of records and bytes of a shard, whose chips must have this layout."""
    made = [entry for entry in read_index(index) if entry.state == MADE]
    if made:
        place = made[0].offset or 0, made[0].length or 0
        record: dict[str, Any] = decode(read_record(shard_beside(index), *place, compression))
        size = (record[f"image/{key}"] for key in ("height", "width", "channels"))
        found: Any = (*size, bytes(record["image/dtype"]).decode())
        expected: Any = (*image.shape, image.dtype)
        if found != expected:
            raise InputError(
                f"tile {made[0].tile} is {_text(found)}, others {_text(expected)}; the chips of a dataset are alike"
            )
    return len(made), sum(entry.length or 0 for entry in made)


def describe(
    directory: Path,
    dataset: str,
    config: TFRecordsConfig,
    indices: Mapping[str, Sequence[Path]],
    like: Like,
    background: int | None,
    unknown: int | None = None,
) -> None:
    """As `write_info`, from the headers of a pair."""
    image, label = _layout(like[0]), _layout(like[1])
    checked = {
        split: [_check_shard(path, image, config.compression) for path in paths] for split, paths in indices.items()
    }
    counts = {split: tuple(count for count, _ in shards) for split, shards in checked.items()}
    label = replace(label, shape=label.shape[:2], nodata=background, bands=())
    info = Info(dataset, config.storage, config.compression, counts, image, label, unknown)
    write_description(directory, info, {split: sum(size for _, size in shards) for split, shards in checked.items()})


def write_info(
    directory: Path,
    dataset: str,
    config: TFRecordsConfig,
    indices: Mapping[str, Sequence[Path]],
    image: Path,
    label: Path,
    background: int | None,
    unknown: int | None = None,
) -> None:
    """Write what describes shards, and their statistics, beside them; they are named by each split's indices.

    `image` and `label` are any pair of the dataset: they give dtype, shape, band names and nodata. metadata.json is
    TensorFlow Datasets' own place for further facts (`builder.info.metadata`). InputError where a shard's chips differ.
    """
    from segchips.pixelstats import write_statistics

    describe(directory, dataset, config, indices, (read_header(image), read_header(label)), background, unknown)
    write_statistics(directory, {split: [tally_beside(path) for path in paths] for split, paths in indices.items()})
