"""The description of a dataset, made from its shards and chips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segchips.errors import InputError
from segchips.records.chip_header import ChipHeader
from segchips.records.chip_reader import open_chip, read_header
from segchips.records.dataset_files import write_description
from segchips.records.dataset_info import ChipLayout, DatasetInfo
from segchips.records.file_names import counts_path, shard_path
from segchips.records.record_encoding import PairHeaders, describe_layout
from segchips.records.shard_index import read_index
from segchips.records.tf_example import decode
from segchips.records.tfrecord import read_record
from segchips.tiles.assignment import MADE

if TYPE_CHECKING:
    from segchips.config.tfrecords import TFRecordsConfig


def chip_layout(header: ChipHeader) -> ChipLayout:
    """The layout of a chip file, with format, nodata value and band names."""
    shape = header.height, header.width, header.channels
    if header.bare:
        return ChipLayout(header.dtype, shape, "GTiff", None, (None,) * header.channels)
    with open_chip(header.path) as source:
        return ChipLayout(header.dtype, shape, source.driver, source.nodata, tuple(source.descriptions))


def _check_shard(index: Path, image: ChipLayout, compression: str | None) -> tuple[int, int]:
    """The number of records and bytes of a shard; InputError if its images have another layout."""
    entries = [entry for entry in read_index(index) if entry.state == MADE]
    if entries:
        place = entries[0].offset or 0, entries[0].length or 0
        record: dict[str, Any] = decode(read_record(shard_path(index), *place, compression))
        size = (record[f"image/{key}"] for key in ("height", "width", "channels"))
        layout: Any = (*size, bytes(record["image/dtype"]).decode())
        expected: Any = (*image.shape, image.dtype)
        if layout != expected:
            raise InputError(
                f"tile {entries[0].tile} is {describe_layout(layout)}, others {describe_layout(expected)}; "
                "all chips of a dataset need the same size, bands and dtype"
            )
    return len(entries), sum(entry.length or 0 for entry in entries)


def describe_shards(
    directory: Path,
    dataset: str,
    config: TFRecordsConfig,
    indices: Mapping[str, Sequence[Path]],
    reference: PairHeaders,
    background: int | None,
    unknown: int | None = None,
) -> None:
    """Write the files that describe shards; see `describe_dataset`.

    Args:
        directory: The directory of the shards.
        dataset: The dataset's name.
        config: How records are stored.
        indices: The paths of the shards' indices, by split.
        reference: The headers of any pair of the dataset.
        background: The label value of the background; None without one.
        unknown: The label value of pixels whose class is not known; None without one.

    Raises:
        InputError: The images of a shard differ from the reference in size, bands or dtype.
    """
    image, label = map(chip_layout, reference)
    sizes = {
        split: [_check_shard(path, image, config.compression) for path in paths] for split, paths in indices.items()
    }
    records = {split: tuple(count for count, _ in shards) for split, shards in sizes.items()}
    label = replace(label, shape=label.shape[:2], nodata=background, bands=())
    info = DatasetInfo(dataset, config.storage, config.compression, records, image, label, unknown)
    write_description(directory, info, {split: sum(size for _, size in shards) for split, shards in sizes.items()})


def describe_dataset(
    directory: Path,
    dataset: str,
    config: TFRecordsConfig,
    indices: Mapping[str, Sequence[Path]],
    image: Path,
    label: Path,
    background: int | None,
    unknown: int | None = None,
) -> None:
    """Write the files that describe shards, and their statistics.

    They are features.json, dataset_info.json and metadata.json, from which TensorFlow Datasets opens the shards, and
    statistics.json. metadata.json is where TensorFlow Datasets keeps further facts (`builder.info.metadata`).

    Args:
        directory: The directory of the shards.
        dataset: The dataset's name.
        config: How records are stored.
        indices: The paths of the shards' indices, by split.
        image: Any image chip of the dataset, from which dtype, shape, band names and nodata are taken.
        label: The label chip of that image.
        background: The label value of the background; None without one.
        unknown: The label value of pixels whose class is not known; None without one.

    Raises:
        InputError: The images of a shard differ from `image` in size, bands or dtype.
    """
    from segchips.records.statistics import write_statistics

    reference = read_header(image), read_header(label)
    describe_shards(directory, dataset, config, indices, reference, background, unknown)
    write_statistics(directory, {split: [counts_path(path) for path in paths] for split, paths in indices.items()})
