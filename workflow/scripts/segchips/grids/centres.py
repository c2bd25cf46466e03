"""Tiles around points, which begin at any pixel."""

import numpy as np
import pyproj

from segchips.arrays import Floats, Ints, Mask
from segchips.errors import InputError
from segchips.grids.ground import projection_of
from segchips.grids.indices import check_indices
from segchips.grids.systems import NO_ZONE
from segchips.grids.tile import POLE, Grid
from segchips.vectors.antimeridian import WGS84


def indices_around(xy: Floats, crs: pyproj.CRS, fids: Ints, grid: Grid, name: object) -> Ints:
    """Returns the tile around each point, its middle as near to the point as its pixels allow.

    Args:
        xy: Coordinates (n, 2) of points, x or longitude first.
        crs: Their CRS.
        fids: The feature id (n) of each point, for messages.
        grid: A grid whose tiles begin at any pixel.
        name: How messages name the points.

    Returns:
        Zone, path and row (n, 3).

    Raises:
        InputError: A point does not exist in the grid's CRS, or lies far beyond its area of use.
    """
    lon, lat = pyproj.Transformer.from_crs(crs, WGS84, always_xy=True).transform(*xy.T)
    lon, lat = np.asarray(lon), np.asarray(lat)
    on_earth = np.isfinite(lon) & np.isfinite(lat) & (np.abs(lat) <= 90) & (np.abs(lon) <= 540)
    _refuse(~on_earth, fids, name, f"has coordinates that are not on the earth; is {crs.name} the CRS?")
    lon = (lon + 180) % 360 - 180
    projection = projection_of(grid)
    if projection is None:
        zones = np.minimum((lon + 180) // 6 + 1, 60).astype(np.int64)
        x, y = np.empty(len(lon)), np.empty(len(lon))
        for zone in np.unique(zones).tolist():
            at = zones == zone
            project = pyproj.Transformer.from_crs(WGS84, grid.crs(zone), always_xy=True).transform
            x[at], y[at] = project(lon[at], lat[at])
        _refuse(np.abs(y) > POLE, fids, name, "lies at a pole, where UTM has no tiles; set tiles.grid to a polar CRS")
    else:
        zones = np.full(len(lon), NO_ZONE, np.int64)
        same = crs.equals(projection.crs, ignore_axis_order=True)
        x, y = xy.T if same else projection.from_lonlat(lon, lat)
        beyond = ~np.isfinite(x) | ~np.isfinite(y) | projection.beyond_use(lon, lat)
        _refuse(beyond, fids, name, f"lies beyond the area of use of {projection.code}; take another CRS as tiles.grid")
    pixels = (np.column_stack([x, y]) - np.array(grid.origin)) / grid.resolution
    corners = np.column_stack([zones, np.floor(pixels - grid.tilesize / 2 + 0.5)])
    check_indices(corners)
    return corners.astype(np.int64)


def _refuse(wrong: Mask, fids: Ints, name: object, reason: str) -> None:
    if wrong.any():
        others = f" (and {wrong.sum() - 1} others)" if wrong.sum() > 1 else ""
        raise InputError(f"{name}: the point of feature FID {fids[wrong][0]}{others} {reason}")
