"""TFRecord files without TensorFlow: tf.train.Example messages, masked CRC32C framing, GZIP and ZLIB streams.

A compressed file is one stream with a full flush after every record, so that each record can be inflated alone.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import google_crc32c

from segchips.errors import RecordError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Piece = Any
    """Bytes, or an array of uint8, which type checkers do not know for a buffer."""
    Value = str | int | bytes | NDArray[np.uint8] | NDArray[np.float32]

_WINDOW = {"GZIP": 31, "ZLIB": 15}
_LEVEL = {"GZIP": 6, "ZLIB": 1}
_ONE_BYTE = [bytes([number]) for number in range(128)]
_LARGE = 4096
_DAMAGE = (ValueError, EOFError, OverflowError, MemoryError, zlib.error)
_HEADER, _FOOTER = 12, 4
FRAMING = _HEADER + _FOOTER
"""Bytes that TFRecord adds to a record."""


def _varint(number: int) -> bytes:
    if 0 <= number < 128:
        return _ONE_BYTE[number]
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


@lru_cache(256)
def _key(key: str) -> bytes:
    return b"\n" + _varint(len(key.encode())) + key.encode()


def _entry(key: str, kind: int, value: Piece) -> list[Piece]:
    """One key of the features map; kinds are 1 for bytes, 2 for floats and 3 for integers."""
    size = len(value)
    values = b"\n" + _varint(size)
    size += len(values)
    feature = _ONE_BYTE[kind << 3 | 2] + _varint(size) + values
    size += len(feature) - len(values)
    entry = _key(key) + b"\x12" + _varint(size) + feature
    return [b"\n" + _varint(size + len(entry) - len(feature)) + entry, value]


@lru_cache(4096)
def _small_entry(key: str, value: str | int) -> bytes:
    return b"".join(_entry(key, 3, _varint(value)) if isinstance(value, int) else _entry(key, 1, value.encode()))


def _any_entry(key: str, value: Value) -> list[Piece]:
    if isinstance(value, (str, int)):
        return [_small_entry(key, value)]
    if isinstance(value, bytes) or value.dtype.char == "B":
        return _entry(key, 1, value)
    return _entry(key, 2, array_bytes(value))


def array_bytes(array: NDArray[np.generic]) -> NDArray[np.uint8]:
    """The array's little-endian bytes in row-major order; not a copy, where they lie like that in memory."""
    import numpy as np

    content = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)
    content.flags.writeable = False
    return content


def encode(features: Mapping[str, Value]) -> list[Piece]:
    """One tf.train.Example, keys sorted: text, bytes, uint8 as BytesList, int as Int64List, float32 as FloatList.

    It comes in pieces, so that large values are not copied.
    """
    parts = [part for key, value in sorted(features.items()) for part in _any_entry(key, value)]
    pieces: list[Piece] = []
    small: list[Piece] = [b"\n" + _varint(sum(map(len, parts)))]
    for part in parts:
        if len(part) > _LARGE:
            pieces += [b"".join(small), part]
            small = []
        else:
            small.append(part)
    return [*pieces, b"".join(small)]


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        number |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return number, at
    raise ValueError


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        size, at = _read_varint(data, at)
        if tag & 7 != 2 or at + size > len(data):
            raise ValueError
        yield tag >> 3, data[at : at + size]
        at += size


def _value(feature: memoryview) -> memoryview | int | NDArray[np.float32]:
    kind, values = next(_fields(feature))
    _, value = next(_fields(values))
    if kind == 1:
        return value
    import numpy as np

    return np.frombuffer(value, "<f4") if kind == 2 else _read_varint(value, 0)[0]


def decode(payload: bytes) -> dict[str, memoryview | int | NDArray[np.float32]]:
    """The features of one tf.train.Example as `encode` makes it, one value each; RecordError for anything else."""
    try:
        entries = [
            dict(_fields(entry)) for _, features in _fields(memoryview(payload)) for _, entry in _fields(features)
        ]
        return {bytes(entry[1]).decode(): _value(entry[2]) for entry in entries}
    except (ValueError, IndexError, KeyError, StopIteration) as error:
        raise RecordError("a record is no tf.train.Example with one value per key") from error


