"""The ground of boxes and points on any grid, in longitudes and latitudes."""

import numpy as np
import shapely

from segchips.arrays import Floats, Ints
from segchips.errors import InputError
from segchips.grids import utm
from segchips.grids.indices import check_indices, core_bounds
from segchips.grids.projected import ProjectedCrs, projected_crs
from segchips.grids.systems import FALSE_EASTING, ProjectedSystem
from segchips.grids.tile import HALF_ZONE, POLE, Grid, Tile
from segchips.vectors.geometry import Geometries


def projection_of(grid: Grid) -> ProjectedCrs | None:
    """Returns the CRS of a grid that has one, None for UTM zones."""
    return projected_crs(grid.system.code) if isinstance(grid.system, ProjectedSystem) else None


def metres_per_unit(grid: Grid) -> float:
    """Returns the metres in a unit of the grid's CRS, as the CRS defines it; on the ground they may be fewer."""
    projection = projection_of(grid)
    return projection.metres_per_unit if projection else 1.0


def tile_centres(indices: Ints, grid: Grid) -> tuple[Floats, Floats]:
    """Returns longitudes and latitudes (n) in degrees of the centres of tiles; longitudes may exceed 180."""
    bounds, projection = core_bounds(indices, grid), projection_of(grid)
    west, south, east, north = bounds.T
    x, y = (west + east) / 2, (south + north) / 2
    if projection is None:
        return utm.to_lonlat(x, y, indices[:, 0])
    lon, lat = projection.to_lonlat(x, y)
    beyond = ~np.isfinite(lon) | ~np.isfinite(lat)
    if beyond.any():
        lon, lat = lon.copy(), lat.copy()
        inside = shapely.get_coordinates(shapely.point_on_surface(projection.outlines(bounds[beyond], steps=8)))
        lon[beyond], lat[beyond] = inside.T
    return lon, lat


def box_outlines(bounds: Floats, zones: int | Ints, grid: Grid, steps: int) -> Geometries:
    """Converts boxes in units of their CRS (n, 4) to lon/lat polygons (n), each side as so many chords.

    Longitudes may exceed 180. A box over a pole becomes a cap around the pole.
    """
    projection = projection_of(grid)
    return projection.outlines(bounds, steps) if projection else utm.box_outlines(bounds, zones, steps)


def check_location(tile: Tile) -> None:
    """Raises InputError where a tile is so far from where its CRS is meant to be used that it has no place there."""
    west, south, east, north = tile.core_bounds
    projection = projection_of(tile.grid)
    if projection is None:
        reach = 3 * HALF_ZONE
        if south >= POLE or north <= -POLE or west >= FALSE_EASTING + reach or east <= FALSE_EASTING - reach:
            raise InputError(f"tile key '{tile.key}' lies outside UTM zone {tile.zone}")
        return
    check_indices(np.array([[tile.zone, tile.path, tile.row]], float))
    lon, lat = projection.to_lonlat(np.array([west, east, east, west]), np.array([south, south, north, north]))
    if projection.beyond_use(lon, lat).all():
        raise InputError(f"tile key '{tile.key}' lies far outside the area of use of {projection.code}")
