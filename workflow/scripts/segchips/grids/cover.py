"""Which tiles of the UTM zones meet an area, and which of any grid.

Source: `DLTile.from_shape` of the client library; tests compare this module with it. A tile belongs to an area when the
lon/lat quadrilateral between the corners of its core box meets the area inside the tile's own six-degree zone.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import shapely

from segchips.arrays import Ints, Mask
from segchips.errors import ConfigError, InputError
from segchips.grids.block_search import MAX_TILES, mask_of, search_blocks
from segchips.grids.ground import projection_of
from segchips.grids.indices import block_bounds, in_grid_order
from segchips.grids.planar_cover import planar_tiles, project_area
from segchips.grids.systems import FALSE_EASTING
from segchips.grids.tile import HALF_ZONE, POLE, Grid
from segchips.grids.tile_array import TileArray
from segchips.grids.utm import box_outlines, over_poles, zone_longitudes
from segchips.vectors.geometry import Geometries, extract_polygons, polygon_parts
from segchips.vectors.longitudes import within_globe

ROUNDING = 1e-9
"""Degrees added around a block's lon/lat box, so that rounding loses no tile."""
BLOCK = 100_000.0
"""Metres: the search for tiles starts with blocks at least this large."""
_BULGE = 0.02
"""The share of a block's width by which its sides bulge, at most, where overlapping tiles reach across a meridian."""


def cover_area(aoi: Any, grid: Grid) -> TileArray:
    """Returns the tiles that meet an area.

    Args:
        aoi: One lon/lat geometry or an array of them. They may overlap, be invalid, or leave -180..180.
        grid: The grid.

    Returns:
        Distinct tiles, ordered as by `in_grid_order`.

    Raises:
        ConfigError: The resolution of a grid of UTM zones has more decimals than fit into the keys of DLTiles.
        InputError: The area is empty, lies outside the grid's CRS, or holds more than `block_search.MAX_TILES` tiles.
    """
    parts = lonlat_parts(aoi)
    projection = projection_of(grid)
    if projection:
        return planar_tiles(project_area(parts, projection), grid)
    if round(grid.resolution, 6) != grid.resolution:
        raise ConfigError(f"tiles.resolution: {grid.resolution} has more than the six decimals that fit into tile keys")
    indices = np.empty((0, 3), np.int64)
    for zone, clipped in _clip_to_zones(parts):
        of_zone = _zone_tiles(clipped, zone, grid, MAX_TILES - len(indices))
        indices = np.concatenate([indices, np.insert(of_zone, 0, zone, axis=1)])
    return TileArray(grid, in_grid_order(indices))


def lonlat_parts(aoi: Any) -> Geometries:
    """Returns the valid polygons (n) of lon/lat geometries, within the globe; InputError where there are none."""
    valid, _ = extract_polygons(np.atleast_1d(np.asarray(aoi, dtype=object)))
    parts, _ = polygon_parts(within_globe(valid))
    if not parts.size:
        raise InputError("the area of interest is empty: it has no polygon between 90 degrees south and north")
    return parts


def _clip_to_zones(parts: Geometries) -> Iterator[tuple[int, Geometries]]:
    """Yields each UTM zone with the polygons clipped to it; a polygon that only touches a zone has no part there."""
    bounds = shapely.bounds(parts)
    for zone in range(1, 61):
        west, east = zone_longitudes(zone)
        inside = (bounds[:, 0] >= west) & (bounds[:, 2] <= east)
        crossing = (bounds[:, 0] < east) & (bounds[:, 2] > west) & ~inside
        clipped, _ = polygon_parts(shapely.intersection(parts[crossing], shapely.box(west, -90, east, 90)))
        if inside.any() or clipped.size:
            yield zone, np.concatenate([parts[inside], clipped])


def _zone_tiles(parts: Geometries, zone: int, grid: Grid, limit: int) -> Ints:
    """Returns path and row (n, 2) of the zone's tiles that meet polygons in it.

    No block reaches across the equator or the central meridian. On either side, lon and lat are monotonic in easting
    and northing, so the lon/lat box around a block's corners holds the whole block.
    """
    levels = max(0, int(np.ceil(np.log2(BLOCK / grid.core))))
    return search_blocks(
        parts,
        levels,
        lambda span: zone_blocks(span * grid.step),
        lambda blocks, span: block_boxes(blocks, zone, span, grid),
        lambda tiles, tree: _tiles_meet(tiles, zone, grid, parts, tree),
        limit,
        f"{grid.core:g} m",
    )


def zone_blocks(size: float) -> Ints:
    """Returns column and row (n, 2) of all squares of `size` metres in a zone."""
    columns, rows = int(np.ceil(HALF_ZONE / size)), int(np.ceil(POLE / size))
    return np.stack(np.meshgrid(np.arange(-columns, columns), np.arange(-rows, rows)), axis=-1).reshape(-1, 2)


def block_boxes(blocks: Ints, zone: int, span: int, grid: Grid) -> Geometries:
    """Returns lon/lat boxes (n) that hold blocks (n, 2) of `span` x `span` tiles."""
    bounds = shapely.bounds(box_outlines(block_bounds(blocks, span, grid), zone, steps=1))
    margin = ROUNDING if grid.stride is None else ROUNDING + _BULGE * np.ptp(bounds.reshape(-1, 2, 2), axis=1).max()
    boxes: Geometries = shapely.box(*(bounds + margin * np.array([-1, -1, 1, 1])).T)
    return boxes


def _tiles_meet(tiles: Ints, zone: int, grid: Grid, parts: Geometries, tree: shapely.STRtree) -> Mask:
    """Returns which tiles' core boxes meet a part; there are no tiles beyond a pole."""
    bounds = block_bounds(tiles, 1, grid)
    outlines = box_outlines(bounds, zone, steps=1)
    tile, part = tree.query(outlines)
    meets = mask_of(tile[shapely.intersects(parts[part], outlines[tile])], len(tiles))
    west, south, east, north = bounds.T
    beside_pole = np.logical_or(*over_poles(bounds)) & ((west > FALSE_EASTING) | (east < FALSE_EASTING))
    on_globe: Mask = ~beside_pole & (south < POLE) & (north > -POLE)
    return meets & on_globe
