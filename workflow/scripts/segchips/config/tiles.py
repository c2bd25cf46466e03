"""The block `tiles`: which tiles are made."""

from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field, model_validator

from segchips.config.blocks import Block, Integer, Number, Text, problem
from segchips.errors import InputError
from segchips.grids.pixel_grid import PixelGrid
from segchips.grids.systems import ProjectedSystem
from segchips.grids.tile import Grid

DLTILE, IMAGERY = "dltile", "imagery"
_DEFAULT_RESOLUTION = 10.0
_MAX_MULTIPLE_ERROR = 1e-6
_Coordinate = Annotated[Number, Field(ge=-1e9, le=1e9)]


@dataclass(frozen=True)
class ProjectedGrid(Block):
    """A grid in one projected CRS."""

    crs: Text
    """The code of a projected CRS, such as `EPSG:2056` or `ESRI:102008`; its units are those of `resolution`."""
    origin: Annotated[tuple[_Coordinate, ...], Field(json_schema_extra={"minItems": 2, "maxItems": 2})] = (0.0, 0.0)
    """Two numbers: x and y of a corner of the grid, in units of the CRS; tiles are counted from it."""

    @model_validator(mode="after")
    def _check(self) -> "ProjectedGrid":
        from segchips.grids.projected import projected_code

        if len(self.origin) != 2:
            raise problem("origin", f"{list(self.origin)} has {len(self.origin)} numbers; give x and y, such as [0, 0]")
        try:
            return replace(self, crs=projected_code(self.crs), origin=(self.origin[0] + 0.0, self.origin[1] + 0.0))
        except InputError as error:
            raise problem("crs", str(error)) from error


@dataclass(frozen=True)
class TilesConfig(Block):
    """The grid of the tiles, and their area: an AOI, points, explicit keys, or else the extent of the labels."""

    size: Annotated[Integer, Field(ge=1, le=16384)] = 64
    """Pixels along a chip's side, including padding."""
    pad: Annotated[Integer, Field(ge=0)] = 2
    """Pixels by which a chip extends beyond its tile on each side."""
    resolution: Annotated[Number | None, Field(gt=0, le=1_000_000)] = None
    """Metres (else the unit of the grid's CRS) along a pixel's side; null is 10, and on grid `imagery` the scenes' own.
    DLTiles take at most six decimals."""
    aoi: str | None = None
    """Vector file of the area of interest; null uses `centers`, `keys`, or else the extent of the label features."""
    layer: str | None = None
    """Layer of the AOI file or of the points; needed only if the file has several."""
    keys: Annotated[tuple[str, ...], Field(min_length=1)] | str | None = None
    """Explicit tile keys, as a list or as a text file with one key on each line."""
    grid: str | ProjectedGrid = DLTILE
    """Where tiles lie: `dltile` (UTM zones), `imagery` (the scenes' own pixels), or a projected CRS as a block."""
    stride: Annotated[Integer | None, Field(ge=2)] = None
    """Pixels from one tile to the next, for tiles that overlap besides their padding; null is `size` without
    padding."""
    centers: str | None = None
    """Vector file of points: one tile is made around each, whose middle is the nearest possible."""

    def tile_grid(self, pixels: PixelGrid | None = None) -> Grid:
        """Returns the grid that the tiles are cut from.

        Args:
            pixels: The pixel grid of the scenes, for grid `imagery`.

        Raises:
            InputError: The resolution is not a whole multiple of the scenes' pixels.
        """
        stride = 1 if self.centers else self.stride
        if stride == self.size - 2 * self.pad:
            stride = None
        if self.grid == DLTILE:
            return Grid(self.size, self.pad, self.resolution or _DEFAULT_RESOLUTION, stride)
        if isinstance(self.grid, ProjectedGrid):
            system = ProjectedSystem(self.grid.crs, (self.grid.origin[0], self.grid.origin[1]))
            return Grid(self.size, self.pad, float(self.resolution or _DEFAULT_RESOLUTION), stride, system)
        if pixels is None:
            raise InputError("tiles.grid: the pixel grid of the scenes is not known yet")
        resolution = self.resolution or pixels.resolution
        multiple = resolution / pixels.resolution
        if round(multiple) < 1 or abs(multiple - round(multiple)) > _MAX_MULTIPLE_ERROR:
            raise InputError(
                f"tiles.resolution: {resolution:g} is not a whole multiple of the scenes' pixels "
                f"({pixels.resolution:g}); remove the key to take the pixels as they are"
            )
        return Grid(self.size, self.pad, round(multiple) * pixels.resolution, stride, pixels.system)

    @model_validator(mode="after")
    def _check(self) -> "TilesConfig":
        core = self.size - 2 * self.pad
        if core <= 0:
            text = f"{self.size} leaves no pixel between paddings of {self.pad} pixels; it must be above {2 * self.pad}"
            raise problem("size", text)
        if isinstance(self.grid, str) and self.grid not in (DLTILE, IMAGERY):
            advice = f"give {DLTILE}, {IMAGERY}, or a projected CRS as in {{crs: EPSG:3035}}"
            raise problem("grid", f"'{self.grid}' is not a grid; {advice}")
        if self.stride and self.stride > core:
            text = f"{self.stride} leaves gaps between tiles of {core} pixels without padding; give at most {core}"
            raise problem("stride", text)
        if self.grid == DLTILE and self.resolution and round(self.resolution, 6) != self.resolution:
            text = f"{self.resolution} has more than the six decimals of a tile key; round it to {self.resolution:.6f}"
            raise problem("resolution", text)
        places = [f"{key} ({value})" for key in ("aoi", "centers") if (value := getattr(self, key))]
        places += ["keys"] if self.keys else []
        if len(places) > 1:
            raise problem("", f"both {' and '.join(places)} are given; keep one")
        if self.centers and self.stride:
            raise problem("stride", f"{self.stride} is for tiles in rows; with centers each point has its own tile")
        resolution = None if self.grid == IMAGERY else _DEFAULT_RESOLUTION
        return replace(self, resolution=self.resolution or resolution)
