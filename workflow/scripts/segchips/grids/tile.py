"""Grids and tiles as plain arithmetic: key, file name, CRS, bounds and geotransform.

The default grid is that of Descartes Labs tiles (DLTiles). Source: the Tile and Grid classes of the client library
(`core.common.dltile`); tests compare this module with them. The module needs no NumPy, so that code that only handles
keys and file names starts fast.
"""

import re
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from segchips.errors import InputError
from segchips.grids.systems import GridSystem, UtmZones, decimal_text, parse_key_field

POLE = 9_997_964.943
"""Metres along the central meridian from the equator to a pole, as in the client library."""
HALF_ZONE = 334_000.0
"""Metres from the central meridian to the border of a UTM zone at the equator, rounded up."""
_KEY = re.compile(r"(\d+)(?:s(\d+))?:(\d+):(\d+(?:\.\d+)?):([^:]+):(-?\d+):(-?\d+)", re.ASCII)

_NOT_A_KEY = (
    "'{}' is not a valid tile key; a key reads tilesize:pad:resolution:zone:ti:tj, such as 60:2:10.0:33:-58:8465, "
    "or has a CRS in place of the zone, such as EPSG2056"
)

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
    """A division of the ground into squares, in every UTM zone or in one projected CRS.

    Attributes:
        size: Pixels along a side of a tile, padding counted.
        pad: Pixels of padding on each side.
        resolution: The side of a pixel, in units of the CRS.
        stride: Pixels from one tile to the next; fewer than `tilesize` where core boxes overlap. None is `tilesize`.
        system: The CRSs, and the origin that tiles are counted from.
    """

    size: int
    pad: int
    resolution: float
    stride: int | None = None
    system: GridSystem = UtmZones()

    @property
    def tilesize(self) -> int:
        """Pixels along a side of a tile's core box, without padding."""
        return self.size - 2 * self.pad

    @property
    def core(self) -> float:
        """The side of a tile's core box, in units of the CRS."""
        return self.tilesize * self.resolution

    @property
    def pixel_step(self) -> int:
        """Pixels from one tile to the next."""
        return self.stride or self.tilesize

    @property
    def step(self) -> float:
        """The distance from one tile to the next, in units of the CRS."""
        return self.pixel_step * self.resolution

    @property
    def padding(self) -> float:
        """The padding on each side, in units of the CRS."""
        return self.pad * self.resolution

    @property
    def is_sparse(self) -> bool:
        """Whether tiles may begin at any pixel, so that a dataset has a few of all possible tiles."""
        return self.stride == 1

    @property
    def is_dltile(self) -> bool:
        """Whether the tiles are DLTiles, which the platforms know by their keys."""
        return isinstance(self.system, UtmZones) and self.stride is None

    @cached_property
    def key(self) -> str:
        """The first three fields of every tile key, such as `60:2:10.0`, or `60s30:2:10.0` where tiles overlap."""
        stride = f"s{self.stride}" if self.stride else ""
        return f"{self.tilesize}{stride}:{self.pad}:{decimal_text(self.resolution)}"

    @property
    def origin(self) -> tuple[float, float]:
        """The south-west corner of path 0, row 0 in every CRS of the grid."""
        return self.system.origin

    def crs(self, zone: int) -> str:
        """Returns the CRS of a zone, such as `EPSG:32633`."""
        return self.system.crs(zone)

    def __str__(self) -> str:
        """The grid in the words of the config."""
        stride = f", stride {self.stride}" if self.stride else ""
        return f"size {self.size}, pad {self.pad}, resolution {self.resolution}{stride}, grid {self.system}"


@lru_cache(1024)
def _grid_of_fields(tilesize: str, stride: str | None, pad: str, resolution: str, place: str) -> tuple[Grid, int]:
    """Returns the grid and the zone that a tile key begins with; ValueError, which may say why, where it is no key."""
    located = parse_key_field(place)
    if not located:
        raise ValueError
    system, zone = located
    if int(tilesize) == 0 or float(resolution) == 0 or (isinstance(system, UtmZones) and not 1 <= zone <= 60):
        raise ValueError("tilesize and resolution must be above 0 and the zone from 1 to 60")
    if stride is not None and not 1 <= int(stride) < int(tilesize):
        raise ValueError(f"the stride must be from 1 to {int(tilesize) - 1}")
    size = int(tilesize) + 2 * int(pad)
    return Grid(size, int(pad), float(resolution), int(stride) if stride else None, system), zone


@dataclass(frozen=True)
class Tile:
    """One square of a grid.

    Attributes:
        grid: The grid.
        zone: UTM zone, 1 to 60; 0 where the grid has one CRS.
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
            key: `tilesize:pad:resolution:zone:path:row`, such as `60:2:10.0:33:-58:8465`, or with a CRS in place of
                the zone, such as `60:2:10.0:EPSG2056:4350:2000`; see docs/how-to/grids.md.

        Raises:
            InputError: The text is not a tile key, or a field is out of range.
        """
        match = _KEY.fullmatch(key.strip())
        if not match:
            raise InputError(_NOT_A_KEY.format(key))
        *fields, path, row = match.groups()
        try:
            grid, zone = _grid_of_fields(*fields)
        except ValueError as error:
            reason = str(error)
            raise InputError(f"tile key '{key}': {reason}" if reason else _NOT_A_KEY.format(key)) from error
        return cls(grid, zone, int(path), int(row))

    @classmethod
    def from_name(cls, name: str) -> "Tile":
        """Parses the stem of a chip file; raises InputError as `from_key` does."""
        return cls.from_key(chip_key(name))

    @cached_property
    def key(self) -> str:
        """The key, which alone tells CRS and geotransform; that of a DLTile is the client library's."""
        return f"{self.grid.key}:{self.grid.system.key_field(self.zone)}:{self.path}:{self.row}"

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
        return self.grid.crs(self.zone)

    @property
    def core_bounds(self) -> Bounds:
        """Bounds of the core box in units of the CRS, without padding."""
        origin_east, origin_north = self.grid.origin
        west, south = origin_east + self.path * self.grid.step, origin_north + self.row * self.grid.step
        return west, south, west + self.grid.core, south + self.grid.core

    @property
    def bounds(self) -> Bounds:
        """Bounds of the chip in units of the CRS, with padding."""
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
