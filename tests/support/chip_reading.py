"""Comparison of chips read by the library with what GDAL reads."""

import rasterio

from segchips.errors import InputError
from segchips.records.chip_header import DamagedFileError, Sidecars
from segchips.records.chip_reader import decode_chip, read_chip, read_file, read_header
from segchips.records.fast_header import read_fast_header


def read_with_gdal(path):
    with rasterio.open(path) as source:
        crs = source.crs.to_string() if source.crs else ""
        return source.read().transpose(1, 2, 0), crs, source.transform.to_gdal()


def assert_read_like_gdal(path, sidecars=Sidecars.NONE):
    """What we read is what GDAL reads, bit by bit; returns whether GDAL was spared."""
    expected, crs, transform = read_with_gdal(path)
    header, found = read_chip(path, sidecars)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape == (header.height, header.width, header.channels)
    assert found.tobytes() == expected.tobytes()
    assert (header.dtype, header.crs, header.geotransform) == (str(expected.dtype), crs, transform)
    assert read_header(path, sidecars) == header
    assert read_file(path, sidecars) == (header, path.read_bytes())
    assert decode_chip(path.read_bytes()).tobytes() == expected.tobytes()
    return read_fast_header(path.read_bytes()) is not None


def result_or_none(read):
    try:
        return read()
    except (InputError, DamagedFileError, rasterio.errors.RasterioError, rasterio.errors.CRSError):
        return None
