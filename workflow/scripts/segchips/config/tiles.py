"""The block `tiles`: which tiles are made."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, model_validator

from segchips.config.blocks import Block, Integer, Number, problem
from segchips.grids.tile import Grid


@dataclass(frozen=True)
class TilesConfig(Block):
    """The grid of the tiles, and their area: an AOI, explicit keys, or else the extent of the labels."""

    size: Annotated[Integer, Field(ge=1, le=16384)] = 64
    """Pixels along a chip's side, including padding."""
    pad: Annotated[Integer, Field(ge=0)] = 2
    """Pixels by which a chip extends beyond its tile on each side."""
    resolution: Annotated[Number, Field(gt=0, le=1_000_000)] = 10.0
    """Metres along a pixel's side; at most six decimals, as in a tile key."""
    aoi: str | None = None
    """Vector file of the area of interest; null uses `keys`, or else the extent of the label features."""
    layer: str | None = None
    """Layer of the AOI file; needed only if the file has several."""
    keys: Annotated[tuple[str, ...], Field(min_length=1)] | str | None = None
    """Explicit tile keys, as a list or as a text file with one key on each line."""

    @property
    def grid(self) -> Grid:
        """The grid that the tiles are cut from."""
        return Grid(self.size, self.pad, self.resolution)

    @model_validator(mode="after")
    def _check(self) -> "TilesConfig":
        if self.size <= 2 * self.pad:
            text = f"{self.size} leaves no pixel between paddings of {self.pad} pixels; it must be above {2 * self.pad}"
            raise problem("size", text)
        if round(self.resolution, 6) != self.resolution:
            text = f"{self.resolution} has more than the six decimals of a tile key; round it to {self.resolution:.6f}"
            raise problem("resolution", text)
        if self.aoi and self.keys:
            raise problem("", f"both aoi ({self.aoi}) and keys are given; keep one")
        return self
