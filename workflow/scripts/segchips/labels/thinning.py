"""Geometries with fewer vertices outside of a tile, which burn the same pixels faster."""

from typing import Any

import numpy as np
import shapely

from segchips.arrays import Floats
from segchips.grids.tile import Bounds, Tile
from segchips.vectors.geometry import Geometries

MIN_VERTICES = 256
"""Geometries with no more vertices than this are left as they are."""


def thin_geometries(geometries: Geometries, tile: Tile) -> Geometries:
    """Remove most of the vertices that lie outside of a tile from large geometries.

    Args:
        geometries: Geometries in the tile's CRS.
        tile: The tile that the geometries are burned into.

    Returns:
        Geometries that burn exactly the same pixels of the tile; lines and points, and polygons of collections only.
    """
    large = (shapely.get_num_coordinates(geometries) > MIN_VERTICES) & (shapely.get_dimensions(geometries) == 2)
    if large.any():
        west, south, east, north = tile.bounds
        pixel = tile.grid.resolution
        box = west - pixel, south - pixel, east + pixel, north + pixel
        geometries = geometries.copy()
        geometries[large] = [_thin_geometry(geometry, box) for geometry in geometries[large]]
    return geometries


def _thin_geometry(geometry: Any, box: Bounds) -> Any:
    west, south, east, north = box
    polygons = []
    for part in shapely.get_parts(geometry):
        rings = shapely.get_rings(part)
        ring_west, ring_south, ring_east, ring_north = shapely.bounds(rings).T
        near = (ring_west <= east) & (ring_east >= west) & (ring_south <= north) & (ring_north >= south)
        if near[:1].any():
            shell, *holes = (_thin_ring(ring, box) for ring in rings[near])
            polygons.append(shapely.Polygon(shell, holes))
    return shapely.MultiPolygon(polygons)


def _thin_ring(ring: Any, box: Bounds) -> Floats:
    """Remove the vertices that lie, together with both neighbours, beyond the same side of the box.

    Every edge that meets the box stays. So does the lowest rightmost corner, from which GDAL derives the ring's
    direction, which decides how edges through pixel centres burn.
    """
    points = shapely.get_coordinates(ring)[:-1]
    (x, y), (west, south, east, north) = points.T, box
    side = np.select([x < west, x > east, y < south, y > north], [1, 2, 3, 4])
    stay = (side == 0) | (side != np.roll(side, 1)) | (side != np.roll(side, -1))
    lowest = np.flatnonzero(y == y.min())
    corner = lowest[np.argmax(x[lowest])]
    stay[[corner - 1, corner, (corner + 1) % len(points)]] = True
    return points[stay]
