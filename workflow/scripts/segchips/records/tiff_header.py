"""TODO: describe."""

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from segchips.records.chip_header import NO_GEOTRANSFORM, DamagedFileError, FastHeader
from segchips.records.chip_tags import parse_chip_tags

_DTYPES = {
    **{(bits, 1): f"uint{bits}" for bits in (8, 16, 32, 64)},
    **{(bits, 2): f"int{bits}" for bits in (8, 16, 32, 64)},
    **{(bits, 3): f"float{bits}" for bits in (32, 64)},
}
_FORMATS = {1: "B", 3: "H", 4: "I", 12: "d", 16: "Q"}
_INTEGERS = {1: 1, 3: 2, 4: 4}
_SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_WITH_PREDICTOR = (5, 8, 32946, 50000)
_COMPRESSIONS = (1, 32773, 34925, *_WITH_PREDICTOR)
_SCALE, _TIEPOINT, _MATRIX, _GEOKEYS = 33550, 33922, 34264, (34735, 34736, 34737)


@dataclass(frozen=True)
class _ByteLayout:
    """How a kind of TIFF lays out its directories: byte order, where the offset of the first is, and their parts."""

    order: str
    endian: Literal["little", "big"]
    start: int
    place: struct.Struct
    number: struct.Struct
    entry: struct.Struct


_ORDERS: dict[str, tuple[bytes, Literal["little", "big"]]] = {"<": (b"II", "little"), ">": (b"MM", "big")}
_LAYOUTS = {
    struct.pack(f"{order}2sH", mark, version): _ByteLayout(
        order, endian, start, *(struct.Struct(order + form) for form in forms)
    )
    for order, (mark, endian) in _ORDERS.items()
    for version, start, *forms in ((42, 4, "I", "H", "HHII"), (43, 8, "Q", "Q", "HHQQ"))
}


class _Directory:
    """The first directory of a TIFF or BigTIFF file of either byte order."""

    def __init__(self, content: bytes) -> None:
        layout = _LAYOUTS[content[:4]]
        self.content, self.order, self.endian, self.inline = content, layout.order, layout.endian, layout.place.size
        (offset,) = layout.place.unpack_from(content, layout.start)
        (entries,) = layout.number.unpack_from(content, offset)
        first = offset + layout.number.size
        last = first + entries * layout.entry.size
        self.tags = {tag: rest for tag, *rest in layout.entry.iter_unpack(content[first:last])}
        (self.next,) = layout.place.unpack_from(content, last)
        for kind, count, value in self.tags.values():
            if (size := count * _SIZES.get(kind, 1)) > self.inline:
                self.check(value + size)

    def check(self, end: int) -> None:
        """DamagedError where the file ends before byte `end`."""
        if end > len(self.content):
            raise DamagedFileError

    def raw(self, tag: int, size: int = 1) -> bytes:
        """The bytes of a tag's value of `size` bytes each; empty where there is no such tag."""
        if tag not in self.tags:
            return b""
        _, count, value = self.tags[tag]
        if count * size > self.inline:
            return self.content[value : value + count * size]
        return value.to_bytes(self.inline, self.endian)[: count * size]

    def numbers(self, tag: int, *default: int) -> tuple[Any, ...]:
        """A tag's numbers, or the default where there is no such tag."""
        if tag not in self.tags:
            return default
        kind, count, _ = self.tags[tag]
        form = _FORMATS[kind]
        return struct.unpack(f"{self.order}{count}{form}", self.raw(tag, struct.calcsize(f"={form}")))

    def number(self, tag: int, default: int | None = None) -> int:
        """A tag's only number, or the default where there is no such tag."""
        if tag not in self.tags and default is not None:
            return default
        kind, count, value = self.tags[tag]
        if count != 1:
            raise ValueError
        unused = 8 * (self.inline - _INTEGERS[kind])
        return value >> unused if self.endian == "big" else value & (1 << 8 * _INTEGERS[kind]) - 1


