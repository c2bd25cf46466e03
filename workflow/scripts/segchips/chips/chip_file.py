"""Chip files: LZW-compressed tiled GeoTIFFs on a tile's grid, with a checksum of their pixels."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import google_crc32c
import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from segchips.arrays import Mask, Pixels
from segchips.files import atomic_write
from segchips.grids.tile import Tile
from segchips.scenes.model import Scaling


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
            chip.update_tags(**tags, TILE=tile.key, CHECKSUM=_checksum(pixels))
            chip.descriptions = tuple(bands)
            if scaling and any(pair != (1.0, 0.0) for pair in scaling):
                chip.scales, chip.offsets = [scale for scale, _ in scaling], [offset for _, offset in scaling]
            chip.write(pixels)
            if valid is not None and not valid.all():
                with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
                    chip.write_mask(valid)
        atomic_write(path, memory.getbuffer())


def chip_made_from(path: Path, key: str) -> str | None:
    """What a chip says that it was made from.

    Args:
        path: The chip.
        key: The key of its tile.

    Returns:
        The rerun digest in the chip; None where the file is not a chip of this tile with the pixels that were written.
    """
    try:
        with rasterio.open(path) as chip:
            tags, pixels = chip.tags(), chip.read()
    except RasterioError:
        return None
    is_intact = (tags.get("TILE"), tags.get("CHECKSUM")) == (key, _checksum(pixels))
    return tags.get("MADE_FROM") if is_intact else None


def _checksum(pixels: Pixels) -> str:
    """CRC32C of the pixels as little-endian bytes in band, row, column order: eight hexadecimal digits."""
    little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    return f"{google_crc32c.value(little.tobytes()):08x}"
