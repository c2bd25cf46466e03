"""The pixels whose centre lies in polygons, for many polygons at once, with those where rounding decides."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely

from segchips.arrays import Floats, Ints, Mask
from segchips.vectors.geometry import Geometries

_ROUNDING = 1024 * np.finfo(float).eps
"""More than the error of a position in pixels, as a share of the largest coordinate in pixels."""
_PIXELS = 1 << 22
"""Pixels of spans that are in memory at once."""


@dataclass(frozen=True)
class PixelBlock:
    """A rectangle of pixels.

    Attributes:
        west, north: Its upper left corner, in units of the CRS.
        resolution: The side of a pixel.
        height, width: Pixels along its sides.
    """

    west: float
    north: float
    resolution: float
    height: int
    width: int

    def positions(self, points: Floats) -> Floats:
        """Points (n, 2) in columns and rows of pixels, counted from the upper left corner."""
        return (points - (self.west, self.north)) * (1 / self.resolution, -1 / self.resolution)

    @property
    def tolerance(self) -> float:
        """A distance in pixels that is larger than the errors of positions, here and in GDAL."""
        reach = max(map(abs, (self.west, self.north))) / self.resolution + max(self.height, self.width)
        return _ROUNDING * reach


@dataclass(frozen=True)
class PolygonPixels:
    """Pixels of a block that polygons cover, as runs within rows.

    Attributes:
        block: The block.
        owners: The geometry (n) of each run.
        starts, stops: The first pixel (n) of each run, and the one behind its last, counted row by row.
        unsure: Pixels (row, column) whose centre lies so near to an edge that rounding decides what covers it.
    """

    block: PixelBlock
    owners: Ints
    starts: Ints
    stops: Ints
    unsure: Mask

    def pixels(self, order: Ints) -> Iterator[tuple[Ints, Ints]]:
        """The pixels of runs in an order, part after part: their numbers (m), row by row, and their geometries (m)."""
        sizes = (self.stops - self.starts)[order]
        parts = np.searchsorted(np.cumsum(sizes), np.arange(_PIXELS, sizes.sum(), _PIXELS)) + 1
        for some in np.split(order, parts):
            numbers, owners = _ranges(self.starts[some], self.stops[some])
            yield numbers, self.owners[some][owners]


def polygon_pixels(geometries: Geometries, block: PixelBlock) -> PolygonPixels:
    """Find the pixels of a block whose centre lies in polygons.

    Args:
        geometries: Polygons and multipolygons (n) in the CRS of the block. Of a polygon that intersects itself, points
            count that an odd number of its edges surrounds.
        block: The block.

    Returns:
        The pixels, which are those that GDAL burns wherever `unsure` is false.
    """
    parts, owners = shapely.get_parts(geometries, return_index=True)
    rings, part_of_ring = shapely.get_rings(parts, return_index=True)
    points, ring_of_point = shapely.get_coordinates(rings, return_index=True)
    points, tolerance = block.positions(points), block.tolerance
    begins = np.flatnonzero(ring_of_point[1:] == ring_of_point[:-1])
    low, high = _vertically(points[begins], points[begins + 1])
    first = np.maximum(np.ceil(low[:, 1] - tolerance - 0.5), 0).astype(np.int64)
    last = np.minimum(np.floor(high[:, 1] + tolerance - 0.5), block.height - 1).astype(np.int64)
    met = np.flatnonzero(first <= last)
    rows, places = _ranges(first[met], last[met] + 1)
    edges = met[places]
    (x, y), (end, bottom), centres = low[edges].T, high[edges].T, rows + 0.5
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = np.where(bottom > y, (end - x) / (bottom - y), 0.0)
    unsure = _near_centres(x, y, end, bottom, slopes, rows, block)
    crossed = (y <= centres) & (centres < bottom)
    crossings = (x + (centres - y) * slopes)[crossed]
    lines = (part_of_ring[ring_of_point[begins]][edges] * block.height + rows)[crossed]
    order = np.lexsort((crossings, lines))
    columns = np.clip(np.ceil(crossings[order] - 0.5), 0, block.width).astype(np.int64).reshape(-1, 2)
    part, row = np.divmod(lines[order][::2], block.height)
    filled = columns[:, 0] < columns[:, 1]
    runs = (columns + row[:, None] * block.width)[filled]
    return PolygonPixels(block, owners[part[filled]], runs[:, 0], runs[:, 1], unsure)


def _vertically(begin: Floats, end: Floats) -> tuple[Floats, Floats]:
    """The ends (n, 2) of edges with the smaller and the larger row."""
    swapped = (begin[:, 1] > end[:, 1])[:, None]
    return np.where(swapped, end, begin), np.where(swapped, begin, end)


def _near_centres(
    x: Floats, y: Floats, end: Floats, bottom: Floats, slopes: Floats, rows: Ints, block: PixelBlock
) -> Mask:
    """Pixels with a centre within the tolerance of edges from (x, y) to (end, bottom), each in the row beside it."""
    tolerance, centres = block.tolerance, rows + 0.5
    ends = np.stack([np.clip(centres + side * tolerance, y, bottom) for side in (-1, 1)])
    touched = x + (ends - y) * slopes
    flat = bottom - y <= tolerance
    touched[:, flat] = x[flat], end[flat]
    left, right = touched.min(axis=0) - tolerance, touched.max(axis=0) + tolerance
    first = np.clip(np.ceil(left - 0.5), 0, block.width).astype(np.int64)
    stop = np.clip(np.floor(right - 0.5) + 1, 0, block.width).astype(np.int64)
    near = np.flatnonzero(first < stop)
    unsure = np.zeros((block.height, block.width), bool)
    columns, places = _ranges(first[near], stop[near])
    unsure[rows[near][places], columns] = True
    return unsure


def _ranges(starts: Ints, stops: Ints) -> tuple[Ints, Ints]:
    """The numbers of ranges, one range after the other, and the range of each number."""
    sizes = stops - starts
    places = np.repeat(np.arange(len(sizes)), sizes)
    ends = np.cumsum(sizes)
    return np.arange(len(places)) - np.repeat(ends - sizes - starts, sizes), places
