"""What a chip file says about itself: size, dtype, georeference and tags."""

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from segchips.records.chip_tags import ChipTags

NO_GEOTRANSFORM = (0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
"""The geotransform of a raster without georeference, in GDAL's order."""


class DamagedFileError(Exception):
    """A file is cut off or has a wrong checksum."""


class Sidecars(IntEnum):
    """The files beside a chip that can add to its header, such as .tfw (a world file) or .aux.xml (others)."""

    NONE = 0
    WORLD_FILE = 1
    OTHER = 2


@dataclass(frozen=True)
class ChipHeader:
    """The header of a chip file.

    Attributes:
        path: The file.
        height: Rows.
        width: Columns.
        channels: Bands.
        dtype: The NumPy name of the dtype that all bands share.
        crs: The CRS as `rasterio.crs.CRS.to_string` writes it; empty without one.
        geotransform: West, pixel width, rotation, north, rotation, minus pixel height, in units of the CRS.
        valid: The share of valid pixels, from 0 to 1, as in `ChipTags`.
        bands: Band names, as in `ChipTags`.
        acquired: Acquisition times, as in `ChipTags`.
        scenes: Product and id of the scenes, as in `ChipTags`.
        bare: Whether the file is a GeoTIFF known to have neither a nodata value nor band names.
        steps: The first and last day of each step of a time series, as in `ChipTags`.
        palette: Whether the values are indices of a colour table.
        lossy: Whether the file's compression may have changed values.
        nodata: The nodata value; None without one.
        masked: Whether a mask, or a last band that is alpha, may say which pixels are valid.
        skipped: Scenes that could not be read, as in `ChipTags`.
    """

    path: str | Path
    height: int
    width: int
    channels: int
    dtype: str
    crs: str
    geotransform: tuple[float, ...]
    valid: float | None
    bands: tuple[str, ...] = ()
    acquired: tuple[str, ...] = ()
    scenes: tuple[tuple[str, str], ...] = ()
    bare: bool = False
    steps: tuple[tuple[str, str], ...] = ()
    palette: bool = False
    lossy: bool = False
    nodata: float | None = None
    masked: bool = False
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def layout(self) -> tuple[int, int, int, str]:
        """Height, width, channels and dtype, which all images of a layer, or labels of a target, share."""
        return self.height, self.width, self.channels, self.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the chip's pixels in records: (steps x) height x width x channels."""
        count = len(self.steps)
        return (count, self.height, self.width, self.channels // count) if count else self.layout[:3]


@dataclass(frozen=True)
class FastHeader:
    """The header of a file in a layout that is read without GDAL.

    Attributes:
        kind: "tiff", "png" or "jpeg".
        height: Rows.
        width: Columns.
        channels: Bands.
        dtype: The NumPy name of the dtype.
        planar: Whether the file stores band after band.
        geotransform: As in `ChipHeader`.
        geokeys: The bytes that determine the CRS; empty without one.
        tags: The tags of the file.
        bare: As in `ChipHeader`.
        palette: As in `ChipHeader`.
        nodata: As in `ChipHeader`.
        masked: As in `ChipHeader`.
    """

    kind: str
    height: int
    width: int
    channels: int
    dtype: str
    planar: bool = False
    geotransform: tuple[float, ...] = NO_GEOTRANSFORM
    geokeys: bytes = b""
    tags: ChipTags = ChipTags()
    bare: bool = False
    palette: bool = False
    nodata: float | None = None
    masked: bool = False
