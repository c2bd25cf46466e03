"""Chip files: header and pixels of one raster, in any format GDAL reads."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from segchips.errors import InputError


@dataclass(frozen=True)
class Header:
    """What a chip says about itself; `valid` is its share of valid pixels where it names one."""

    path: Path
    driver: str
    height: int
    width: int
    channels: int
    dtype: str
    crs: str
    geotransform: tuple[float, ...]
    nodata: float | None
    bands: tuple[str | None, ...]
    valid: float | None

    @property
    def layout(self) -> tuple[int, int, int, str]:
        """Height, width, channels and dtype: what all images of a dataset share."""
        return self.height, self.width, self.channels, self.dtype

    @property
    def transform(self) -> str:
        """The geotransform in GDAL order as text that loses no digit."""
        return " ".join(map(repr, self.geotransform))


def _header(path: Path, source: rasterio.DatasetReader) -> Header:
    if len(set(source.dtypes)) != 1:
        raise InputError(f"{path} mixes dtypes ({', '.join(source.dtypes)}); a chip's bands share one")
    valid = source.tags().get("VALID")
    return Header(
        path,
        source.driver,
        source.height,
        source.width,
        source.count,
        source.dtypes[0],
        source.crs.to_string() if source.crs else "",
        tuple(map(float, source.transform.to_gdal())),
        source.nodata,
        source.descriptions,
        float(valid) if valid else None,
    )


def _pixels(source: rasterio.DatasetReader) -> NDArray[np.generic]:
    array = np.empty((source.height, source.width, source.count), source.dtypes[0])
    source.read(out=array.transpose(2, 0, 1))
    return array


def read_header(path: Path) -> Header:
    """A chip's header; InputError names a file that is no raster."""
    try:
        with rasterio.open(path) as source:
            return _header(path, source)
    except rasterio.errors.RasterioError as error:
        raise InputError(f"{path} cannot be read as a raster: {error}") from error


def read_chip(path: Path) -> tuple[Header, NDArray[np.generic]]:
    """A chip's header and pixels, height x width x channels in its own dtype; InputError names a damaged file."""
    try:
        with rasterio.open(path) as source:
            return _header(path, source), _pixels(source)
    except rasterio.errors.RasterioError as error:
        raise InputError(f"{path} cannot be read as a raster: {error}") from error


def decode_chip(content: bytes) -> NDArray[np.generic]:
    """The pixels of a chip file's bytes, height x width x channels in its own dtype."""
    with rasterio.MemoryFile(content) as file, file.open() as source:
        return _pixels(source)
