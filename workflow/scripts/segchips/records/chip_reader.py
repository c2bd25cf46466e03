"""Header and pixels of one chip file in any format that GDAL reads, without GDAL where the result is the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segchips.errors import InputError, RecordError
from segchips.records.chip_header import NO_GEOTRANSFORM, ChipHeader, DamagedFileError, FastHeader, Sidecars
from segchips.records.chip_tags import read_chip_tags
from segchips.records.dataset_info import item_bytes
from segchips.records.fast_header import read_fast_header
from segchips.records.tiff_header import utm_geokeys

if TYPE_CHECKING:
    from segchips.arrays import Pixels

MAX_CHIP_BYTES = 2**30
"""The largest size of a chip's pixels in memory."""
_REFERRING_DRIVERS = ("VRT", "WMS", "WMTS", "WCS", "GTI", "STACIT", "STACTA")
_RAW_DRIVERS = ("ENVI", "EHdr", "GenBin")
"""GDAL fills missing bytes of such files with zeros."""
_crs_by_geokeys = {b"": "", **utm_geokeys()}


@contextmanager
def open_chip(path: str | Path) -> Iterator[Any]:
    """Open a chip as a rasterio dataset.

    Raises:
        InputError: GDAL cannot read the file, here or in the block, or the file is not a chip.
    """
    import numpy as np
    import rasterio

    try:
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="TRUE"), rasterio.open(path) as source:
            _check_one_picture(path, source)
            if len(set(source.dtypes)) != 1:
                raise InputError(f"{path} mixes dtypes ({', '.join(source.dtypes)}); the bands of a chip share one")
            if source.driver in _REFERRING_DRIVERS:
                raise InputError(f"{path} is of format {source.driver}, which shows other files; give those themselves")
            size = source.height * source.width * sum(np.dtype(dtype).itemsize for dtype in source.dtypes)
            _check_size(path, size)
            if source.driver in _RAW_DRIVERS and os.stat(path).st_size < size:
                raise InputError(f"{path} cannot be read as a raster: it has fewer than {size} bytes")
            yield source
    except (rasterio.errors.RasterioError, rasterio.errors.CRSError) as error:
        raise InputError(f"{path} cannot be read as a raster: {error.__cause__ or error}") from error


def _check_one_picture(path: str | Path, source: Any) -> None:
    """Raise InputError if the file holds several rasters, of which GDAL would read the first or none."""
    if source.count == 0 or source.driver == "GTiff" and source.subdatasets:
        count = len(source.subdatasets)
        raise InputError(f"{path} has {count} pages or rasters; a chip is one, so write each to a file of its own")


def _is_lossy(source: Any) -> bool:
    structure = source.tags(ns="IMAGE_STRUCTURE")
    reversibility, compression = (structure.get(f"COMPRESSION{key}", "") for key in ("_REVERSIBILITY", ""))
    return source.driver == "JPEG" or "JPEG" in compression.split() or reversibility.startswith("LOSSY")


def _is_masked(source: Any) -> bool:
    from rasterio.enums import MaskFlags

    flags = {flag for flags in source.mask_flag_enums for flag in flags}
    return bool(flags & {MaskFlags.per_dataset, MaskFlags.alpha})


def _gdal_header(path: str | Path, source: Any) -> ChipHeader:
    from rasterio.enums import ColorInterp

    crs = source.crs.to_string() if source.crs else ""
    size = source.height, source.width, source.count, source.dtypes[0]
    transform = tuple(map(float, source.transform.to_gdal()))
    gdal_tags = source.tags()
    tags = read_chip_tags(gdal_tags.get("VALID"), gdal_tags.get("SCENES"), source.descriptions, gdal_tags.get("STEPS"))
    return ChipHeader(
        path,
        *size,
        crs,
        transform,
        tags.valid,
        tags.bands,
        tags.acquired,
        tags.scenes,
        steps=tags.steps,
        palette=source.colorinterp[0] == ColorInterp.palette,
        lossy=_is_lossy(source),
        nodata=source.nodata,
        masked=_is_masked(source),
        skipped=tags.skipped,
    )


def _gdal_pixels(source: Any) -> Pixels:
    import numpy as np

    array = np.empty((source.height, source.width, source.count), source.dtypes[0])
    source.read(out=array.transpose(2, 0, 1))
    return array


def _check_size(path: str | Path, size: int) -> None:
    """Raise InputError if the pixels do not fit in memory: a small file can claim any size."""
    if size > MAX_CHIP_BYTES:
        raise InputError(f"{path} has {size} bytes of pixels; a chip can have up to {MAX_CHIP_BYTES}")


def _from_fast_header(path: str | Path, fast: FastHeader) -> ChipHeader:
    if fast.geokeys not in _crs_by_geokeys:
        with open_chip(path) as source:
            _crs_by_geokeys[fast.geokeys] = _gdal_header(path, source).crs
    size = fast.height, fast.width, fast.channels, fast.dtype
    return ChipHeader(
        path,
        *size,
        _crs_by_geokeys[fast.geokeys],
        fast.geotransform,
        *(fast.tags.valid, fast.tags.bands, fast.tags.acquired, fast.tags.scenes),
        fast.bare,
        fast.tags.steps,
        fast.palette,
        fast.kind == "jpeg",
        fast.nodata,
        fast.masked,
        fast.tags.skipped,
    )


