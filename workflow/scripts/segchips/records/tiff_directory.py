"""The first image file directory of a TIFF or BigTIFF file: its tags and their values.

Sources: TIFF 6.0, section 2, and the BigTIFF design of libtiff.
"""

import struct
from dataclasses import dataclass
from typing import Any, Literal

from segchips.records.chip_header import DamagedFileError

_FORMATS = {1: "B", 3: "H", 4: "I", 12: "d", 16: "Q"}
"""By field type, the format of `struct`."""
_INTEGER_BYTES = {1: 1, 3: 2, 4: 4}
_TYPE_BYTES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


@dataclass(frozen=True)
class _FileLayout:
    """Byte order of a kind of TIFF, the position of the first directory's offset, and the parts of a directory."""

    order: str
    endian: Literal["little", "big"]
    start: int
    offset: struct.Struct
    count: struct.Struct
    entry: struct.Struct


_ORDERS: dict[str, tuple[bytes, Literal["little", "big"]]] = {"<": (b"II", "little"), ">": (b"MM", "big")}
_LAYOUTS = {
    struct.pack(f"{order}2sH", mark, version): _FileLayout(
        order, endian, start, *(struct.Struct(order + form) for form in forms)
    )
    for order, (mark, endian) in _ORDERS.items()
    for version, start, *forms in ((42, 4, "I", "H", "HHII"), (43, 8, "Q", "Q", "HHQQ"))
}
SIGNATURES = tuple(_LAYOUTS)
"""The first four bytes of TIFF and BigTIFF files."""


class TiffDirectory:
    """The first directory of a TIFF or BigTIFF file of either byte order.

    Attributes:
        order: The byte order as `struct` writes it, "<" or ">".
        tags: By tag number its field type, number of values, and value or offset.
        next: The offset of the next directory; 0 if there is none.
    """

    def __init__(self, content: bytes) -> None:
        """Parse the directory.

        Raises:
            DamagedFileError: The file ends before a value of a tag.
            KeyError, struct.error: The content is not a TIFF file.
        """
        layout = _LAYOUTS[content[:4]]
        self.order = layout.order
        self._content, self._endian, self._inline_bytes = content, layout.endian, layout.offset.size
        (offset,) = layout.offset.unpack_from(content, layout.start)
        (entries,) = layout.count.unpack_from(content, offset)
        first = offset + layout.count.size
        last = first + entries * layout.entry.size
        self.tags = {tag: rest for tag, *rest in layout.entry.iter_unpack(content[first:last])}
        (self.next,) = layout.offset.unpack_from(content, last)
        for kind, count, value in self.tags.values():
            if (size := count * _TYPE_BYTES.get(kind, 1)) > self._inline_bytes:
                self.require_bytes(value + size)

    def require_bytes(self, end: int) -> None:
        """Raise DamagedFileError if the file ends before byte `end`."""
        if end > len(self._content):
            raise DamagedFileError

    def raw(self, tag: int, size: int = 1) -> bytes:
        """The bytes of a tag whose values have `size` bytes each; empty if the tag is missing."""
        if tag not in self.tags:
            return b""
        _, count, value = self.tags[tag]
        if count * size > self._inline_bytes:
            return self._content[value : value + count * size]
        return value.to_bytes(self._inline_bytes, self._endian)[: count * size]

    def numbers(self, tag: int, *default: int) -> tuple[Any, ...]:
        """All numbers of a tag, or the default if the tag is missing."""
        if tag not in self.tags:
            return default
        kind, count, _ = self.tags[tag]
        form = _FORMATS[kind]
        return struct.unpack(f"{self.order}{count}{form}", self.raw(tag, struct.calcsize(f"={form}")))

    def number(self, tag: int, default: int | None = None) -> int:
        """The only number of a tag, or the default if the tag is missing.

        Raises:
            KeyError: The tag is missing and there is no default, or it is not an integer.
            ValueError: The tag has several numbers.
        """
        if tag not in self.tags and default is not None:
            return default
        kind, count, value = self.tags[tag]
        if count != 1:
            raise ValueError
        unused = 8 * (self._inline_bytes - _INTEGER_BYTES[kind])
        return value >> unused if self._endian == "big" else value & (1 << 8 * _INTEGER_BYTES[kind]) - 1
