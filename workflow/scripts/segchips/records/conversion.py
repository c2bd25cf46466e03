"""Conversion of folders of chips, made elsewhere, to the shards of a dataset."""

import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segchips.config.chips import ChipsConfig
from segchips.config.loading import check_block
from segchips.config.splitting import SplittingConfig
from segchips.config.tfrecords import split_name_fault
from segchips.errors import InputError
from segchips.files import atomic_path, digest
from segchips.records.chip_folders import find_pairs, most_common_headers, sample_headers
from segchips.records.chip_ground import Ground, chip_ground, describe_shared_ground, find_shared_ground
from segchips.records.chip_splits import assign_splits
from segchips.records.chip_values import ValueRules
from segchips.records.conversion_workers import started_workers, write_in_parallel
from segchips.records.dataset_description import describe_shards
from segchips.records.dataset_files import COMPRESSIONS, STORAGES
from segchips.records.dataset_info import item_bytes
from segchips.records.file_names import (
    STATISTICS_FILE,
    counts_path,
    index_name,
    provenance_path,
    shard_name,
    shard_path,
)
from segchips.records.record_encoding import ChipPair, PairHeaders, record_order
from segchips.records.shard_index import IndexEntry, read_index, write_index
from segchips.records.shard_writer import ShardSpec
from segchips.records.statistics import write_statistics
from segchips.tiles.assignment import DROPPED, MADE, REJECTED, shard_of

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
    directory: Path,
    dataset: str,
    splits: Mapping[str, Sequence[ChipPair]],
    config: "TFRecordsConfig",
    reference: PairHeaders,
    values: ValueRules,
    recipe: str,
) -> list[ShardSpec]:
    specs = []
    for split, members in splits.items():
        count = _shard_count(members, config, reference)
        shards: list[dict[str, ChipPair]] = [{} for _ in range(count)]
        for pair in members:
            shards[shard_of(pair.name, count)][pair.name] = pair
        own = digest(recipe, replace(config, splits={}), values, split) if recipe else ""
        for number, by_name in enumerate(shards):
            shard, index = (directory / name(dataset, split, number, count) for name in (shard_name, index_name))
            ordered = [by_name[name] for name in record_order(by_name)]
            spec = ShardSpec(shard, index, ordered, split, config, reference=reference, values=values)
            specs.append(replace(spec, recipe=own, count_pixels=bool(recipe)))
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
    for split in config.splits:
        if fault := split_name_fault(split):
            raise InputError(fault)


def _remove_stale_files(directory: Path, dataset: str, specs: Sequence[ShardSpec]) -> None:
    """Remove the shards, indices and statistics of an earlier conversion."""
    written = {path for spec in specs for path in (spec.shard, spec.index)}
    for path in directory.glob(f"{dataset}-*.index-*-of-*"):
        if path not in written:
            for stale in (path, shard_path(path), counts_path(path), provenance_path(path)):
                stale.unlink(missing_ok=True)
    (directory / STATISTICS_FILE).unlink(missing_ok=True)


@dataclass(frozen=True)
class Conversion:
    """What became of the chips of folders.

    Attributes:
        entries: An entry for every chip.
        pairs: The files of each chip that was to become a record.
        splits: The split of each chip that has one.
        grounds: The ground of each record's chip that has a location.
        notes: Sentences about how names, splits and values were found.
        rule: The sentence that says what the split of a chip follows from.
        made: The number of records made from chips.
        reused: The number of records copied from earlier shards.
    """

    entries: list[IndexEntry]
    pairs: Mapping[str, ChipPair]
    splits: Mapping[str, str]
    grounds: Mapping[str, Ground]
    notes: Sequence[str]
    rule: str
    made: int
    reused: int


