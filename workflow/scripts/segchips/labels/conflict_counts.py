"""Pixels that features of different values claim, counted for blocks of neighbouring tiles."""

from collections.abc import Iterator

import numpy as np
import shapely

from segchips.arrays import Ints, Mask
from segchips.grids.tile import Grid
from segchips.grids.tile_array import TileArray
from segchips.labels.features import LabelFeatures
from segchips.labels.lock import LabelLock
from segchips.labels.polygon_pixels import PixelBlock, PolygonPixels, polygon_pixels

_SIDE = 512
"""Pixels along a block of tiles, at least."""
_POLYGONS = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


def count_conflicts(features: LabelFeatures, lock: LabelLock, tiles: TileArray) -> Ints:
    """Count the pixels of each tile whose centre lies in features of different values.

    Args:
        features: The features of a target.
        lock: The label lock of the target, which has all of the tiles.
        tiles: The tiles (n).

    Returns:
        The number of pixels (n), as `LabelFeatures.count_conflicts` counts them tile by tile.
    """
    counts = np.zeros(len(tiles), np.int64)
    if features.config.kind == "continuous" or not len(tiles):
        return counts
    lists = lock.feature_indices.column.take(lock.keys.known_rows(tiles.keys))
    starts, stops, indices = lists.offsets.to_numpy()[:-1], lists.offsets.to_numpy()[1:], lists.values.to_numpy()
    for rows in _blocks(tiles, _rows_of_several_values(features, indices, starts, stops)):
        block, corners = _block_around(tiles.grid, tiles.indices[rows])
        of_tiles = [indices[starts[row] : stops[row]] for row in rows.tolist()]
        of_block = np.unique(np.concatenate(of_tiles))
        geometries = features.geometries_in(tiles[int(rows[0])].crs, of_block)
        are_polygons = np.isin(shapely.get_type_id(geometries), _POLYGONS)
        others = of_block[~are_polygons]
        runs = polygon_pixels(geometries[are_polygons], block)
        conflicts = _differing(runs, features.label_values[of_block[are_polygons]])
        for row, some, (top, left) in zip(rows.tolist(), of_tiles, corners.tolist(), strict=True):
            window = slice(top, top + tiles.grid.size), slice(left, left + tiles.grid.size)
            if runs.unsure[window].any() or np.isin(some, others).any():
                counts[row] = features.count_conflicts(tiles[row], some.tolist())
            else:
                counts[row] = np.count_nonzero(conflicts[window])
    return counts


def _rows_of_several_values(features: LabelFeatures, indices: Ints, starts: Ints, stops: Ints) -> Ints:
    """The tiles whose features have different values."""
    values = features.label_values[indices]
    rows = np.flatnonzero(stops - starts > 1)
    if not len(rows):
        return rows
    changes = np.concatenate([[0], np.cumsum(values[1:] != values[:-1])])
    return rows[changes[stops[rows] - 1] > changes[starts[rows]]]


def _blocks(tiles: TileArray, rows: Ints) -> Iterator[Ints]:
    """Parts of the rows, each of tiles of one CRS that lie in one square of the ground."""
    zone, path, row = tiles.indices[rows].T
    across, up = (path * tiles.grid.pixel_step) // _SIDE, (row * tiles.grid.pixel_step) // _SIDE
    order = np.lexsort((across, up, zone))
    places = np.column_stack([zone, up, across])[order]
    changes = np.flatnonzero((places[1:] != places[:-1]).any(axis=1)) + 1
    return (part for part in np.split(rows[order], changes) if len(part))


def _block_around(grid: Grid, indices: Ints) -> tuple[PixelBlock, Ints]:
    """The pixels of tiles, padding included, and the row and column (n, 2) of the upper left pixel of each tile."""
    left = indices[:, 1] * grid.pixel_step - grid.pad
    top = indices[:, 2] * grid.pixel_step + grid.tilesize + grid.pad
    west, north = int(left.min()), int(top.max())
    corners = np.column_stack([north - top, left - west])
    height, width = (corners.max(axis=0) + grid.size).tolist()
    x, y = grid.origin
    return PixelBlock(x + west * grid.resolution, y + north * grid.resolution, grid.resolution, height, width), corners


def _differing(runs: PolygonPixels, values: Ints) -> Mask:
    """Pixels (row, column) that geometries of different values (n) cover.

    Later runs replace earlier ones, so that ascending and descending order give the greatest and the least value.
    """
    size, ascending = runs.block.height * runs.block.width, np.argsort(values[runs.owners], kind="stable")
    greatest, least = np.zeros(size, values.dtype), np.zeros(size, values.dtype)
    for pixels, order in ((greatest, ascending), (least, ascending[::-1])):
        for numbers, owners in runs.pixels(order):
            pixels[numbers] = values[owners]
    return np.asarray(greatest != least).reshape(runs.block.height, runs.block.width)