def _is_plain(tags: _Directory) -> bool:
    """Whether libtiff's raw samples are what GDAL gives."""
    compression, predictor = tags.number(259, 1), tags.number(317, 1)
    return bool(
        tags.next == 0
        and 330 not in tags.tags
        and compression in _COMPRESSIONS
        and (predictor == 1 or compression in _WITH_PREDICTOR)
        and tags.number(262) in (1, 2, 3)
        and tags.number(266, 1) == 1
        and tags.number(274, 1) == 1
    )


def _has_all_blocks(tags: _Directory, height: int, width: int, planes: int) -> bool:
    """Whether every strip or tile is there; DamagedError where the file ends before one."""
    tiled = 322 in tags.tags
    offsets, sizes = tags.numbers(324 if tiled else 273), tags.numbers(325 if tiled else 279)
    rows, columns = (tags.number(323), tags.number(322)) if tiled else (min(tags.number(278, height), height), width)
    tags.check(max(offset + size for offset, size in zip(offsets, sizes, strict=True)))
    return len(offsets) == -(-height // rows) * -(-width // columns) * planes and min(offsets) > 0 and min(sizes) > 0


def _geokeys(tags: _Directory) -> bytes:
    """What the CRS follows from: byte order, key directory, doubles and text."""
    parts = [tags.raw(tag, size) for tag, size in zip(_GEOKEYS, (2, 8, 1), strict=True)]
    return tags.order.encode() + b"|".join(parts) if parts[0] else b""


@lru_cache(256)
def _pixel_is_point(order: str, directory: bytes) -> bool:
    keys = list(struct.iter_unpack(f"{order}4H", directory))
    return any(key == 1025 and value == 2 for key, _, _, value in keys[1:])


def _geotransform(tags: _Directory) -> tuple[float, ...]:
    """From one tiepoint and a scale, of pixel corners; ValueError for what needs GDAL."""
    directory = tags.raw(_GEOKEYS[0], 2)
    if _MATRIX in tags.tags or _pixel_is_point(tags.order, directory):
        raise ValueError
    if not directory and _SCALE not in tags.tags and _TIEPOINT not in tags.tags:
        return NO_GEOTRANSFORM
    right, down, _ = tags.numbers(_SCALE)
    column, row, _, x, y, _ = tags.numbers(_TIEPOINT)
    if not (right > 0 and down > 0):
        raise ValueError
    return x - column * right, right, 0.0, y + row * down, 0.0, -down


def read_tiff_header(content: bytes) -> FastHeader | None:
    tags = _Directory(content)
    height, width, channels = tags.number(257), tags.number(256), tags.number(277, 1)
    planar = tags.number(284, 1) == 2
    complete = _has_all_blocks(tags, height, width, channels if planar else 1)
    bits, kinds = tags.numbers(258), tags.numbers(339, *[1] * channels)
    ((dtype, *others),) = [sorted({_DTYPES[pair] for pair in zip(bits, kinds, strict=True)})]
    if others or len(bits) != channels or not complete or not _is_plain(tags):
        return None
    about = parse_chip_tags(tags.raw(42112), channels)
    bare = tags.tags.keys().isdisjoint((42112, 42113))
    return FastHeader("tiff", height, width, channels, dtype, planar, _geotransform(tags), _geokeys(tags), about, bare)


def utm_geokeys() -> dict[bytes, str]:
    """The geokeys that GDAL writes for WGS 84 / UTM, and their CRS."""
    known = {}
    for hemisphere, first in (("N", 32600), ("S", 32700)):
        for zone in range(1, 61):
            name = f"WGS 84 / UTM zone {zone}{hemisphere}|"
            texts = (1026, 34737, len(name), 0, 2049, 34737, 7, len(name))
            codes = (2054, 0, 1, 9102, 3072, 0, 1, first + zone, 3076, 0, 1, 9001)
            directory = struct.pack("<32H", 1, 1, 0, 7, 1024, 0, 1, 1, 1025, 0, 1, 1, *texts, *codes)
            known[b"<%b||%bWGS 84|\0" % (directory, name.encode())] = f"EPSG:{first + zone}"
    return known
