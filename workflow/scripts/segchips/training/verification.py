"""Whether shards hold what the files beside them say."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from segchips.errors import RecordError
from segchips.records.dataset_files import read_info
from segchips.records.dataset_info import DatasetInfo
from segchips.records.file_names import index_path
from segchips.records.record_decoding import decode_example
from segchips.records.shard_index import IndexEntry, read_index
from segchips.records.tf_example import decode
from segchips.records.tfrecord import FRAMING, read_record, read_records
from segchips.tiles.assignment import MADE


def _differences(payload: bytes, info: DatasetInfo, split: str, tile: str) -> Iterator[str]:
    """What a record says of itself against what the description and the index say."""
    record: dict[str, Any] = decode(payload)
    expected: dict[str, Any] = {"split": split, "image/dtype": info.image.dtype, "target/dtype": info.label.dtype}
    expected |= dict(zip(("image/height", "image/width", "image/channels"), info.image.shape, strict=True))
    expected |= dict(zip(("target/height", "target/width"), info.label.shape, strict=True))
    for key, value in expected.items():
        found = record.get(key)
        found = bytes(found).decode() if isinstance(found, memoryview) else found
        if found != value:
            yield f"{key} is {found}, not {value}"
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


def _shards(directory: Path, info: DatasetInfo) -> Iterator[tuple[Path, int, str]]:
    for split, counts in info.splits.items():
        for name, count in zip(info.shards(split), counts, strict=True):
            yield directory / name, count, split


def verify(directory: str | Path) -> list[str]:
    """Read every record of a dataset; returns one line for each thing that is wrong, none for a sound dataset.

    Checked are checksums, counts, index, dtypes, shapes and pixels of every record, and that no chip comes twice.
    InputError where the directory describes no dataset.
    """
    directory = Path(directory)
    info = read_info(directory)
    shards = list(_shards(directory, info))
    faults = [fault for path, count, split in shards for fault in _shard_faults(path, count, info, split)]
    known = {path for path, *_ in shards}
    faults += [
        f"{path} is no shard of this dataset" for path in sorted(directory.glob("*.tfrecord-*")) if path not in known
    ]
    indices = [index_path(path) for path in known if index_path(path).is_file()]
    tiles = Counter(entry.tile for index in indices for entry in read_index(index) if entry.state == MADE)
    return faults + [f"{tile} is in {count} records" for tile, count in tiles.items() if count > 1]
