"""Vector layers of polygons around a tile, and the pixels that they burn according to points in polygons and GDAL."""

import math
from functools import cache

import numpy as np
import pyproj
import shapely
from rasterio.features import rasterize
from rasterio.transform import Affine

from segchips.grids.tile import Tile
from segchips.labels.features import LabelFeatures
from support.datasets import make_dataset, tile_at

TILE = tile_at(32)


UTM = "EPSG:32633"


def read_features(path, background=255, all_touched=True, **layer):
    """The features of a config with one layer, or several."""
    layers = layer.pop("layers", None)
    block = {"background": background, "all_touched": all_touched, **layer, "path": str(path)}
    return LabelFeatures(make_dataset(labels={**block, "layers": layers} if layers else block).labels.first)


def burn_tile(features, tile=TILE):
    return features.burn(tile, features.intersecting([tile])[0])


def star_polygon(rng, x, y, radius, vertices=12):
    """A star-shaped polygon."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, vertices))
    reach = radius * rng.uniform(0.4, 1, vertices)
    return shapely.Polygon(np.column_stack([x + reach * np.cos(angles), y + reach * np.sin(angles)])).buffer(0)


def star_polygons(rng, tile, count, radius=120.0, vertices=12):
    """Star-shaped polygons around and across a tile, in its CRS."""
    west, south, east, north = tile.bounds
    places = rng.uniform((west - radius, south - radius), (east + radius, north + radius), (count, 2))
    return [star_polygon(rng, x, y, radius * rng.uniform(0.3, 1), vertices) for x, y in places.tolist()]


@cache
def cached_projection(source, target):
    return pyproj.Transformer.from_crs(source, target, always_xy=True).transform


def reproject(geometry, source, target):
    """A geometry with its vertices in another CRS."""
    return shapely.transform(geometry, cached_projection(source, target), interleaved=False)


def pixel_centre(tile, row, column):
    west, step, _, north, _, _ = tile.geotransform
    return west + (column + 0.5) * step, north - (row + 0.5) * step


def values_by_centre(tile, layers, background, near=1e-6):
    """The value of the last polygon over each pixel centre, and whether the centre is not near a boundary.

    Args:
        layers: Polygons, their values and their CRS, of each layer.
    """
    size = tile.grid.size
    values, sure = np.full((size, size), background), np.ones((size, size), bool)
    places = [pixel_centre(tile, row, column) for row, column in np.ndindex(size, size)]
    for polygons, numbers, crs in layers:
        points = shapely.points([cached_projection(tile.crs, crs)(*place) for place in places]).reshape(size, size)
        for polygon, number in zip(polygons, numbers, strict=True):
            values[shapely.contains(polygon, points)] = number
            sure &= shapely.distance(polygon.boundary, points) >= near
    return values, sure


def squares(count):
    x, y = TILE.bounds[:2]
    return [shapely.box(x + 20 * number, y, x + 20 * number + 10, y + 10) for number in range(count)]


def rasterize_whole(geometries, values, tile, all_touched, background=255):
    return rasterize(
        list(zip(geometries, values, strict=True)),
        out_shape=(tile.grid.size, tile.grid.size),
        transform=Affine.from_gdal(*tile.geotransform),
        fill=background,
        all_touched=all_touched,
        dtype="uint8",
    )


def tile_block(zone, path, row, count=5):
    return [Tile(TILE.grid, zone, path + column, row + line) for line in range(count) for column in range(count)]


def tiles_of_two_zones():
    """Tiles on both sides of the border between zones 32 and 33, at 12 degrees east."""
    across = cached_projection("EPSG:4326", "EPSG:32632")(11.999, 45.8)
    beyond = cached_projection("EPSG:4326", "EPSG:32633")(12.001, 45.8)
    return [
        tile
        for zone, (x, y) in ((32, across), (33, beyond))
        for tile in tile_block(zone, math.floor((x - 500_000) / 280) - 2, math.floor(y / 280) - 2)
    ]
