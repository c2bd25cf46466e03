"""tf.train.Example messages, encoded and decoded without TensorFlow.

Source: `tensorflow/core/example/feature.proto`, and the wire format of Protocol Buffers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from segchips.errors import RecordError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Piece = Any
    """Bytes, or an array of uint8, which type checkers do not recognise as a buffer."""
    Value = str | int | bytes | NDArray[np.uint8] | NDArray[np.float32]
_ONE_BYTE = [bytes([number]) for number in range(128)]
_LARGE = 4096
"""Bytes from which a value is a piece of its own, so that it is not copied."""


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
def encoded_key(key: str) -> bytes:
    """A key of the features map as it is serialized."""
    return b"\n" + _varint(len(key.encode())) + key.encode()


def _entry(key: str, kind: int, value: Piece) -> list[Piece]:
    """One entry of the features map; `kind` is 1 for bytes, 2 for floats and 3 for integers."""
    size = len(value)
    values = b"\n" + _varint(size)
    size += len(values)
    feature = _ONE_BYTE[kind << 3 | 2] + _varint(size) + values
    size += len(feature) - len(values)
    entry = encoded_key(key) + b"\x12" + _varint(size) + feature
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
    """The array's little-endian bytes in row-major order, without a copy if memory has them so already."""
    import numpy as np

    content = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)
    content.flags.writeable = False
    return content


def encode(features: Mapping[str, Value]) -> list[Piece]:
    """Serialize a tf.train.Example.

    Args:
        features: The value of each key: text, bytes or an array of uint8 (BytesList), an integer (Int64List), or an
            array of float32 (FloatList).

    Returns:
        The message in pieces, with its keys sorted. Large values are not copied.
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
    """Parse a tf.train.Example that has one value for each key, as `encode` makes it.

    Returns:
        By key, bytes as a view of the payload, an integer, or an array of float32.

    Raises:
        RecordError: The payload is something else.
    """
    try:
        entries = [
            dict(_fields(entry)) for _, features in _fields(memoryview(payload)) for _, entry in _fields(features)
        ]
        return {bytes(entry[1]).decode(): _value(entry[2]) for entry in entries}
    except (ValueError, IndexError, KeyError, StopIteration) as error:
        raise RecordError("a record is not a tf.train.Example with one value per key") from error
