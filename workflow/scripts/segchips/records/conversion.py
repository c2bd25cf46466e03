"""Conversion of two folders of chips, made elsewhere, to the shards of a dataset."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segchips.errors import InputError
from segchips.files import atomic_path
from segchips.records.chip_folders import most_common_headers, pair_chips
from segchips.records.conversion_workers import started_workers, write_in_parallel
from segchips.records.dataset_description import describe_shards
from segchips.records.dataset_files import COMPRESSIONS, STORAGES
from segchips.records.dataset_info import item_bytes
from segchips.records.file_names import STATISTICS_FILE, index_name, shard_name
from segchips.records.record_encoding import ChipPair, PairHeaders, record_order
from segchips.records.shard_index import IndexEntry, read_index, write_index
from segchips.records.shard_writer import ShardSpec
from segchips.tiles.assignment import REJECTED, shard_of, split_of

if TYPE_CHECKING:
    from segchips.config.tfrecords import TFRecordsConfig

SHARD_BYTES = 150_000_000
"""The target size of a shard if the config does not say how many there are."""


def _shard_count(pairs: Sequence[ChipPair], config: "TFRecordsConfig", reference: PairHeaders) -> int:
    """The number of shards of a split: as configured, else so many that each has about SHARD_BYTES."""
    if config.shards:
        return config.shards
    if config.storage in ("array", "float"):
        (image,), (label,) = reference
        sizes = [4 if config.storage == "float" else item_bytes(header.dtype) for header in (image, label)]
        total = len(pairs) * image.height * image.width * (image.channels * sizes[0] + sizes[1])
    else:
        total = sum(os.stat(path).st_size for pair in pairs for path in pair.paths)
    return max(1, round(total / SHARD_BYTES))


def _plan_shards(
    directory: Path, dataset: str, pairs: Sequence[ChipPair], config: "TFRecordsConfig", reference: PairHeaders
) -> list[ShardSpec]:
    splits: dict[str, list[ChipPair]] = {split: [] for split in config.splits}
    for pair in pairs:
        splits[split_of(pair.name, config.splits)].append(pair)
    specs = []
    for split, members in splits.items():
        count = _shard_count(members, config, reference)
        shards: list[dict[str, ChipPair]] = [{} for _ in range(count)]
        for pair in members:
            shards[shard_of(pair.name, count)][pair.name] = pair
        for number, by_name in enumerate(shards):
            shard, index = (directory / name(dataset, split, number, count) for name in (shard_name, index_name))
            ordered = [by_name[name] for name in record_order(by_name)]
            specs.append(ShardSpec(shard, index, ordered, split, config, reference=reference))
    return specs


def _check_settings(dataset: str, config: "TFRecordsConfig") -> None:
    if not re.fullmatch("[a-z][a-z0-9_]*", dataset):
        raise InputError(f"dataset name '{dataset}' must be lower-case letters, digits and _, beginning with a letter")
    for key, value, allowed in (
        ("storage", config.storage, STORAGES),
        ("compression", config.compression, COMPRESSIONS),
    ):
        if value not in allowed:
            raise InputError(f"{key} '{value}' is unknown; choose one of {', '.join(map(str, allowed))}")


def _remove_stale_files(directory: Path, dataset: str, specs: Sequence[ShardSpec]) -> None:
    """Remove the shards, indices and statistics of an earlier conversion."""
    written = {path for spec in specs for path in (spec.shard, spec.index)}
    for kind in ("tfrecord", "index"):
        for path in directory.glob(f"{dataset}-*.{kind}-*-of-*"):
            if path not in written:
                path.unlink()
    (directory / STATISTICS_FILE).unlink(missing_ok=True)


def convert(
    images: str | Path,
    labels: str | Path,
    directory: str | Path,
    dataset: str,
    config: "TFRecordsConfig",
    background: int | None = None,
    workers: int | None = None,
) -> list[IndexEntry]:
    """Write two folders of chips as the shards of a dataset.

    Image and label of a pair have the same file name without extension. Shards of an earlier call are replaced.

    Args:
        images: The folder of image chips.
        labels: The folder of label chips, each one band of the image's size.
        directory: Where to write shards, indices, description and `rejected.csv`.
        dataset: The dataset's name, which begins the names of the shards.
        config: How to store records and split them.
        background: The label value of the background; None without one.
        workers: The number of processes, by default one for each core.

    Returns:
        An entry for every chip. `rejected.csv` lists those that are in no shard, with the reason.

    Raises:
        InputError: No chip can be used, or a setting is not valid.
    """
    _check_settings(dataset, config)
    images, labels, directory = Path(images), Path(labels), Path(directory)
    with started_workers((workers or len(os.sched_getaffinity(0))) - 1, config.storage) as processes:
        pairs, unpaired = pair_chips(images, labels)
        reference = most_common_headers(pairs, config)
        specs = _plan_shards(directory, dataset, pairs, config, reference)
        write_in_parallel(specs, processes)
    _remove_stale_files(directory, dataset, specs)
    indices = {split: [spec.index for spec in specs if spec.split == split] for split in config.splits}
    describe_shards(directory, dataset, config, indices, reference, [background])
    entries = [*unpaired, *(entry for spec in specs for entry in read_index(spec.index))]
    with atomic_path(directory / "rejected.csv") as part:
        rejected = (entry for entry in entries if entry.state == REJECTED)
        write_index(part, sorted(rejected, key=lambda entry: entry.tile))
    return entries
