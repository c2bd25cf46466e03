"""Chip files: header and pixels of one raster, in any format GDAL reads, without GDAL where the result is the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segchips.errors import InputError, RecordError
from segchips.records.chip_header import NO_GEOTRANSFORM, DamagedFileError, FastHeader
from segchips.records.chip_tags import read_chip_tags
from segchips.records.dataset_info import item_bytes
from segchips.records.fast_header import read_fast_header
from segchips.records.tiff_header import utm_geokeys

if TYPE_CHECKING:
    from segchips.arrays import Pixels

from segchips.records.chip_header import ChipHeader

ALONE, WORLD_FILE, OTHER = range(3)
"""What lies beside a chip file and tells more about it: nothing, a world file, or anything else, such as .aux.xml."""

MAX_CHIP_BYTES = 2**30
"""Of the pixels of one chip."""
_REFERRING = ("VRT", "WMS", "WMTS", "WCS", "GTI", "STACIT", "STACTA")
_RAW_DRIVERS = ("ENVI", "EHdr", "GenBin")
"""GDAL fills what is missing of such files with zeros."""
_crs_texts = {b"": "", **utm_geokeys()}


@contextmanager
def open_chip(path: str | Path) -> Iterator[Any]:
    """The chip as a rasterio dataset; InputError names a file that GDAL cannot read, here or in the block."""
    import numpy as np
    import rasterio

    try:
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="TRUE"), rasterio.open(path) as source:
            if len(set(source.dtypes)) != 1:
                raise InputError(f"{path} mixes dtypes ({', '.join(source.dtypes)}); the bands of a chip share one")
            if source.driver in _REFERRING:
                raise InputError(f"{path} is of format {source.driver}, which shows other files; give those themselves")
            size = source.height * source.width * sum(np.dtype(dtype).itemsize for dtype in source.dtypes)
            _check_size(path, size)
            if source.driver in _RAW_DRIVERS and os.stat(path).st_size < size:
                raise InputError(f"{path} cannot be read as a raster: it has fewer than {size} bytes")
            yield source
    except (rasterio.errors.RasterioError, rasterio.errors.CRSError) as error:
        raise InputError(f"{path} cannot be read as a raster: {error.__cause__ or error}") from error


def _gdal_header(path: str | Path, source: Any) -> ChipHeader:
    crs = source.crs.to_string() if source.crs else ""
    size = source.height, source.width, source.count, source.dtypes[0]
    transform = tuple(map(float, source.transform.to_gdal()))
    tags = source.tags()
    about = read_chip_tags(tags.get("VALID"), tags.get("SCENES"), source.descriptions)
    return ChipHeader(path, *size, crs, transform, about.valid, about.bands, about.acquired, about.scenes)


def _gdal_pixels(source: Any) -> Pixels:
    import numpy as np

    array = np.empty((source.height, source.width, source.count), source.dtypes[0])
    source.read(out=array.transpose(2, 0, 1))
    return array


def _check_size(path: str | Path, size: int) -> None:
    """InputError where pixels would fill the memory: a small file can claim any size."""
    if size > MAX_CHIP_BYTES:
        raise InputError(f"{path} has {size} bytes of pixels; a chip may have up to {MAX_CHIP_BYTES}")


def _from_fast_header(path: str | Path, quick: FastHeader) -> ChipHeader:
    if quick.geokeys not in _crs_texts:
        with open_chip(path) as source:
            _crs_texts[quick.geokeys] = _gdal_header(path, source).crs
    size = quick.height, quick.width, quick.channels, quick.dtype
    about = quick.told.valid, quick.told.bands, quick.told.acquired, quick.told.scenes
    return ChipHeader(path, *size, _crs_texts[quick.geokeys], quick.geotransform, *about, quick.bare)


def _decode_without_gdal(content: bytes, quick: FastHeader) -> Pixels | None:
    """The pixels without GDAL; None where no other decoder is proven equal to it, or where that one fails."""
    import imagecodecs

    if quick.kind == "jpeg":
        return None
    try:
        array: Pixels = (imagecodecs.tiff_decode if quick.kind == "tiff" else imagecodecs.png_decode)(content)
    except (RuntimeError, ValueError, IndexError):
        return None
    if array.dtype != quick.dtype or array.size != quick.height * quick.width * quick.channels:
        return None
    if quick.planar:
        return array.reshape(quick.channels, quick.height, quick.width).transpose(1, 2, 0)
    return array.reshape(quick.height, quick.width, quick.channels)


def _read_content(path: str | Path) -> tuple[bytes, FastHeader | None]:
    try:
        with open(path, "rb", buffering=0) as stream:
            content = stream.read()
        if not content:
            raise InputError(f"{path} is empty")
        quick = read_fast_header(content)
        if quick:
            _check_size(path, quick.height * quick.width * quick.channels * item_bytes(quick.dtype))
        return content, quick
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except DamagedFileError as error:
        raise InputError(f"{path} cannot be read as a raster: it is cut off or damaged") from error


def _is_complete(quick: FastHeader, beside: int) -> bool:
    """Whether nothing beside the file adds to its header; a world file does where the file has no georeference."""
    return beside == ALONE or (beside == WORLD_FILE and quick.geotransform != NO_GEOTRANSFORM)


def read_header(path: str | Path, beside: int = OTHER) -> ChipHeader:
    """A chip's header; InputError names a file that is no raster."""
    _, quick = _read_content(path)
    if quick and _is_complete(quick, beside):
        return _from_fast_header(path, quick)
    with open_chip(path) as source:
        return _gdal_header(path, source)


