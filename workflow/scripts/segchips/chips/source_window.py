"""The part of a raster that resampling mixes into the pixels of a tile."""

import math

import numpy as np
from rasterio.windows import Window

from segchips.chips.open_rasters import OpenRaster
from segchips.chips.pixel_index import cached_transformer, source_positions
from segchips.grids.tile import Tile

_KERNEL_RADIUS = {"bilinear": 1, "cubic": 2, "cubic_spline": 2, "lanczos": 3}


def turn_of_raster(tile: Tile, source: OpenRaster) -> float:
    """What to add to a raster's longitudes, in whole turns, for the values that GDAL computes at the tile's centre."""
    if not source.turn or source.has_crs(tile.crs):
        return 0.0
    west, south, east, north = tile.bounds
    (x,), _ = cached_transformer(tile, source).transform(np.array([(west + east) / 2]), np.array([(south + north) / 2]))
    return source.turn * round((x - source.centre[0]) / source.turn) if math.isfinite(x) else 0.0


def source_window(source: OpenRaster, tile: Tile, resampling: str) -> Window | None:
    """The raster's window that the resampling kernel reaches from the tile; None where they do not meet."""
    west, south, east, north = tile.bounds
    edge = np.linspace(0, 1, 33)
    along, zero = west + edge * (east - west), np.zeros_like(edge)
    up = south + edge * (north - south)
    x = np.concatenate([along, along, zero + west, zero + east])
    y = np.concatenate([zero + south, zero + north, up, up])
    columns, rows = source_positions(tile, source, x, y)
    finite = np.isfinite(columns) & np.isfinite(rows)
    if not finite.any():
        return None
    columns, rows = columns[finite], rows[finite]
    radius = _KERNEL_RADIUS.get(resampling, 1)
    reach = [math.ceil(radius * max(1.0, np.ptp(axis) / tile.size)) + 2 for axis in (columns, rows)]
    left, right = max(0, math.floor(columns.min()) - reach[0]), min(source.width, math.ceil(columns.max()) + reach[0])
    top, bottom = max(0, math.floor(rows.min()) - reach[1]), min(source.height, math.ceil(rows.max()) + reach[1])
    return Window(left, top, right - left, bottom - top) if left < right and top < bottom else None
