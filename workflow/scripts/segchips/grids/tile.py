"""Grids and tiles as plain arithmetic: key, file name, CRS, bounds and geotransform.

The one grid so far is that of Descartes Labs tiles (DLTiles). Source: the Tile and Grid classes of the client library
(`core.common.dltile`); tests compare this module with them. The module needs no NumPy, so that code that only handles
keys and file names starts fast.
"""

import re
from dataclasses import dataclass, replace
from functools import cached_property

from segchips.errors import InputError

FALSE_EASTING = 500_000
"""Easting in metres of a UTM zone's central meridian."""
POLE = 9_997_964.943
"""Metres along the central meridian from the equator to a pole, as in the client library."""
HALF_ZONE = 334_000.0
"""Metres from the central meridian to the border of a UTM zone at the equator, rounded up."""
_KEY = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?):(\d{1,2}):(-?\d+):(-?\d+)")

Bounds = tuple[float, float, float, float]
"""West, south, east, north in units of the CRS."""
Geotransform = tuple[float, float, float, float, float, float]
"""GDAL's six coefficients: west, pixel width, 0, north, 0, minus pixel height."""


def chip_name(key: str) -> str:
    """Returns the stem of a tile's chip files: the key with '#' for ':', which Windows does not allow in names."""
    return key.replace(":", "#")


def chip_filename(key: str) -> str:
    """Returns the file name of a tile's chips, such as `60#2#10.0#33#-58#8465.tif`."""
    return f"{chip_name(key)}.tif"


def chip_key(name: str) -> str:
    """Returns the tile key of a chip file's stem, the reverse of `chip_name`."""
    return name.replace("#", ":")


@dataclass(frozen=True)
class Grid:
    """A division of every UTM zone into squares.

    Attributes:
        size: Pixels along a side of a tile, padding counted.
        pad: Pixels of padding on each side.
        resolution: Metres along a pixel.
    """

    size: int
    pad: int
    resolution: float

    @property
    def tilesize(self) -> int:
        """Pixels along a side of a tile's core box, without padding."""
        return self.size - 2 * self.pad

    @property
    def core(self) -> float:
        """Metres along a side of a tile's core box."""
        return self.tilesize * self.resolution

    @property
    def padding(self) -> float:
        """Metres of padding on each side."""
        return self.pad * self.resolution

    @property
    def key(self) -> str:
        """The first three fields of every tile key, such as `60:2:10.0`."""
        resolution = f"{self.resolution:f}".rstrip("0")
        return f"{self.tilesize}:{self.pad}:{resolution}{'0' if resolution.endswith('.') else ''}"

    @property
    def origin(self) -> tuple[float, float]:
        """Easting and northing in metres of the south-west corner of path 0, row 0 in every zone."""
        return FALSE_EASTING, 0

    def epsg(self, zone: int) -> int:
        """Returns the EPSG code of a zone's CRS: always the northern one, so southern tiles have negative northings."""
        return 32600 + zone


@dataclass(frozen=True)
class Tile:
    """One square of a grid.

    Attributes:
        grid: The grid.
        zone: UTM zone, 1 to 60.
        path: Column, counted east from the grid's origin.
        row: Row, counted north from the grid's origin.
        coarseness: How many of the grid's pixels lie along a pixel of the tile's chip.
    """

    grid: Grid
    zone: int
    path: int
    row: int
    coarseness: int = 1

    @classmethod
    def from_key(cls, key: str) -> "Tile":
        """Parses a tile key.

        Args:
            key: `tilesize:pad:resolution:zone:path:row`, such as `60:2:10.0:33:-58:8465`.

        Raises:
            InputError: The text is not a tile key, or a field is out of range.
        """
        match = _KEY.fullmatch(key.strip())
        if not match:
            raise InputError(
                f"'{key}' is not a valid tile key; "
                "a key reads tilesize:pad:resolution:zone:ti:tj, such as 60:2:10.0:33:-58:8465"
            )
        tilesize, pad, zone, path, row = (int(match[i]) for i in (1, 2, 4, 5, 6))
        resolution = float(match[3])
        if tilesize == 0 or resolution == 0 or not 1 <= zone <= 60:
            raise InputError(f"tile key '{key}': tilesize and resolution must be above 0 and the zone from 1 to 60")
        return cls(Grid(tilesize + 2 * pad, pad, resolution), zone, path, row)

    @classmethod
    def from_name(cls, name: str) -> "Tile":
        """Parses the stem of a chip file; raises InputError as `from_key` does."""
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
        """The CRS of bounds and geotransform, such as `EPSG:32633`."""
        return f"EPSG:{self.grid.epsg(self.zone)}"

    @property
    def core_bounds(self) -> Bounds:
        """Bounds of the core box in metres, without padding."""
        origin_east, origin_north = self.grid.origin
        west, south = origin_east + self.path * self.grid.core, origin_north + self.row * self.grid.core
        return west, south, west + self.grid.core, south + self.grid.core

    @property
    def bounds(self) -> Bounds:
        """Bounds of the chip in metres, with padding."""
        pad = self.grid.padding
        west, south, east, north = self.core_bounds
        return west - pad, south - pad, east + pad, north + pad

    @property
    def size(self) -> int:
        """Pixels along a side of the tile's chip."""
        return self.grid.size // self.coarseness

    @property
    def geotransform(self) -> Geotransform:
        """The geotransform of the tile's chip."""
        west, _, _, north = self.bounds
        step = self.grid.resolution * self.coarseness
        return west, step, 0.0, north, 0.0, -step

    def coarsened(self, resolution: float | None) -> "Tile":
        """Returns the tile with a chip of coarser pixels of so many metres; None keeps those of the grid."""
        factor = 1 if resolution is None else round(resolution / self.grid.resolution)
        return replace(self, coarseness=factor)

    def check_location(self) -> None:
        """Raises InputError where the tile is so far from its UTM zone that its coordinates are not accurate."""
        west, south, east, north = self.core_bounds
        reach = 3 * HALF_ZONE
        if south >= POLE or north <= -POLE or west >= FALSE_EASTING + reach or east <= FALSE_EASTING - reach:
            raise InputError(f"tile key '{self.key}' lies outside UTM zone {self.zone}")
