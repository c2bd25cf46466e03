"""TODO: describe."""

from typing import Any

import numpy as np
import shapely

from segchips.arrays import Floats
from segchips.grids.tile import Bounds, Tile
from segchips.vectors.geometry import Geometries

# A geometry of more vertices than this is thinned before it is burned.
_LARGE = 256


def thin_geometries(geometries: Geometries, tile: Tile) -> Geometries:
    """Large geometries without most of the vertices off the tile; they burn the same pixels, to the last digit."""
    large = shapely.get_num_coordinates(geometries) > _LARGE
    if large.any():
        west, south, east, north = tile.bounds
        step = tile.grid.resolution
        box = west - step, south - step, east + step, north + step
        geometries = geometries.copy()
        geometries[large] = [_thin_geometry(geometry, box) for geometry in geometries[large]]
    return geometries


def _thin_geometry(geometry: Any, box: Bounds) -> Any:
    west, south, east, north = box
    polygons = []
    for part in shapely.get_parts(geometry):
        rings = shapely.get_rings(part)
        left, low, right, high = shapely.bounds(rings).T
        near = (left <= east) & (right >= west) & (low <= north) & (high >= south)
        if near[:1].any():
            shell, *holes = (_thin_ring(ring, box) for ring in rings[near])
            polygons.append(shapely.Polygon(shell, holes))
    return shapely.MultiPolygon(polygons)


def _thin_ring(ring: Any, box: Bounds) -> Floats:
    """The vertices of a ring but those that lie, with both neighbours, beyond one side of the box.

    So every edge that meets the box stays, and so does the corner by which GDAL tells the ring's direction.
    """
    points = shapely.get_coordinates(ring)[:-1]
    (x, y), (west, south, east, north) = points.T, box
    side = np.select([x < west, x > east, y < south, y > north], [1, 2, 3, 4])
    stay = (side == 0) | (side != np.roll(side, 1)) | (side != np.roll(side, -1))
    lowest = np.flatnonzero(y == y.min())
    corner = lowest[np.argmax(x[lowest])]
    stay[[corner - 1, corner, (corner + 1) % len(points)]] = True
    return points[stay]
