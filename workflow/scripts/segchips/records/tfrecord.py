"""TFRecord files without TensorFlow: masked CRC32C framing, GZIP and ZLIB streams.

A compressed file is one stream with a full flush after every record, so that each record can be inflated alone.
Source: `tensorflow/core/lib/io/record_writer.h`.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import google_crc32c

from segchips.errors import RecordError
from segchips.records.storage import read_range

if TYPE_CHECKING:
    from segchips.records.tf_example import Piece

_WINDOW = {"GZIP": 31, "ZLIB": 15}
_LEVEL = {"GZIP": 6, "ZLIB": 1}
_DAMAGE = (ValueError, EOFError, OverflowError, MemoryError, zlib.error)
_HEADER, _FOOTER = 12, 4
FRAMING = _HEADER + _FOOTER
"""The bytes that a TFRecord file adds to each record."""


def checksum(*pieces: Piece) -> int:
    """The masked CRC32C of bytes in pieces, as TFRecord files store it."""
    crc: int = reduce(google_crc32c.extend, pieces, 0)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


class RecordWriter:
    """Writes records to an open binary file."""

    def __init__(self, stream: BinaryIO, compression: str | None = None) -> None:
        self._stream = stream
        self._deflate = (
            zlib.compressobj(_LEVEL[compression], zlib.DEFLATED, _WINDOW[compression]) if compression else None
        )
        self._offset = stream.write(self._deflate.compress(b"") if self._deflate else b"")

    def write(self, pieces: Sequence[Piece]) -> tuple[int, int]:
        """Append a record.

        Args:
            pieces: The bytes of the record, in pieces.

        Returns:
            Its offset and length in the file, in bytes, framing included.
        """
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
        """Write the end of a compressed stream."""
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
    """Yield the payload of each record of a TFRecord file.

    Args:
        path: The file.
        compression: "GZIP", "ZLIB" or None.

    Raises:
        RecordError: The file is damaged; the message names the record and its byte in the inflated file.
    """
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
    """Read one record of a TFRecord file.

    Args:
        path: The file.
        offset: The byte at which the record begins, from the index.
        length: Its bytes, framing included, from the index.
        compression: "GZIP", "ZLIB" or None.

    Returns:
        The payload of the record.

    Raises:
        RecordError: The record is damaged.
    """
    try:
        data = read_range(path, offset, length)
        payload = _payload(io.BytesIO(zlib.decompressobj(wbits=-15).decompress(data) if compression else data))
    except _DAMAGE as error:
        raise RecordError(f"{path} is damaged in the record at byte {offset}; write the shard again") from error
    if payload is None:
        raise RecordError(f"{path} ends before the record at byte {offset}; write the shard again")
    return payload
