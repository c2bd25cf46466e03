"""Chips to TFRecord shards that describe themselves.

TensorFlow Datasets opens uncompressed shards only: it has no switch for GZIP or ZLIB files and reports them as
corrupted. `segchips.load` and `tf.data.TFRecordDataset` read all of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rasterio

from segchips.chipfiles import Header, read_chip, read_header
from segchips.config import TFRecordsConfig
from segchips.description import (
    BELOW,
    MADE,
    Entry,
    Info,
    Layout,
    index_name,
    read_index,
    shard_name,
    shard_of,
    write_description,
    write_index,
)
from segchips.errors import InputError
from segchips.files import digest, whole
from segchips.records import RecordWriter, Value, array_bytes, decode, encode, read_record

__all__ = ["Pair", "index_name", "shard_name", "write_info", "write_records", "write_shard"]


@dataclass(frozen=True)
class Pair:
    """One image chip and its label chip, and the tile key or other identifier of their record."""

    identifier: str
    image: Path
    label: Path


def _stored(path: Path, storage: str) -> tuple[Header, Value]:
    if storage == "encoded":
        return read_header(path), path.read_bytes()
    header, array = read_chip(path)
    return header, array_bytes(array)


def _text(layout: tuple[int, int, int, str]) -> str:
    height, width, channels, dtype = layout
    return f"{width} x {height} pixels with {channels} band{'s'[: channels != 1]} of {dtype}"


def _check_label(image: Header, label: Header) -> None:
    if label.layout != (image.height, image.width, 1, label.dtype):
        raise InputError(
            f"{label.path} is {_text(label.layout)}; "
            f"the label of {image.path} has 1 band of {image.width} x {image.height} pixels"
        )


def _record(pair: Pair, split: str, storage: str) -> tuple[Header, Header, bytes]:
    image, image_data = _stored(pair.image, storage)
    label, label_data = _stored(pair.label, storage)
    _check_label(image, label)
    features = {
        "image/image_data": image_data,
        "image/height": image.height,
        "image/width": image.width,
        "image/channels": image.channels,
        "image/dtype": image.dtype,
        "target/target_data": label_data,
        "target/height": label.height,
        "target/width": label.width,
        "target/dtype": label.dtype,
        "identifier": pair.identifier,
        "crs": image.crs,
        "transform": image.transform,
        "split": split,
    }
    return image, label, encode(features)


def _too_empty(header: Header, min_valid: float) -> str:
    if not min_valid:
        return ""
    if header.valid is None:
        raise InputError(
            f"{header.path} has no tag VALID, its share of valid pixels, which min_valid needs; make the chip again"
        )
    return f"{header.valid} of the pixels are valid, min_valid is {min_valid}" if header.valid < min_valid else ""


def _same_layout(header: Header, first: Header) -> None:
    if header.layout != first.layout:
        raise InputError(
            f"{header.path} is {_text(header.layout)}, {first.path} {_text(first.layout)}; "
            "the chips of a dataset are alike"
        )


def _entries(
    pairs: Iterable[Pair], split: str, storage: str, min_valid: float, writer: RecordWriter
) -> Iterator[Entry]:
    first = None
    for pair in pairs:
        image, label, record = _record(pair, split, storage)
        first = first or (image, label)
        _same_layout(image, first[0])
        _same_layout(label, first[1])
        if reason := _too_empty(image, min_valid):
            yield Entry(pair.identifier, BELOW, reason, image.valid, None, None)
        else:
            yield Entry(pair.identifier, MADE, "", image.valid, *writer.write(record))


def write_records(
    shard: Path, index: Path, pairs: Iterable[Pair], split: str, config: TFRecordsConfig, min_valid: float
) -> None:
    """Write the pairs' records and their index in the order given; InputError names a chip that cannot become one."""
    with whole(shard) as part, whole(index) as index_part, part.open("wb") as stream:
        writer = RecordWriter(stream, config.compression)
        write_index(index_part, _entries(pairs, split, config.storage, min_valid, writer))
        writer.finish()


def write_shard(
    shard: Path,
    index: Path,
    tiles: Sequence[str],
    images: Path,
    labels: Path,
    split: str,
    config: TFRecordsConfig,
    min_valid: float,
) -> None:
    """Write the shard of these tile keys, in seeded order, and its index; chips are `<key, '#' for ':'>.tif`.

    A chip below `min_valid` is left out and says so in the index; an unreadable or ill-fitting chip is an InputError.
    """
    order = sorted(tiles, key=lambda tile: digest("order", tile))
    names = [f"{tile.replace(':', '#')}.tif" for tile in order]
    pairs = [Pair(tile, images / name, labels / name) for tile, name in zip(order, names, strict=True)]
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
        write_records(shard, index, pairs, split, config, min_valid)


def _check_shard(index: Path, image: Header, config: TFRecordsConfig) -> tuple[int, int]:
    """The number of records and bytes of a shard, whose chips must look like `image`."""
    made = [entry for entry in read_index(index) if entry.state == MADE]
    if made:
        shard, place = shard_of(index), (made[0].offset or 0, made[0].length or 0)
        record: dict[str, Any] = decode(read_record(shard, *place, config.compression))
        layout = (
            *(record[f"image/{key}"] for key in ("height", "width", "channels")),
            bytes(record["image/dtype"]).decode(),
        )
        if layout != image.layout:
            raise InputError(
                f"tile {made[0].tile} is {_text(layout)}, {image.path} {_text(image.layout)}; "
                "the chips of a dataset are alike"
            )
    return len(made), sum(entry.length or 0 for entry in made)


def write_info(
    directory: Path,
    dataset: str,
    config: TFRecordsConfig,
    indices: Mapping[str, Sequence[Path]],
    image: Path,
    label: Path,
    background: int | None,
) -> None:
    """Write features.json, dataset_info.json and metadata.json beside the shards, named by each split's indices.

    `image` and `label` are any pair of the dataset: they give dtype, shape, band names and nodata. metadata.json is
    TensorFlow Datasets' own place for further facts (`builder.info.metadata`). InputError where a shard's chips differ.
    """
    header, target = read_header(image), read_header(label)
    checked = {split: [_check_shard(index, header, config) for index in paths] for split, paths in indices.items()}
    info = Info(
        dataset,
        config.storage,
        config.compression,
        {split: tuple(count for count, _ in shards) for split, shards in checked.items()},
        Layout(
            header.dtype, (header.height, header.width, header.channels), header.driver, header.nodata, header.bands
        ),
        Layout(target.dtype, (target.height, target.width), target.driver, background),
    )
    write_description(directory, info, {split: sum(size for _, size in shards) for split, shards in checked.items()})