def read_chip(path: str | Path, beside: int = OTHER) -> tuple[ChipHeader, Pixels]:
    """A chip's header and pixels, height x width x channels in its own dtype; InputError names a damaged file."""
    content, quick = _read_content(path)
    pixels = _decode_without_gdal(content, quick) if quick else None
    if quick and pixels is not None and _is_complete(quick, beside):
        return _from_fast_header(path, quick), pixels
    with open_chip(path) as source:
        return _gdal_header(path, source), _gdal_pixels(source) if pixels is None else pixels


def read_file(path: str | Path, beside: int = OTHER) -> tuple[ChipHeader, bytes]:
    """A chip's header and the file's bytes; InputError names a damaged file.

    Where the layout does not show that the file is whole, its pixels are decoded to find out.
    """
    content, quick = _read_content(path)
    if quick and _is_complete(quick, beside):
        return _from_fast_header(path, quick), content
    with open_chip(path) as source:
        if not quick:
            _gdal_pixels(source)
        return _gdal_header(path, source), content


def decode_chip(content: bytes) -> Pixels:
    """The pixels of a file's bytes, height x width x channels in its own dtype; RecordError where there are none."""
    try:
        quick = read_fast_header(content)
    except DamagedFileError as error:
        raise RecordError("a record's file is cut off or damaged") from error
    pixels = _decode_without_gdal(content, quick) if quick else None
    return _gdal_decode(content) if pixels is None else pixels


def _gdal_decode(content: bytes) -> Pixels:
    import rasterio

    try:
        with rasterio.MemoryFile(content) as file, file.open() as source:
            return _gdal_pixels(source)
    except rasterio.errors.RasterioError as error:
        raise RecordError(f"a record's file cannot be read as a raster: {error.__cause__ or error}") from error


def encode_like(path: str | Path, pixels: Pixels) -> bytes:
    """A file's bytes with other pixels (height x width x channels), all else but their checksum as in a chip."""
    import rasterio

    with open_chip(path) as source, rasterio.MemoryFile() as file:
        with file.open(**source.profile) as target:
            target.update_tags(**{name: text for name, text in source.tags().items() if name != "CHECKSUM"})
            target.descriptions = source.descriptions
            target.write(pixels.transpose(2, 0, 1))
        return bytes(file.read())
