"""Chip files: LZW-compressed tiled GeoTIFFs on a tile's grid, with a checksum of all of their bytes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import google_crc32c
import rasterio
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from segchips.arrays import Mask, Pixels
from segchips.files import atomic_write
from segchips.grids.tile import Tile
from segchips.scenes.model import Scaling

_MARK = b'<Item name="CHECKSUM">'
_BLANK = b"00000000"
"""What stands in place of the checksum in the bytes that it is computed of."""


def write_chip(
    path: Path,
    pixels: Pixels,
    tile: Tile,
    bands: Sequence[str],
    nodata: float | None,
    tags: Mapping[str, str],
    scaling: Sequence[Scaling] | None = None,
    valid: Mask | None = None,
) -> None:
    """Write a chip file.

    Args:
        path: The file to write; appears whole or not at all.
        pixels: Band, row, column, on the tile's padded grid.
        tile: The tile, which gives the CRS and the geotransform.
        bands: The name of each band.
        nodata: The value of pixels that are not valid, or None.
        tags: Further metadata items of the file.
        scaling: Each band's scale and offset.
        valid: Which pixels (row, column) are valid, for chips without a nodata value; stored as the file's mask where
            some are not.

    Raises:
        StorageError: The file cannot be written.
    """
    block = min(256, -(-tile.size // 16) * 16)
    profile = {
        "driver": "GTiff",
        "width": tile.size,
        "height": tile.size,
        "count": len(bands),
        "dtype": pixels.dtype,
        "crs": tile.crs,
        "transform": Affine.from_gdal(*tile.geotransform),
        "nodata": nodata,
        "compress": "lzw",
        "interleave": "pixel",
        "tiled": True,
        "blockxsize": block,
        "blockysize": block,
        "alpha": "no",  # else GDAL takes the last of four bands of 8 bits for one
    }
    with MemoryFile() as memory:  # GDAL does not report a full disk
        with memory.open(**profile) as chip:
            chip.update_tags(**tags, TILE=tile.key, CHECKSUM=_BLANK.decode())
            chip.descriptions = tuple(bands)
            if scaling and any(pair != (1.0, 0.0) for pair in scaling):
                chip.scales, chip.offsets = [scale for scale, _ in scaling], [offset for _, offset in scaling]
            chip.write(pixels)
            if valid is not None and not valid.all():
                with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
                    chip.write_mask(valid)
        content = bytearray(memory.getbuffer())
    place = _place_of_checksum(content)
    content[place] = _checksum(content, place)
    atomic_write(path, bytes(content))


def chip_made_from(path: Path, key: str) -> str | None:
    """What a chip says that it was made from.

    Args:
        path: The chip.
        key: The key of its tile.

    Returns:
        The rerun digest in the chip; None where the file is not the chip of this tile that was written.
    """
    try:
        content = path.read_bytes()
        place = _place_of_checksum(content)
        if content[place] != _checksum(content, place):
            return None
        with MemoryFile(content) as memory, memory.open() as chip:
            tags = chip.tags()
    except (OSError, RasterioError):
        return None
    return tags.get("MADE_FROM") if tags.get("TILE") == key else None


def _place_of_checksum(content: bytes | bytearray) -> slice:
    """Where the bytes of a chip file hold its checksum; of a file without one, some other place."""
    start = content.rfind(_MARK) + len(_MARK)
    return slice(start, start + len(_BLANK))


def _checksum(content: bytes | bytearray, place: slice) -> bytes:
    """CRC32C of the bytes of a chip file, with zeros in place of the checksum: eight hexadecimal digits."""
    parts = bytes(content[: place.start]), _BLANK, bytes(content[place.stop :])
    checksum = google_crc32c.Checksum()
    for part in parts:
        checksum.update(part)
    return checksum.digest().hex().encode()