def checksum(*pieces: Piece) -> int:
    """The masked CRC32C of bytes in pieces, as TFRecord has it."""
    crc: int = reduce(google_crc32c.extend, pieces, 0)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


class RecordWriter:
    """Writes records to an open binary file and says where each one lies."""

    def __init__(self, stream: BinaryIO, compression: str | None = None) -> None:
        self._stream = stream
        self._deflate = (
            zlib.compressobj(_LEVEL[compression], zlib.DEFLATED, _WINDOW[compression]) if compression else None
        )
        self._offset = stream.write(self._deflate.compress(b"") if self._deflate else b"")

    def write(self, pieces: Sequence[Piece]) -> tuple[int, int]:
        """Append one record, given in pieces; returns its offset and length in the file, framing included."""
        size = struct.pack("<Q", sum(map(len, pieces)))
        head, foot = (struct.pack("<I", checksum(*data)) for data in ((size,), pieces))
        parts = [size + head, *pieces, foot]
        if self._deflate:
            parts = [*map(self._deflate.compress, parts), self._deflate.flush(zlib.Z_FULL_FLUSH)]
        offset, length = self._offset, sum(map(len, parts))
        self._stream.writelines(parts)
        self._offset += length
        return offset, length

    def finish(self) -> None:
        """Write what ends a compressed stream."""
        if self._deflate:
            self._stream.write(self._deflate.flush())


class _Inflated(io.RawIOBase):
    """The inflated bytes of a GZIP or ZLIB stream; EOFError when it ends too early."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._inflate = stream, zlib.decompressobj(wbits=47)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = b""
        while not data and not self._inflate.eof:
            block = self._inflate.unconsumed_tail or self._stream.read(1 << 20)
            data = self._inflate.decompress(block, len(buffer))
            if not block and not data and not self._inflate.eof:
                raise EOFError
        buffer[: len(data)] = data
        return len(data)


def _payload(stream: BinaryIO) -> bytes | None:
    head = stream.read(_HEADER)
    if not head:
        return None
    if len(head) < _HEADER:
        raise EOFError
    size, crc = struct.unpack("<QI", head)
    if crc != checksum(head[:8]):
        raise ValueError
    payload, foot = stream.read(size), stream.read(_FOOTER)
    if len(payload) < size or len(foot) < _FOOTER:
        raise EOFError
    if struct.unpack("<I", foot)[0] != checksum(payload):
        raise ValueError
    return payload


def read_records(path: Path, compression: str | None = None) -> Iterator[bytes]:
    """The payloads of a TFRecord file, checked; RecordError names file, record and (inflated) byte of any damage."""
    number = offset = 0
    with path.open("rb") as file:
        stream: BinaryIO = io.BufferedReader(_Inflated(file)) if compression else file
        while True:
            try:
                payload = _payload(stream)
            except _DAMAGE as error:
                what = "is cut off" if isinstance(error, EOFError) else "is damaged (checksum)"
                raise RecordError(
                    f"{path} {what} in record {number} at byte {offset}; write the shard again"
                ) from error
            if payload is None:
                return
            yield payload
            number, offset = number + 1, offset + len(payload) + FRAMING


def read_record(path: Path, offset: int, length: int, compression: str | None = None) -> bytes:
    """One record's payload, found by its index entry; RecordError when it is damaged."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(length)
        payload = _payload(io.BytesIO(zlib.decompressobj(wbits=-15).decompress(data) if compression else data))
    except _DAMAGE as error:
        raise RecordError(f"{path} is damaged in the record at byte {offset}; write the shard again") from error
    if payload is None:
        raise RecordError(f"{path} ends before the record at byte {offset}; write the shard again")
    return payload