def _decode_without_gdal(content: bytes, fast: FastHeader) -> Pixels | None:
    """Decode the pixels; None if no other decoder is proven equal to GDAL's, or if it fails."""
    import imagecodecs

    if fast.kind == "jpeg":
        return None
    try:
        array: Pixels = (imagecodecs.tiff_decode if fast.kind == "tiff" else imagecodecs.png_decode)(content)
    except (RuntimeError, ValueError, IndexError):
        return None
    if array.dtype != fast.dtype or array.size != fast.height * fast.width * fast.channels:
        return None
    if fast.planar:
        return array.reshape(fast.channels, fast.height, fast.width).transpose(1, 2, 0)
    return array.reshape(fast.height, fast.width, fast.channels)


def _read_content(path: str | Path) -> tuple[bytes, FastHeader | None]:
    try:
        with open(path, "rb", buffering=0) as stream:
            content = stream.read()
        if not content:
            raise InputError(f"{path} is empty")
        fast = read_fast_header(content)
        if fast:
            _check_size(path, fast.height * fast.width * fast.channels * item_bytes(fast.dtype))
        return content, fast
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except DamagedFileError as error:
        raise InputError(f"{path} cannot be read as a raster: it is cut off or damaged") from error


def _is_complete(fast: FastHeader, sidecars: Sidecars) -> bool:
    """Whether no sidecar adds to the header; GDAL ignores a world file if the file has a georeference."""
    if sidecars == Sidecars.WORLD_FILE:
        return fast.geotransform != NO_GEOTRANSFORM
    return sidecars == Sidecars.NONE


def read_header(path: str | Path, sidecars: Sidecars = Sidecars.OTHER) -> ChipHeader:
    """Read a chip's header.

    Args:
        path: The chip file.
        sidecars: The files beside it.

    Raises:
        InputError: The file cannot be read as a raster.
    """
    _, fast = _read_content(path)
    if fast and _is_complete(fast, sidecars):
        return _from_fast_header(path, fast)
    with open_chip(path) as source:
        return _gdal_header(path, source)


def read_chip(path: str | Path, sidecars: Sidecars = Sidecars.OTHER) -> tuple[ChipHeader, Pixels]:
    """Read a chip's header and pixels.

    Args:
        path: The chip file.
        sidecars: The files beside it.

    Returns:
        The header, and the pixels (height x width x channels) in the chip's dtype.

    Raises:
        InputError: The file cannot be read as a raster, or is damaged.
    """
    content, fast = _read_content(path)
    pixels = _decode_without_gdal(content, fast) if fast else None
    if fast and pixels is not None and _is_complete(fast, sidecars):
        return _from_fast_header(path, fast), pixels
    with open_chip(path) as source:
        return _gdal_header(path, source), _gdal_pixels(source) if pixels is None else pixels


def read_file(path: str | Path, sidecars: Sidecars = Sidecars.OTHER) -> tuple[ChipHeader, bytes]:
    """Read a chip's header and the bytes of its file.

    Where the layout of the file does not show that it is whole, its pixels are decoded as a check.

    Args:
        path: The chip file.
        sidecars: The files beside it.

    Raises:
        InputError: The file cannot be read as a raster, or is damaged.
    """
    content, fast = _read_content(path)
    if fast and _is_complete(fast, sidecars):
        return _from_fast_header(path, fast), content
    with open_chip(path) as source:
        if not fast:
            _check_one_file(path, source)
            _gdal_pixels(source)
        return _gdal_header(path, source), content


def _check_one_file(path: str | Path, source: Any) -> None:
    """Raise InputError if pixels lie in other files than this one."""
    if source.driver in (*_RAW_DRIVERS, "MRF") or any(name.lower().endswith(".ige") for name in source.files):
        raise InputError(f"{path} is of format {source.driver}, whose pixels lie in other files; use storage array")


def decode_chip(content: bytes) -> Pixels:
    """Decode the bytes of a chip file.

    Returns:
        The pixels (height x width x channels) in the file's dtype.

    Raises:
        RecordError: The bytes are not a raster file, or the file is damaged.
    """
    try:
        fast = read_fast_header(content)
    except DamagedFileError as error:
        raise RecordError("a record's file is cut off or damaged") from error
    pixels = _decode_without_gdal(content, fast) if fast else None
    return _gdal_decode(content) if pixels is None else pixels


def _gdal_decode(content: bytes) -> Pixels:
    import rasterio

    try:
        with rasterio.MemoryFile(content) as file, file.open() as source:
            return _gdal_pixels(source)
    except rasterio.errors.RasterioError as error:
        raise RecordError(f"a record's file cannot be read as a raster: {error.__cause__ or error}") from error


def encode_pixels(path: str | Path, pixels: Pixels, nodata: float | None) -> bytes:
    """Encode other pixels as a file that has the georeference and tags of a chip.

    A PNG file becomes a PNG file, any other a GeoTIFF. A colour table is left out, and so is the checksum of the old
    pixels.

    Args:
        path: The chip file.
        pixels: Height x width x channels.
        nodata: The nodata value; None without one.

    Returns:
        The bytes of the new file.
    """
    import rasterio

    with open_chip(path) as source, rasterio.MemoryFile() as file:
        height, width, count = pixels.shape
        profile = {"driver": "GTiff", "compress": "deflate", "crs": source.crs, "transform": source.transform}
        if source.driver == "GTiff":
            profile |= {key: value for key, value in source.profile.items() if key != "photometric"}
        profile |= {"height": height, "width": width, "count": count, "dtype": pixels.dtype.name, "nodata": nodata}
        if source.driver == "PNG":
            profile["driver"] = "PNG"
            del profile["compress"]
        with file.open(**profile) as target:
            target.update_tags(**{name: text for name, text in source.tags().items() if name != "CHECKSUM"})
            if count == source.count:
                target.descriptions = source.descriptions
            target.write(pixels.transpose(2, 0, 1))
        return bytes(file.read())
