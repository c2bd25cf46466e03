"""Headers of whole TIFF, PNG and JPEG files, read without GDAL where GDAL reads the same."""

import struct
import zlib
from collections.abc import Iterator

from segchips.records.chip_header import DamagedFileError, FastHeader
from segchips.records.tiff_directory import SIGNATURES
from segchips.records.tiff_header import read_tiff_header

_PNG_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
_PNG_WITH_ALPHA = (4, 6)


def _png_chunks(content: bytes) -> Iterator[bytes]:
    """Yield the type of each chunk after its checksum is checked: GDAL reads wrong pixels from a damaged PNG."""
    offset, kind = 8, b""
    while kind != b"IEND":
        if offset + 12 > len(content):
            raise DamagedFileError
        size, kind = struct.unpack_from(">I4s", content, offset)
        checked_bytes = memoryview(content)[offset + 4 : offset + 8 + size]
        if zlib.crc32(checked_bytes).to_bytes(4) != content[offset + 8 + size : offset + 12 + size]:
            raise DamagedFileError
        yield kind
        offset += 12 + size


def _png(content: bytes) -> FastHeader | None:
    chunks = set(_png_chunks(content))
    width, height, bits, color, *_, interlaced = struct.unpack_from(">IIBBBBB", content, 16)
    if color not in _PNG_CHANNELS or bits not in (8, 16) or interlaced or b"tRNS" in chunks:
        return None
    return FastHeader("png", height, width, _PNG_CHANNELS[color], f"uint{bits}", masked=color in _PNG_WITH_ALPHA)


def _jpeg_frame(content: bytes) -> tuple[int, ...]:
    """Precision in bits, height, width and number of components, from the frame header."""
    offset = 2
    while content[offset + 1] not in (0xC0, 0xC1, 0xC2):
        if content[offset] != 0xFF or content[offset + 1] in (0xC3, *range(0xC5, 0xD0), 0xDA):
            raise ValueError
        offset += 2 + struct.unpack_from(">H", content, offset + 2)[0]
    return struct.unpack_from(">BHHB", content, offset + 4)


def _jpeg(content: bytes) -> FastHeader | None:
    precision, height, width, channels = _jpeg_frame(content)
    if precision != 8 or channels not in (1, 3) or content[-2:] != b"\xff\xd9":
        return None
    return FastHeader("jpeg", height, width, channels, "uint8")


_READERS = dict.fromkeys(SIGNATURES, read_tiff_header) | {b"\x89PNG": _png}


def read_fast_header(content: bytes) -> FastHeader | None:
    """Read the header from the bytes of a whole chip file.

    Returns:
        The header, or None if only GDAL can read the file as GDAL would.

    Raises:
        DamagedFileError: The file is cut off or has a wrong checksum.
    """
    reader = _jpeg if content[:3] == b"\xff\xd8\xff" else _READERS.get(content[:4])
    try:
        return reader(content) if reader else None
    except (KeyError, ValueError, IndexError, ZeroDivisionError, struct.error):
        return None
