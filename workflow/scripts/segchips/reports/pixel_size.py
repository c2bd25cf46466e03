"""The size of the pixels of a dataset's tiles, in words."""

from segchips.grids.ground import projection_of
from segchips.grids.tile import Tile

_SYMBOLS = {"metre": "m", "foot": "ft", "US survey foot": "ft (US survey)"}


def pixel_size(key: str) -> str:
    """Returns the side of a tile's pixels with its unit, such as `10 m`; outside of UTM with the CRS too."""
    grid = Tile.from_key(key).grid
    projection = projection_of(grid)
    if projection is None:
        return f"{grid.resolution:g} m"
    return f"{grid.resolution:g} {_SYMBOLS.get(projection.unit, projection.unit)} in {projection.code}"
