"""What a chip file says about itself: size, dtype, georeference and tags."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segchips.records.chip_tags import ChipTags

if TYPE_CHECKING:
    pass

NO_GEOTRANSFORM = (0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


class DamagedFileError(Exception):
    """A file is cut off or has a wrong checksum."""


@dataclass(frozen=True)
class FastHeader:
    """A file whose layout is plain; `geokeys` tells its CRS from others, empty where it has none.

    `bare` says that it is a GeoTIFF that names no nodata value and no bands.
    """

    kind: str
    height: int
    width: int
    channels: int
    dtype: str
    planar: bool = False
    geotransform: tuple[float, ...] = NO_GEOTRANSFORM
    geokeys: bytes = b""
    told: ChipTags = ChipTags()
    bare: bool = False


@dataclass(frozen=True)
class ChipHeader:
    """What a chip says about itself; `valid`, `bands`, `acquired` and `scenes` are as in `segchips.headers.Told`.

    `bare` says that it is a GeoTIFF known to name no nodata value and no bands.
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

    @property
    def layout(self) -> tuple[int, int, int, str]:
        """Height, width, channels and dtype: what all images, or all labels, of a dataset share."""
        return self.height, self.width, self.channels, self.dtype
