"""The pixel grid of rasters: CRS, pixel size, and where pixel corners lie."""

import math
from dataclasses import dataclass

from segchips.grids.systems import ProjectedSystem, decimal_text

MAX_SHIFT = 1e-3
"""Parts of a pixel by which rasters may lie off one another's pixel corners and still share a grid."""
_DECIMALS, _PLAIN_DECIMALS = 9, 6
_NOISE = 4
"""Steps of floating point by which the corners in a file's header may be off what its writer meant."""


@dataclass(frozen=True)
class PixelGrid:
    """Square pixels in a projected CRS.

    Attributes:
        crs: The code of the CRS, such as `EPSG:2056`.
        origin: The pixel corner nearest to the origin of the CRS, in units of the CRS: the same for all rasters on one
            grid, however far they extend.
        resolution: The side of a pixel, in units of the CRS.
    """

    crs: str
    origin: tuple[float, float]
    resolution: float

    @classmethod
    def through(cls, crs: str, corner: tuple[float, float], resolution: float, pixels: int = 2**20) -> "PixelGrid":
        """Returns the grid of pixels of a size that has a corner at a point.

        Writers of rasters divide extents by numbers of pixels, which leaves 0.10000000000466 for 0.1. Numbers that so
        little separates from one of six decimals become that one, so that all files have the same grid.

        Args:
            crs: The code of the CRS.
            corner: A pixel corner, in units of the CRS.
            resolution: The side of a pixel.
            pixels: Pixels along the shorter side of the raster, between whose corners the resolution was computed.
        """
        noise = _NOISE * math.ulp(max(map(abs, corner)))
        resolution = _plain(resolution, noise / pixels)
        # A corner in the middle between two corners of the origin's pixel is always the one above it.
        whole = (math.floor(side / resolution + 0.5 - MAX_SHIFT) for side in corner)
        offsets = (side - count * resolution for side, count in zip(corner, whole, strict=True))
        east, north = (round(_plain(offset, noise), _DECIMALS) + 0.0 for offset in offsets)
        tolerance = MAX_SHIFT * 1e-3 * resolution
        return cls(crs, tuple(0.0 if abs(x) < tolerance else x for x in (east, north)), resolution)  # type: ignore[arg-type]

    def shift(self, corner: tuple[float, float]) -> float:
        """Returns how far, in pixels, a point lies from the nearest pixel corner along either axis."""
        offsets = ((side - start) / self.resolution for side, start in zip(corner, self.origin, strict=True))
        return max(abs(offset - round(offset)) for offset in offsets)

    @property
    def system(self) -> ProjectedSystem:
        """The system of a tile grid whose tiles begin at pixel corners."""
        return ProjectedSystem(self.crs, self.origin)

    def __str__(self) -> str:
        """The grid in the words of messages."""
        return f"pixels of {decimal_text(self.resolution)} in {self.crs}"


def _plain(value: float, noise: float) -> float:
    """Returns a number of few decimals where noise alone separates the value from it, else the value."""
    plain = round(value, _PLAIN_DECIMALS)
    return plain if plain and abs(plain - value) <= noise else value