def convert_chips(
    chips: ChipsConfig,
    splitting: SplittingConfig,
    directory: Path,
    dataset: str,
    config: "TFRecordsConfig",
    workers: int | None = None,
    recipe: str = "",
) -> Conversion:
    """Write folders of chips as the shards of a dataset.

    Args:
        chips: The folders, and what names and values mean.
        splitting: How chips are assigned to splits, completed.
        directory: Where to write shards, indices, description and `rejected.csv`.
        dataset: The dataset's name, which begins the names of the shards.
        config: How to store records and split them.
        workers: The number of processes, by default one for each core.
        recipe: The version of the code. With it, statistics are written, and records of unchanged chips are reused from
            the shards that are there, if they have the same.

    Raises:
        InputError: No chip can be used, or a setting is not valid.
    """
    _check_settings(dataset, config)
    values = ValueRules(chips.class_numbers, chips.unknown, chips.background, chips.kind == "continuous", chips.nodata)
    with started_workers((workers or len(os.sched_getaffinity(0))) - 1, config.storage) as processes:
        found = find_pairs(chips)
        assigned = assign_splits(found, chips, splitting, config)
        kept = [pair for pair in found.pairs if pair.name not in assigned.dropped]
        if not kept:
            raise InputError(f"all {len(found.pairs)} chips are left out: {next(iter(assigned.dropped.values()))}")
        values = values.with_nodata(sample_headers(kept))
        reference = most_common_headers(kept, config, values)
        by_split: dict[str, list[ChipPair]] = {split: [] for split in config.splits}
        for pair in kept:
            by_split[assigned.splits[pair.name]].append(pair)
        specs = _plan_shards(directory, dataset, by_split, config, reference, values, recipe)
        written = write_in_parallel(specs, processes)
    _remove_stale_files(directory, dataset, specs)
    indices = {split: [spec.index for spec in specs if spec.split == split] for split in config.splits}
    describe_shards(
        directory, dataset, config, indices, reference, [chips.background], [chips.unknown], nodata=values.nodata
    )
    if recipe:
        write_statistics(directory, {split: [counts_path(path) for path in paths] for split, paths in indices.items()})
    left_out = [IndexEntry(name, DROPPED, reason, None) for name, reason in assigned.dropped.items()]
    entries = [*found.rejected, *left_out, *(entry for spec in specs for entry in read_index(spec.index))]
    with atomic_path(directory / "rejected.csv") as part:
        rejected = (entry for entry in entries if entry.state in (REJECTED, DROPPED))
        write_index(part, sorted(rejected, key=lambda entry: entry.tile))
    size = reference[0][0].height, reference[0][0].width
    grounds = {name: chip_ground(name, identifier, *size) for name, identifier in written.identifiers.items()}
    located = {name: ground for name, ground in grounds.items() if ground}
    notes = [*found.notes, *assigned.notes, *_value_notes(entries)]
    pairs = {pair.name: pair for pair in kept}
    return Conversion(entries, pairs, assigned.splits, located, notes, assigned.rule, written.made, written.reused)


def _value_notes(entries: Sequence[IndexEntry]) -> Iterator[str]:
    """A sentence about chips whose values were changed, if there are any."""
    changed = [entry.reason for entry in entries if entry.state == MADE and entry.reason]
    if changed:
        yield (
            f"{len(changed)} chips: {changed[0]}" if len(changed) == 1 else f"{changed[0]}; {len(changed)} chips alike"
        )


def convert(
    images: str | Path | Sequence[str | Path],
    labels: str | Path | Sequence[str | Path],
    directory: str | Path,
    dataset: str,
    config: "TFRecordsConfig",
    background: int | None = None,
    workers: int | None = None,
    splitting: SplittingConfig | None = None,
    **chips: Any,
) -> list[IndexEntry]:
    """Write two folders of chips as the shards of a dataset.

    Image and label of a pair have the same file name without extension, or names that differ by a beginning or ending.
    Folders inside the folders are searched as well. Shards of an earlier call are replaced. A warning says if chips of
    different splits share ground.

    Args:
        images: The folder of image chips, or several.
        labels: The folder of label chips, each one band of the image's size, or several; or the folder of the images.
        directory: Where to write shards, indices, description and `rejected.csv`.
        dataset: The dataset's name, which begins the names of the shards.
        config: How to store records and split them.
        background: The label value of the background; None without one.
        workers: The number of processes, by default one for each core.
        splitting: How chips are assigned to splits; by default each by its name.
        chips: Other keys of the block `chips` of the config: image_names, label_names, splits, kind, classes, unknown,
            nodata.

    Returns:
        An entry for every chip. `rejected.csv` lists those that are in no shard, with the reason.

    Raises:
        InputError: No chip can be used, or a setting is not valid.
    """
    folders = {key: _folder_texts(value) for key, value in (("images", images), ("labels", labels))}
    block = check_block(ChipsConfig, {**folders, "background": background, **chips}, "chips")
    how = (splitting or SplittingConfig()).completed_for_chips(config.splits)
    conversion = convert_chips(block, how, Path(directory), dataset, config, workers)
    shared = find_shared_ground(conversion.grounds, conversion.splits)
    if shared:
        warnings.warn(describe_shared_ground(shared), stacklevel=2)
    return conversion.entries


def _folder_texts(folders: str | Path | Sequence[str | Path]) -> str | list[str]:
    return str(folders) if isinstance(folders, str | Path) else [str(folder) for folder in folders]
