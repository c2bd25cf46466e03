"""The search for tiles that meet polygons, by halving blocks of tiles."""

from collections.abc import Callable

import numpy as np
import shapely

from segchips.arrays import Floats, Ints, Mask
from segchips.errors import InputError
from segchips.grids.tile import Bounds
from segchips.vectors.geometry import Geometries

MAX_TILES = 5_000_000


def search_blocks(
    parts: Geometries,
    levels: int,
    all_blocks_of: Callable[[int], Ints],
    boxes_of: Callable[[Ints, int], Geometries],
    tiles_meet: Callable[[Ints, shapely.STRtree], Mask],
    limit: int,
    side: str,
) -> Ints:
    """Returns path and row (n, 2) of the tiles that meet polygons.

    Args:
        parts: Polygons.
        levels: How often blocks are halved down to tiles.
        all_blocks_of: Returns column and row (n, 2) of all blocks of so many tiles along a side.
        boxes_of: Returns boxes (n), in the CRS of the polygons, that hold blocks of so many tiles along a side.
        tiles_meet: Returns which tiles (n, 2) meet a polygon, given the index of the polygons.
        limit: The largest number of tiles.
        side: The side of a tile, for messages.

    Raises:
        InputError: There are more tiles than the limit.
    """
    shapely.prepare(parts)
    tree = shapely.STRtree(parts)
    blocks = all_blocks_of(2**levels)
    found, count = [], 0
    for span in (2 ** np.arange(levels, 0, -1)).tolist():
        meets, full = _compare_boxes(boxes_of(blocks, span), parts, tree)
        count += int(full.sum()) * span**2
        if count + 4 * int(meets.sum()) > limit:
            raise InputError(
                f"the area of interest holds more than {MAX_TILES:,} tiles of {side}; "
                "take a smaller area or larger tiles"
            )
        found.append(_subdivide(blocks[full], span))
        blocks = _subdivide(blocks[meets & ~full], 2)
    return np.concatenate([*found, blocks[tiles_meet(blocks, tree)]])


def all_blocks(bounds: Bounds, step: float, reach: float) -> Ints:
    """Returns column and row (n, 2) of all squares that meet bounds.

    Args:
        bounds: West, south, east and north, counted from the corner of square 0, 0.
        step: The distance from one square to the next.
        reach: By how much a square is larger than the distance.
    """
    west, south, east, north = bounds
    columns, rows = (
        np.arange(np.floor((low - reach) / step), np.ceil(high / step), dtype=np.int64)
        for low, high in ((west, east), (south, north))
    )
    return np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)


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
    return mask_of(box[meets], len(boxes)), mask_of(box[full], len(boxes))


def _contains(outer: Floats, inner: Floats) -> Mask:
    return np.asarray((outer[:, :2] <= inner[:, :2]).all(axis=1) & (outer[:, 2:] >= inner[:, 2:]).all(axis=1))


def mask_of(indices: Ints, count: int) -> Mask:
    """Returns a mask (count) that is true at the indices."""
    mask = np.zeros(count, dtype=bool)
    mask[indices] = True
    return mask
