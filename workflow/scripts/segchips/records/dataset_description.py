"""The description of a dataset, made from its shards and chips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from segchips.errors import InputError
from segchips.records.chip_header import ChipHeader
from segchips.records.chip_reader import open_chip, read_header
from segchips.records.dataset_files import write_description
from segchips.records.dataset_info import ChipLayout, DatasetInfo, image_prefix
from segchips.records.file_names import counts_path, shard_path
from segchips.records.record_encoding import UNNAMED_PARTS, PairHeaders, RecordParts, describe_layout, step_bands
from segchips.records.shard_index import read_index
from segchips.records.tf_example import decode
from segchips.records.tfrecord import read_record
from segchips.tiles.assignment import MADE

if TYPE_CHECKING:
    from segchips.config.tfrecords import TFRecordsConfig


def chip_layout(header: ChipHeader) -> ChipLayout:
    """The layout of a chip file, with format, nodata value and band names."""
    if header.bare:
        return ChipLayout(header.dtype, header.shape, "GTiff", None, (None,) * header.channels)
    with open_chip(header.path) as source:
        bands: tuple[Any, ...] = source.descriptions if source.count == header.channels else (None,) * header.channels
        names = tuple(step_bands(bands, len(header.steps))) if header.steps else bands
        return ChipLayout(header.dtype, header.shape, source.driver, source.nodata, names)


def _check_shard(index: Path, images: Mapping[str, ChipLayout], compression: str | None) -> tuple[int, int]:
    """The number of records and bytes of a shard; InputError if its images have another layout."""
    entries = [entry for entry in read_index(index) if entry.state == MADE]
    if entries:
        place = entries[0].offset or 0, entries[0].length or 0
        record: dict[str, Any] = decode(read_record(shard_path(index), *place, compression))
        for layer, image in images.items():
            prefix = image_prefix(layer)
            size = (record[f"{prefix}/{key}"] for key in ("height", "width", "channels"))
            layout: Any = (*size, bytes(record[f"{prefix}/dtype"]).decode())
            expected: Any = (*image.shape[-3:], image.dtype)
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
    background: Sequence[int | None],
    unknown: Sequence[int | None] = (None,),
    parts: RecordParts = UNNAMED_PARTS,
    nodata: float | None = None,
    kinds: Sequence[str] = (),
    object_classes: Mapping[str, Mapping[int, str]] = MappingProxyType({}),
) -> None:
    """Write the files that describe shards; see `describe_dataset`.

    Args:
        directory: The directory of the shards.
        dataset: The dataset's name.
        config: How records are stored.
        indices: The paths of the shards' indices, by split.
        reference: The headers of the chips of any tile of the dataset.
        background: For each target the label value of the background; None without one.
        unknown: For each target the label value of pixels whose class is not known; None without one.
        parts: The names of layers and targets.
        nodata: The nodata value of all images; None for those of the reference.
        kinds: For each target what its pixels hold; empty where all hold classes.
        object_classes: By target of kind "instances" the names of classes by number.

    Raises:
        InputError: The images of a shard differ from the reference in size, bands or dtype.
    """
    images = dict(zip(parts.layers, map(chip_layout, reference[0]), strict=True))
    if nodata is not None:
        images = {layer: replace(image, nodata=nodata) for layer, image in images.items()}
    labels = {}
    for target, header, value in zip(parts.targets, reference[1], background, strict=True):
        layout = chip_layout(header)
        labels[target] = replace(layout, shape=layout.shape[:2], nodata=value, bands=())
    sizes = {
        split: [_check_shard(path, images, config.compression) for path in paths] for split, paths in indices.items()
    }
    records = {split: tuple(count for count, _ in shards) for split, shards in sizes.items()}
    values = dict(zip(parts.targets, unknown, strict=True))
    by_target = dict(zip(parts.targets, kinds, strict=False))
    info = DatasetInfo(
        dataset, config.storage, config.compression, records, images, labels, values, by_target, object_classes
    )
    write_description(directory, info, {split: sum(size for _, size in shards) for split, shards in sizes.items()})


def describe_dataset(
    directory: Path,
    dataset: str,
    config: TFRecordsConfig,
    indices: Mapping[str, Sequence[Path]],
    images: Mapping[str, Path],
    labels: Mapping[str, Path],
    background: Sequence[int | None],
    unknown: Sequence[int | None] = (None,),
    kinds: Sequence[str] = (),
    object_classes: Mapping[str, Mapping[int, str]] = MappingProxyType({}),
) -> None:
    """Write the files that describe shards, and their statistics.

    They are features.json, dataset_info.json and metadata.json, from which TensorFlow Datasets opens the shards, and
    statistics.json. metadata.json is where TensorFlow Datasets keeps further facts (`builder.info.metadata`).

    Args:
        directory: The directory of the shards.
        dataset: The dataset's name.
        config: How records are stored.
        indices: The paths of the shards' indices, by split.
        images: The image chips of any tile by layer, from which dtype, shape, band names and nodata are taken.
        labels: The label chips of that tile by target.
        background: For each target the label value of the background; None without one.
        unknown: For each target the label value of pixels whose class is not known; None without one.
        kinds: For each target what its pixels hold; empty where all hold classes.
        object_classes: By target of kind "instances" the names of classes by number.

    Raises:
        InputError: The images of a shard differ from `images` in size, bands or dtype.
    """
    from segchips.records.statistics import write_statistics

    parts = RecordParts(tuple(images), tuple(labels))
    reference = tuple(map(read_header, images.values())), tuple(map(read_header, labels.values()))
    describe_shards(
        directory, dataset, config, indices, reference, background, unknown, parts, None, kinds, object_classes
    )
    write_statistics(directory, {split: [counts_path(path) for path in paths] for split, paths in indices.items()})
