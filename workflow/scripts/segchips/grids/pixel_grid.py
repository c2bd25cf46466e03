"""The pixel grid of rasters: CRS, pixel size, and where pixel corners lie."""

from dataclasses import dataclass

from segchips.grids.systems import ProjectedSystem, decimal_text

MAX_SHIFT = 1e-3
"""Parts of a pixel by which rasters may lie off one another's pixel corners and still share a grid."""
_DECIMALS = 9


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
    def through(cls, crs: str, corner: tuple[float, float], resolution: float) -> "PixelGrid":
        """Returns the grid of pixels of a size that has a corner at a point."""
        east, north = (round(side - round(side / resolution) * resolution, _DECIMALS) + 0.0 for side in corner)
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
