"""Which overview of a raster is read on tiles whose pixels are larger than the raster's."""

import numpy as np

from segchips.chips.open_rasters import OpenRaster
from segchips.chips.pixel_index import source_positions
from segchips.grids.tile import Tile

_LARGER = 1.01
"""How much larger than a tile's pixels those of an overview may be: sizes of overviews are rounded, and differ among
UTM zones."""
_AVERAGING = ("bilinear", "cubic", "cubic_spline", "lanczos", "average")
"""Methods that give much the same from averages of pixels as from the pixels."""
_CHOOSING = ("NEAREST", "MODE")
"""Methods that give pixels of overviews values of single source pixels, and average none."""


def overview_level(source: OpenRaster, tile: Tile, resampling: str, overviews: bool | None) -> int | None:
    """Return the number, from 0, of the coarsest overview whose pixels are no larger than a tile's.

    Args:
        source: The raster at full resolution.
        tile: The tile.
        resampling: The name of the method that resamples to the tile's grid.
        overviews: Whether overviews may be read; None where that depends on method and raster.

    Returns:
        None where the full resolution is read.
    """
    if overviews is False or not (overviews or _suits(source, resampling)) or not source.overview_factors:
        return None
    limit = _LARGER * _pixel_ratio(source, tile)
    fitting = [(factor, level) for level, factor in enumerate(source.overview_factors) if factor <= limit]
    return max(fitting)[1] if fitting else None


def is_like(overview: OpenRaster, source: OpenRaster) -> bool:
    """Return whether an overview says as its raster which pixels are valid, and can be read."""
    is_known = overview.remote is None or overview.remote.is_known
    same_nodata = repr(overview.dataset.nodatavals) == repr(source.dataset.nodatavals)  # NaN equals no NaN
    same_mask = (overview.masked, overview.shadowed_alpha) == (source.masked, source.shadowed_alpha)
    return is_known and same_nodata and same_mask


def _suits(source: OpenRaster, resampling: str) -> bool:
    """Whether a method gives much the same from overviews, as far as the raster says how these were made.

    From averages, mode would take classes that no pixel has, and extremes and quantiles would be wrong. From single
    pixels, an average would be that of a few samples.
    """
    if resampling in _AVERAGING:
        return source.overview_method not in _CHOOSING
    return resampling == "mode" and (source.overview_method in _CHOOSING or source.has_palette)


def _pixel_ratio(source: OpenRaster, tile: Tile) -> float:
    """How many pixels of the raster a tile's pixel has along its shorter side, at the tile's centre; 0 if unknown."""
    west, south, east, north = tile.bounds
    x, y, step = (west + east) / 2, (south + north) / 2, tile.geotransform[1]
    columns, rows = source_positions(tile, source, np.array([x, x + step, x]), np.array([y, y, y + step]))
    if not (np.isfinite(columns).all() and np.isfinite(rows).all()):
        return 0.0
    sides = np.hypot(columns[1:] - columns[0], rows[1:] - rows[0])
    return float(sides.min())
