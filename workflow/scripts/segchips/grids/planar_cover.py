"""Which tiles of a projected CRS meet an area, computed in the plane of the CRS."""

import numpy as np
import shapely

from segchips.arrays import Ints, Mask
from segchips.errors import InputError
from segchips.grids.block_search import MAX_TILES, all_blocks, mask_of, search_blocks
from segchips.grids.indices import block_bounds, check_indices, in_grid_order
from segchips.grids.projected import MAX_BEYOND, SEAM_GAP, ProjectedCrs, projected_crs
from segchips.grids.systems import NO_ZONE
from segchips.grids.tile import Grid
from segchips.grids.tile_array import TileArray
from segchips.vectors.antimeridian import WGS84
from segchips.vectors.geometry import Geometries, polygon_parts, reproject_geometries

_START_BLOCKS = 64
"""Blocks along the longer side of the area, about, that the search for tiles starts with."""


def split_at_seam(geometries: Geometries, central_meridian: float) -> Geometries:
    """Cuts lon/lat geometries (n) where a projection's coordinates jump, 180 degrees from its central meridian."""
    west, east = central_meridian - 180 + SEAM_GAP, central_meridian + 180 - SEAM_GAP
    bounds = shapely.bounds(geometries)
    outside = ((bounds[:, 0] < west) | (bounds[:, 2] > east)) & ~shapely.is_missing(geometries)
    result = geometries.copy()
    pieces = [
        shapely.transform(
            shapely.intersection(geometries[outside], shapely.box(west + turn, -90, east + turn, 90)),
            lambda lonlat, turn=turn: lonlat - [turn, 0.0],
        )
        for turn in (-360.0, 0.0, 360.0)
    ]
    if outside.any():
        result[outside] = shapely.union_all(np.stack(pieces), axis=0)
    return result


def project_area(parts: Geometries, projection: ProjectedCrs) -> Geometries:
    """Converts lon/lat polygons within the globe to polygons (m) in a projected CRS.

    Raises:
        InputError: The area reaches far beyond where the CRS is meant to be used.
    """
    west, south, east, north = shapely.total_bounds(parts)
    error = InputError(
        f"the area of interest (longitude {west:.6g} to {east:.6g}, latitude {south:.6g} to {north:.6g}) reaches "
        f"beyond the area of use of {projection.code} ({_described(projection)}); clip the area, or take another CRS"
    )
    if projection.use_bounds and not shapely.covers(_use_area(projection), parts).all():
        raise error
    cut, _ = polygon_parts(split_at_seam(parts, projection.central_meridian))
    try:
        projected, _ = polygon_parts(
            _repaired(reproject_geometries(cut, WGS84, projection.crs, "the area of interest"))
        )
    except InputError as cause:
        raise error from cause
    return projected


def _use_area(projection: ProjectedCrs) -> shapely.Geometry:
    """The area of use and its surroundings, with longitudes from -540 to 540 as areas may be written."""
    west, south, east, north = projection.use_bounds or (-180, -90, 180, 90)
    if east - west + 2 * MAX_BEYOND >= 360:
        return shapely.box(-540, south - MAX_BEYOND, 540, north + MAX_BEYOND)
    box = shapely.box(west - MAX_BEYOND, south - MAX_BEYOND, east + MAX_BEYOND, north + MAX_BEYOND)
    turns = [shapely.transform(box, lambda lonlat, turn=turn: lonlat + [turn, 0.0]) for turn in (-360.0, 0.0, 360.0)]
    return shapely.union_all(turns)


def _described(projection: ProjectedCrs) -> str:
    if projection.use_bounds is None:
        return "which it does not tell"
    west, south, east, north = projection.use_bounds
    return f"longitude {west:g} to {east:g}, latitude {south:g} to {north:g}"


def _repaired(geometries: Geometries) -> Geometries:
    invalid = ~shapely.is_valid(geometries)
    geometries[invalid] = shapely.make_valid(geometries[invalid], method="structure", keep_collapsed=False)
    return geometries


def planar_tiles(parts: Geometries, grid: Grid) -> TileArray:
    """Returns the tiles that share ground with polygons in the grid's CRS; those that only touch one do not.

    Raises:
        InputError: There are more than `block_search.MAX_TILES` tiles, or they lie too far from the origin.
    """
    _check_place(parts, projected_crs(grid.crs(NO_ZONE)))
    bounds = shapely.total_bounds(parts) - np.tile(grid.origin, 2)
    extent = max(bounds[2] - bounds[0], bounds[3] - bounds[1])
    levels = max(0, int(np.floor(np.log2(max(extent / _START_BLOCKS / grid.step, 1)))))
    overlap = grid.core - grid.step
    found = search_blocks(
        parts,
        levels,
        lambda span: all_blocks(tuple(bounds.tolist()), span * grid.step, overlap),
        lambda blocks, span: shapely.box(*block_bounds(blocks, span, grid).T),
        lambda tiles, tree: _share_ground(tiles, grid, parts, tree),
        MAX_TILES,
        f"{grid.core:g} ({grid.crs(NO_ZONE)})",
    )
    indices = np.insert(found, 0, NO_ZONE, axis=1)
    check_indices(indices)
    return TileArray(grid, in_grid_order(indices))


def _check_place(parts: Geometries, projection: ProjectedCrs) -> None:
    """Raises InputError where all of an area lies far beyond where the CRS is used, as where x and y are swapped."""
    x, y = shapely.get_coordinates(parts).T
    if projection.beyond_use(*projection.to_lonlat(x, y)).all():
        raise InputError(
            f"the area of interest (x {x.min():.6g} to {x.max():.6g}, y {y.min():.6g} to {y.max():.6g}) lies beyond "
            f"the area of use of {projection.code} ({_described(projection)}); check its coordinates and CRS"
        )


def _share_ground(tiles: Ints, grid: Grid, parts: Geometries, tree: shapely.STRtree) -> Mask:
    boxes = shapely.box(*block_bounds(tiles, 1, grid).T)
    tile, part = tree.query(boxes, predicate="intersects")
    apart = shapely.touches(parts[part], boxes[tile])
    return mask_of(tile[~apart], len(tiles))
