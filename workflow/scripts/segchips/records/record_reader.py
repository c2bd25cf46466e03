"""Records read into arrays, many times in training: with one system call each, and every pixel copied once."""

import os
import struct
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from segchips.arrays import Pixels
from segchips.errors import RecordError
from segchips.records.dataset_files import shard_paths
from segchips.records.dataset_info import DatasetInfo, image_key, image_prefix, label_key, target_prefix
from segchips.records.file_names import index_path
from segchips.records.record_decoding import Example, decode_example
from segchips.records.shard_index import read_index
from segchips.records.storage import RemotePath
from segchips.records.tf_example import encoded_key
from segchips.records.tfrecord import FRAMING, checksum, read_record
from segchips.tiles.assignment import MADE

_OPEN_FILES = 64
_REQUESTS = 16
"""Records of an object store that are read at once."""
_HEAD, _FOOT = struct.Struct("<QI"), struct.Struct("<I")
_BYTES_LIST = _FIRST_FIELD = 1 << 3 | 2
"""Tags of the wire format: a feature's list of bytes, and the values of that list."""
_VALUE = b"\x12"
"""The tag between a key of the features map and its feature."""


class Place(NamedTuple):
    """Where a record lies.

    Attributes:
        shard: The path of its shard.
        offset: The byte at which it begins.
        length: Its bytes, framing included.
    """

    shard: Path
    offset: int
    length: int


def find_places(directory: Path, info: DatasetInfo, splits: Sequence[str]) -> list[Place]:
    """The places of all records of some splits, in the order of the shards.

    Raises:
        InputError: There is no such split.
        RecordError: A shard or index is missing.
    """
    return [
        Place(shard, entry.offset or 0, entry.length or 0)
        for split in splits
        for shard in shard_paths(directory, info, split)
        for entry in read_index(index_path(shard))
        if entry.state == MADE
    ]


class _Part(NamedTuple):
    """An image or label of a record: its key in the record, its name in a chip, its shape and dtype."""

    key: bytes
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    size: int


class RecordReader:
    """Reads the records of a dataset; it can be used in several threads, and be sent to other processes."""

    def __init__(self, info: DatasetInfo) -> None:
        """Prepare reading.

        Args:
            info: The description of the dataset.
        """
        self._info = info
        features = [(f"{image_prefix(name)}/image_data", image_key(name), one) for name, one in info.images.items()]
        features += [(f"{target_prefix(name)}/target_data", label_key(name), one) for name, one in info.labels.items()]
        self._parts = []
        for key, name, layout in sorted(features, key=lambda feature: feature[0]):
            dtype = np.dtype(layout.dtype).newbyteorder("<")
            size = int(np.prod(layout.shape)) * dtype.itemsize
            self._parts.append(_Part(encoded_key(key) + _VALUE, name, tuple(layout.shape), dtype, size))
        self._is_plain = info.storage == "array" and info.compression is None
        self._prepare()

    def _prepare(self) -> None:
        self._open = lru_cache(_OPEN_FILES)(FileIO)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_open"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._prepare()

    def read(self, place: Place) -> Example:
        """Read a chip; RecordError if its record is damaged."""
        arrays = {part.name: np.empty((1, *part.shape), part.dtype.newbyteorder("=")) for part in self._parts}
        identifier = self.read_into(place, arrays, 0)
        return {name: array[0] for name, array in arrays.items()} | {"identifier": identifier}

    def read_all(self, places: Sequence[Place], arrays: Mapping[str, Pixels]) -> list[str]:
        """Read chips into arrays of their number, several at once from an object store; returns their identifiers.

        Raises:
            RecordError: A record is damaged, or differs from the description.
        """

        def read(numbered: tuple[int, Place]) -> str:
            return self.read_into(numbered[1], arrays, numbered[0])

        if places and isinstance(places[0].shard, RemotePath):
            with ThreadPoolExecutor(_REQUESTS) as threads:
                return list(threads.map(read, enumerate(places)))
        return list(map(read, enumerate(places)))

    def read_into(self, place: Place, arrays: Mapping[str, Pixels], position: int) -> str:
        """Read a chip into arrays.

        Args:
            place: Where its record lies.
            arrays: By name, arrays of several chips: chips x the shape of each image and label.
            position: The first index of the arrays' part to fill.

        Returns:
            The identifier.

        Raises:
            RecordError: The record is damaged, or differs from the description.
        """
        if self._is_plain and not isinstance(place.shard, RemotePath):
            record = self._bytes(place)
            identifier = self._take_parts(record, place.length - _FOOT.size, arrays, position)
            if identifier is not None:
                return identifier
        chip = decode_example(read_record(*place, self._info.compression), self._info)
        for part in self._parts:
            arrays[part.name][position] = chip[part.name]
        return str(chip["identifier"])

    def _bytes(self, place: Place) -> bytes:
        """The record with its framing."""
        file = self._open(str(place.shard))  # kept by its name: another thread may drop it from the cache
        record = os.pread(file.fileno(), place.length, place.offset)
        if len(record) == place.length >= FRAMING:
            content = np.frombuffer(record, np.uint8)
            size, head, foot = *_HEAD.unpack_from(record), *_FOOT.unpack_from(record, place.length - _FOOT.size)
            payload = content[_HEAD.size : place.length - _FOOT.size]
            if size == len(payload) and head == checksum(content[:8]) and foot == checksum(payload):
                return record
        raise RecordError(f"{place.shard} is damaged in the record at byte {place.offset}; write the shard again")

    def _take_parts(self, record: bytes, end: int, arrays: Mapping[str, Pixels], position: int) -> str | None:
        """Copy images and labels into the arrays.

        Args:
            record: The record, framing included.
            end: Where its payload ends.
            arrays: The arrays to fill.
            position: The first index of their part to fill.

        Returns:
            The identifier; None if the record is not laid out as this library does.
        """
        start = record.find(_IDENTIFIER, _HEAD.size, end)
        identifier = _value(record, start + len(_IDENTIFIER), end) if start >= 0 else None
        if identifier is None:
            return None
        at = _HEAD.size
        for part in self._parts:
            start = record.find(part.key, at, end)
            value = _value(record, start + len(part.key), end) if start >= 0 else None
            if value is None or value.stop - value.start != part.size:
                return None
            array = np.frombuffer(record, part.dtype, part.size // part.dtype.itemsize, value.start)
            arrays[part.name][position] = array.reshape(part.shape)
            at = value.stop
        return record[identifier].decode()


_IDENTIFIER = encoded_key("identifier") + _VALUE


def _value(record: bytes, at: int, end: int) -> slice | None:
    """Where the only value of a BytesList lies whose entry begins at `at`; None if it is something else."""
    size, at = _varint(record, at)
    last = at + size
    for tag in (_BYTES_LIST, _FIRST_FIELD):
        if record[at] != tag:
            return None
        size, at = _varint(record, at + 1)
        if at + size != last:
            return None
    return slice(at, last) if last <= end else None


def _varint(record: bytes, at: int) -> tuple[int, int]:
    """A number, and the byte after it."""
    number = shift = 0
    while (byte := record[at]) > 127:
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
    return number | byte << shift, at + 1
