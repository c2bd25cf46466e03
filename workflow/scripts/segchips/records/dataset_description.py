"""TODO: describe."""

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
from segchips.records.shard_index import read_index
from segchips.records.tf_example import decode
from segchips.records.tfrecord import read_record
from segchips.tiles.assignment import MADE

if TYPE_CHECKING:
    from segchips.config.model import TFRecordsConfig
from segchips.records.record_encoding import ReferenceHeaders, describe_layout


def chip_layout(header: ChipHeader) -> ChipLayout:
    shape = header.height, header.width, header.channels
    if header.bare:
        return ChipLayout(header.dtype, shape, "GTiff", None, (None,) * header.channels)
    with open_chip(header.path) as source:
        return ChipLayout(header.dtype, shape, source.driver, source.nodata, tuple(source.descriptions))


def _check_shard(index: Path, image: ChipLayout, compression: str | None) -> tuple[int, int]:
    """The number of records and bytes of a shard, whose chips must have this layout."""
    made = [entry for entry in read_index(index) if entry.state == MADE]
    if made:
        place = made[0].offset or 0, made[0].length or 0
        record: dict[str, Any] = decode(read_record(shard_path(index), *place, compression))
        size = (record[f"image/{key}"] for key in ("height", "width", "channels"))
        found: Any = (*size, bytes(record["image/dtype"]).decode())
        expected: Any = (*image.shape, image.dtype)
        if found != expected:
            raise InputError(
                f"tile {made[0].tile} is {describe_layout(found)}, others {describe_layout(expected)}; the chips of a dataset are alike"
            )
    return len(made), sum(entry.length or 0 for entry in made)


def describe_shards(
    directory: Path,
    dataset: str,
    config: TFRecordsConfig,
    indices: Mapping[str, Sequence[Path]],
    like: ReferenceHeaders,
    background: int | None,
    unknown: int | None = None,
) -> None:
    """As `write_info`, from the headers of a pair."""
    image, label = chip_layout(like[0]), chip_layout(like[1])
    checked = {
        split: [_check_shard(path, image, config.compression) for path in paths] for split, paths in indices.items()
    }
    counts = {split: tuple(count for count, _ in shards) for split, shards in checked.items()}
    label = replace(label, shape=label.shape[:2], nodata=background, bands=())
    info = DatasetInfo(dataset, config.storage, config.compression, counts, image, label, unknown)
    write_description(directory, info, {split: sum(size for _, size in shards) for split, shards in checked.items()})


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
    """Write what describes shards, and their statistics, beside them; they are named by each split's indices.

    `image` and `label` are any pair of the dataset: they give dtype, shape, band names and nodata. metadata.json is
    TensorFlow Datasets' own place for further facts (`builder.info.metadata`). InputError where a shard's chips differ.
    """
    from segchips.records.statistics import write_statistics

    describe_shards(directory, dataset, config, indices, (read_header(image), read_header(label)), background, unknown)
    write_statistics(directory, {split: [counts_path(path) for path in paths] for split, paths in indices.items()})
