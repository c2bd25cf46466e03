"""Which tiles of a grid meet an area.

Source: `DLTile.from_shape` of the client library; tests compare this module with it. A tile belongs to an area when the
lon/lat quadrilateral between the corners of its core box meets the area inside the tile's own six-degree zone.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import shapely

from segchips.arrays import Floats, Ints, Mask
from segchips.errors import ConfigError, InputError
from segchips.grids.tile import FALSE_EASTING, HALF_ZONE, POLE, Grid, Tile
from segchips.grids.utm import box_outlines, over_poles, utm_bounds, zone_longitudes
from segchips.vectors.geometry import Geometries, extract_polygons, polygon_parts
from segchips.vectors.longitudes import within_globe

MAX_TILES = 5_000_000
BLOCK = 100_000.0
"""Metres: the search for tiles starts with blocks at least this large."""
ROUNDING = 1e-9
"""Degrees added around a block's lon/lat box, so that rounding loses no tile."""


def cover_area(aoi: Any, grid: Grid) -> list[Tile]:
    """Returns the tiles that meet an area.

    Args:
        aoi: One lon/lat geometry or an array of them. They may overlap, be invalid, or leave -180..180.
        grid: The grid.

    Returns:
        Distinct tiles, ordered as by `in_grid_order`.

    Raises:
        ConfigError: The grid's resolution has more decimals than fit into tile keys.
        InputError: The area is empty, or holds more than `MAX_TILES` tiles.
    """
    if float(grid.key.split(":")[2]) != grid.resolution:
        raise ConfigError(f"tiles.resolution: {grid.resolution} has more than the six decimals that fit into tile keys")
    valid, _ = extract_polygons(np.atleast_1d(np.asarray(aoi, dtype=object)))
    parts, _ = polygon_parts(within_globe(valid))
    if not parts.size:
        raise InputError("the area of interest is empty: it has no polygon between 90 degrees south and north")
    tiles: list[Tile] = []
    for zone, clipped in _clip_to_zones(parts):
        indices = _zone_tiles(clipped, zone, grid.core, MAX_TILES - len(tiles))
        tiles += [Tile(grid, zone, path, row) for path, row in indices.tolist()]
    return in_grid_order(tiles)


def in_grid_order(tiles: Sequence[Tile]) -> list[Tile]:
    """Returns the tiles ordered by zone, then row from north to south, then path from west to east."""
    return sorted(tiles, key=lambda tile: (tile.zone, -tile.row, tile.path))


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


def _zone_tiles(parts: Geometries, zone: int, core: float, limit: int) -> Ints:
    """Returns path and row (n, 2) of the zone's tiles that meet polygons in it, found by halving blocks down to tiles.

    No block reaches across the equator or the central meridian. On either side, lon and lat are monotonic in easting
    and northing, so the lon/lat box around a block's corners holds the whole block.
    """
    shapely.prepare(parts)
    tree = shapely.STRtree(parts)
    level = max(0, int(np.ceil(np.log2(BLOCK / core))))
    blocks = all_blocks(core * 2**level)
    found, count = [], 0
    for span in 2 ** np.arange(level, 0, -1):
        meets, full = _compare_boxes(block_boxes(blocks, zone, int(span), core), parts, tree)
        count += int(full.sum()) * int(span) ** 2
        if count + 4 * int(meets.sum()) > limit:
            raise InputError(
                f"the area of interest holds more than {MAX_TILES:,} tiles of {core:g} m; "
                "take a smaller area or larger tiles"
            )
        found.append(_subdivide(blocks[full], int(span)))
        blocks = _subdivide(blocks[meets & ~full], 2)
    return np.concatenate([*found, blocks[_tiles_meet(blocks, zone, core, parts, tree)]])


def all_blocks(size: float) -> Ints:
    """Returns column and row (n, 2) of all squares of `size` metres in a zone."""
    columns, rows = int(np.ceil(HALF_ZONE / size)), int(np.ceil(POLE / size))
    return np.stack(np.meshgrid(np.arange(-columns, columns), np.arange(-rows, rows)), axis=-1).reshape(-1, 2)


def block_boxes(blocks: Ints, zone: int, span: int, core: float) -> Geometries:
    """Returns lon/lat boxes (n) that hold blocks (n, 2) of `span` x `span` tiles."""
    bounds = shapely.bounds(box_outlines(utm_bounds(blocks, span, core), zone, steps=1))
    boxes: Geometries = shapely.box(*(bounds + [-ROUNDING, -ROUNDING, ROUNDING, ROUNDING]).T)
    return boxes


def _subdivide(blocks: Ints, factor: int) -> Ints:
    """Returns column and row of the squares that result when each block becomes `factor` x `factor` of them."""
    inner = np.stack(np.meshgrid(np.arange(factor), np.arange(factor)), axis=-1).reshape(1, -1, 2)
    return (blocks[:, None, :] * factor + inner).reshape(-1, 2)


def _compare_boxes(boxes: Geometries, parts: Geometries, tree: shapely.STRtree) -> tuple[Mask, Mask]:
    """Returns which boxes meet a part, and which lie inside one; bounds alone decide for most parts."""
    box, part = tree.query(boxes)
    box_bounds, part_bounds = shapely.bounds(boxes)[box], shapely.bounds(parts)[part]
    meets = _contains(box_bounds, part_bounds)
    meets[~meets] = shapely.intersects(parts[part[~meets]], boxes[box[~meets]])
    full = meets & _contains(part_bounds, box_bounds)
    full[full] = shapely.contains_properly(parts[part[full]], boxes[box[full]])
    return _mask_of(box[meets], len(boxes)), _mask_of(box[full], len(boxes))


def _tiles_meet(tiles: Ints, zone: int, core: float, parts: Geometries, tree: shapely.STRtree) -> Mask:
    """Returns which tiles' core boxes meet a part; there are no tiles beyond a pole."""
    bounds = utm_bounds(tiles, 1, core)
    outlines = box_outlines(bounds, zone, steps=1)
    tile, part = tree.query(outlines)
    meets = _mask_of(tile[shapely.intersects(parts[part], outlines[tile])], len(tiles))
    west, south, east, north = bounds.T
    beside_pole = np.logical_or(*over_poles(bounds)) & ((west > FALSE_EASTING) | (east < FALSE_EASTING))
    on_globe: Mask = ~beside_pole & (south < POLE) & (north > -POLE)
    return meets & on_globe


def _contains(outer: Floats, inner: Floats) -> Mask:
    return np.asarray((outer[:, :2] <= inner[:, :2]).all(axis=1) & (outer[:, 2:] >= inner[:, 2:]).all(axis=1))


def _mask_of(indices: Ints, count: int) -> Mask:
    mask = np.zeros(count, dtype=bool)
    mask[indices] = True
    return mask
