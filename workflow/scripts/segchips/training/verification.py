"""Verification that shards match their indices and the description of the dataset."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from segchips.errors import RecordError
from segchips.records.dataset_files import read_info
from segchips.records.dataset_info import DatasetInfo, image_prefix, target_prefix
from segchips.records.file_names import index_path
from segchips.records.record_decoding import decode_example
from segchips.records.shard_index import IndexEntry, read_index
from segchips.records.storage import dataset_path
from segchips.records.tf_example import decode
from segchips.records.tfrecord import FRAMING, read_record, read_records
from segchips.tiles.assignment import MADE


def _differences(payload: bytes, info: DatasetInfo, split: str, tile: str) -> Iterator[str]:
    """Describe each difference between a record, the description of the dataset and the index."""
    record: dict[str, Any] = decode(payload)
    expected: dict[str, Any] = {"split": split}
    for layer, layout in info.images.items():
        prefix = image_prefix(layer)
        sizes = (f"{prefix}/{size}" for size in ("height", "width", "channels"))
        expected |= {f"{prefix}/dtype": layout.dtype, **dict(zip(sizes, layout.shape[-3:], strict=True))}
    for target, layout in info.labels.items():
        prefix = target_prefix(target)
        sizes = (f"{prefix}/{size}" for size in ("height", "width"))
        expected |= {f"{prefix}/dtype": layout.dtype, **dict(zip(sizes, layout.shape, strict=True))}
    for key, value in expected.items():
        stored = record.get(key)
        stored = bytes(stored).decode() if isinstance(stored, memoryview) else stored
        if stored != value:
            yield f"{key} is {stored}, not {value}"
    name = decode_example(payload, info)["identifier"]
    if tile not in (name, Path(name.split("|")[0]).stem):
        yield f"identifier is {name}, the index says {tile}"


def _record_faults(
    path: Path, payload: bytes, entry: IndexEntry, offset: int, info: DatasetInfo, split: str
) -> Iterator[str]:
    place = entry.offset or 0, entry.length or 0
    try:
        if info.compression is None and place != (offset, len(payload) + FRAMING):
            yield f"the index says {place[1]} bytes at {place[0]}, there are {len(payload) + FRAMING} at {offset}"
        if info.compression and read_record(path, *place, info.compression) != payload:
            yield f"the index says byte {place[0]}, where another record lies"
        yield from _differences(payload, info, split, entry.tile)
    except RecordError as error:
        yield str(error)


def _shard_faults(path: Path, count: int, info: DatasetInfo, split: str) -> Iterator[str]:
    index = index_path(path)
    for file in (path, index):
        if not file.is_file():
            yield f"{file} is missing"
            return
    entries = [entry for entry in read_index(index) if entry.state == MADE]
    number = offset = 0
    try:
        for number, payload in enumerate(read_records(path, info.compression), 1):
            if number <= len(entries):
                faults = _record_faults(path, payload, entries[number - 1], offset, info, split)
                yield from (f"{path}, record {number - 1}: {fault}" for fault in faults)
            offset += len(payload) + FRAMING
    except RecordError as error:
        yield str(error)
        return
    if not number == len(entries) == count:
        yield f"{path} has {number} records, its index {len(entries)}, dataset_info.json says {count}"


def _described_shards(directory: Path, info: DatasetInfo) -> Iterator[tuple[Path, int, str]]:
    for split, counts in info.splits.items():
        for name, count in zip(info.shards(split), counts, strict=True):
            yield directory / name, count, split


def verify(directory: str | Path) -> list[str]:
    """Check every record of a dataset.

    Its checksum, place in the index, dtypes, shapes and pixels are checked, and that no chip comes twice.

    Args:
        directory: The directory of the shards.

    Returns:
        One line for each fault; empty if there are none.

    Raises:
        InputError: The directory has no description of a dataset.
    """
    directory = dataset_path(directory)
    info = read_info(directory)
    shards = list(_described_shards(directory, info))
    faults = [fault for path, count, split in shards for fault in _shard_faults(path, count, info, split)]
    described = {path for path, *_ in shards}
    visible = (path for path in sorted(directory.glob("*.tfrecord-*")) if not path.name.startswith("."))
    faults += [f"{path} is not a shard of this dataset" for path in visible if path not in described]
    indices = [index_path(path) for path in described if index_path(path).is_file()]
    tiles = Counter(entry.tile for index in indices for entry in read_index(index) if entry.state == MADE)
    return faults + [f"{tile} is in {count} records" for tile, count in tiles.items() if count > 1]
