"""Descartes Labs tiles as pure arithmetic: key, name, bounds and geotransform.

Source: the Tile and Grid classes of the client library (`core.common.dltile`), to which tests hold this module.
"""

import re
from dataclasses import dataclass
from functools import cached_property

from segchips.errors import InputError

FALSE_EASTING = 500_000
_KEY = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?):(\d{1,2}):(-?\d+):(-?\d+)")

Bounds = tuple[float, float, float, float]
Geotransform = tuple[float, float, float, float, float, float]


def chip_name(key: str) -> str:
    """The stem of a tile's chip files: its key with '#' for ':', which file systems do not all allow."""
    return key.replace(":", "#")


def chip_filename(key: str) -> str:
    """The file name of a tile's chips, such as `60#2#10.0#33#-58#8465.tif`."""
    return f"{chip_name(key)}.tif"


def chip_key(name: str) -> str:
    """The tile key that the stem of a chip file stands for."""
    return name.replace("#", ":")


@dataclass(frozen=True)
class Grid:
    """A division of every UTM zone into squares of `size` pixels, padding counted, of `resolution` metres."""

    size: int
    pad: int
    resolution: float

    @property
    def tilesize(self) -> int:
        """Pixels along a tile's core, without padding."""
        return self.size - 2 * self.pad

    @property
    def core(self) -> float:
        """Metres along a tile's core."""
        return self.tilesize * self.resolution

    @property
    def key(self) -> str:
        """The first three fields of every tile key, such as `60:2:10.0`."""
        resolution = f"{self.resolution:f}".rstrip("0")
        return f"{self.tilesize}:{self.pad}:{resolution}{'0' if resolution.endswith('.') else ''}"


@dataclass(frozen=True)
class Tile:
    """One square of a grid: UTM zone 1 to 60, column `path` east and `row` north of the zone's origin."""

    grid: Grid
    zone: int
    path: int
    row: int

    @classmethod
    def from_key(cls, key: str) -> "Tile":
        """Parse `tilesize:pad:resolution:zone:ti:tj`; InputError for anything else, trailing junk included."""
        match = _KEY.fullmatch(key.strip())
        if not match:
            raise InputError(
                f"'{key}' is no tile key; one reads tilesize:pad:resolution:zone:ti:tj, such as 60:2:10.0:33:-58:8465"
            )
        tilesize, pad, zone, path, row = (int(match[i]) for i in (1, 2, 4, 5, 6))
        resolution = float(match[3])
        if tilesize == 0 or resolution == 0 or not 1 <= zone <= 60:
            raise InputError(f"tile key '{key}': tilesize and resolution must be above 0 and the zone from 1 to 60")
        return cls(Grid(tilesize + 2 * pad, pad, resolution), zone, path, row)

    @classmethod
    def from_name(cls, name: str) -> "Tile":
        """Parse a chip's file stem, the key with '#' for ':'."""
        return cls.from_key(chip_key(name))

    @cached_property
    def key(self) -> str:
        """The client library's key, such as `60:2:10.0:33:-58:8465`."""
        return f"{self.grid.key}:{self.zone:02d}:{self.path}:{self.row}"

    @property
    def name(self) -> str:
        """The stem of the tile's chip files."""
        return chip_name(self.key)

    @property
    def filename(self) -> str:
        """The file name of the tile's chips."""
        return chip_filename(self.key)

    @property
    def crs(self) -> str:
        """Always the northern zone, `EPSG:326zz`: the client gives southern tiles negative northings."""
        return f"EPSG:{32600 + self.zone}"

    @property
    def core_bounds(self) -> Bounds:
        """West, south, east, north in metres, without padding."""
        west, south = FALSE_EASTING + self.path * self.grid.core, self.row * self.grid.core
        return west, south, west + self.grid.core, south + self.grid.core

    @property
    def bounds(self) -> Bounds:
        """West, south, east, north in metres, with padding."""
        pad = self.grid.pad * self.grid.resolution
        west, south, east, north = self.core_bounds
        return west - pad, south - pad, east + pad, north + pad

    @property
    def geotransform(self) -> Geotransform:
        """GDAL order: west, pixel width, 0, north, 0, minus pixel height."""
        west, _, _, north = self.bounds
        return west, self.grid.resolution, 0.0, north, 0.0, -self.grid.resolution
