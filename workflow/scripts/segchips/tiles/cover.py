"""The tile manifest: which tiles an area holds, and each tile's split and shard.

The client library's `DLTile.from_shape` defines which tiles those are; tests hold this arithmetic to it. A tile belongs
when the lon/lat quadrilateral between the corners of its core box meets the area inside the tile's own six-degree zone.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import shapely

from segchips.arrays import Floats, Ints, Mask
from segchips.errors import ConfigError, InputError
from segchips.grids.tile import FALSE_EASTING, Grid, Tile
from segchips.grids.utm import HALF_ZONE, POLE, box_outlines, over_poles, utm_bounds
from segchips.vectors.antimeridian import within_globe
from segchips.vectors.geometry import Geometries, polygon_parts, polygonal

MAX_TILES = 5_000_000
BLOCK = 100_000.0
"""Metres: the search for tiles starts with blocks at least this large."""
ROUNDING = 1e-9


def cover_area(aoi: Any, grid: Grid) -> list[Tile]:
    """The tiles that meet the union of lon/lat geometries, ordered by zone, row north to south, path west to east.

    The geometries may overlap, be invalid, or leave -180..180; InputError where they hold no area or too many tiles.
    """
    if float(grid.key.split(":")[2]) != grid.resolution:
        raise ConfigError(f"tiles.resolution: {grid.resolution} has more than the six decimals that fit into tile keys")
    valid, _ = polygonal(np.atleast_1d(np.asarray(aoi, dtype=object)))
    parts, _ = polygon_parts(within_globe(valid))
    if not parts.size:
        raise InputError("the area of interest is empty: it has no polygon between 90 degrees south and north")
    tiles: list[Tile] = []
    for zone, clipped in _by_zone(parts):
        found = _zone_tiles(clipped, zone, grid.core, MAX_TILES - len(tiles))
        tiles += [Tile(grid, zone, path, row) for path, row in found.tolist()]
    return in_grid_order(tiles)


def in_grid_order(tiles: list[Tile]) -> list[Tile]:
    return sorted(tiles, key=lambda tile: (tile.zone, -tile.row, tile.path))


def _by_zone(parts: Geometries) -> Iterator[tuple[int, Geometries]]:
    """Each UTM zone's polygons, clipped to its six degrees; a polygon that only touches them has none there."""
    bounds = shapely.bounds(parts)
    for zone in range(1, 61):
        west, east = 6 * zone - 186.0, 6 * zone - 180.0
        inside = (bounds[:, 0] >= west) & (bounds[:, 2] <= east)
        crossing = (bounds[:, 0] < east) & (bounds[:, 2] > west) & ~inside
        clipped, _ = polygon_parts(shapely.intersection(parts[crossing], shapely.box(west, -90, east, 90)))
        if inside.any() or clipped.size:
            yield zone, np.concatenate([parts[inside], clipped])


def _zone_tiles(parts: Geometries, zone: int, core: float, limit: int) -> Ints:
    """Path and row (n, 2) of the zone's tiles that meet polygons inside it, by halving blocks down to tiles.

    No block reaches over the equator or the central meridian, and on either side lon and lat are monotonic in easting
    and northing: the lon/lat box around a block's corners holds all of it.
    """
    shapely.prepare(parts)
    tree = shapely.STRtree(parts)
    level = max(0, int(np.ceil(np.log2(BLOCK / core))))
    blocks = _all_blocks(core * 2**level)
    found, count = [], 0
    for span in 2 ** np.arange(level, 0, -1):
        meets, full = _boxes_meet(_block_boxes(blocks, zone, int(span), core), parts, tree)
        count += int(full.sum()) * int(span) ** 2
        if count + 4 * int(meets.sum()) > limit:
            raise InputError(
                f"the area of interest holds more than {MAX_TILES:,} tiles of {core:g} m; "
                "take a smaller area or larger tiles"
            )
        found.append(_split(blocks[full], int(span)))
        blocks = _split(blocks[meets & ~full], 2)
    return np.concatenate([*found, blocks[_tiles_meet(blocks, zone, core, parts, tree)]])


def _all_blocks(size: float) -> Ints:
    """Column and row (n, 2) of all squares of `size` metres of a zone."""
    columns, rows = int(np.ceil(HALF_ZONE / size)), int(np.ceil(POLE / size))
    return np.stack(np.meshgrid(np.arange(-columns, columns), np.arange(-rows, rows)), axis=-1).reshape(-1, 2)


def _split(blocks: Ints, into: int) -> Ints:
    """Column and row of the squares when each block becomes `into` x `into`."""
    inner = np.stack(np.meshgrid(np.arange(into), np.arange(into)), axis=-1).reshape(1, -1, 2)
    return (blocks[:, None, :] * into + inner).reshape(-1, 2)


def _block_boxes(blocks: Ints, zone: int, span: int, core: float) -> Geometries:
    """The lon/lat boxes that hold blocks of `span` x `span` tiles."""
    bounds = shapely.bounds(box_outlines(utm_bounds(blocks, span, core), zone, steps=1))
    boxes: Geometries = shapely.box(*(bounds + [-ROUNDING, -ROUNDING, ROUNDING, ROUNDING]).T)
    return boxes


def _boxes_meet(boxes: Geometries, parts: Geometries, tree: shapely.STRtree) -> tuple[Mask, Mask]:
    """Which boxes meet a part, and which of them lie inside one; most parts need no look at their vertices."""
    box, part = tree.query(boxes)
    outer, inner = shapely.bounds(boxes)[box], shapely.bounds(parts)[part]
    meets = _contains(outer, inner)
    meets[~meets] = shapely.intersects(parts[part[~meets]], boxes[box[~meets]])
    full = meets & _contains(inner, outer)
    full[full] = shapely.contains_properly(parts[part[full]], boxes[box[full]])
    return _mask_of(box[meets], len(boxes)), _mask_of(box[full], len(boxes))


def _tiles_meet(tiles: Ints, zone: int, core: float, parts: Geometries, tree: shapely.STRtree) -> Mask:
    """Which tiles' core boxes meet a part; beyond a pole there is no tile."""
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
    marks = np.zeros(count, dtype=bool)
    marks[indices] = True
    return marks
