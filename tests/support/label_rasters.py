"""Rasters over the tile of `label_features`, the labels that they give, and slow ways to compute these."""

import math

import numpy as np
import rasterio
import shapely
from pydantic import TypeAdapter
from rasterio.transform import Affine

from segchips.config.labels import LabelsConfig
from segchips.labels.features import LabelFeatures
from support.label_features import TILE, UTM, cached_projection, pixel_centre, reproject

WEST, SOUTH, EAST, NORTH = TILE.bounds


def write_raster(path, pixels, crs=UTM, transform=None, **profile):
    pixels = pixels if pixels.ndim == 3 else pixels[None]
    path.parent.mkdir(parents=True, exist_ok=True)
    transform = transform or Affine(10, 0, WEST - 40, 0, -10, NORTH + 40)
    shape = {"count": pixels.shape[0], "height": pixels.shape[1], "width": pixels.shape[2]}
    with rasterio.open(
        path, "w", driver="GTiff", dtype=pixels.dtype, crs=crs, transform=transform, **shape, **profile
    ) as f:
        f.write(pixels)
    return str(path)


def over_tile(crs, step, turn=0.0):
    """A geotransform in a CRS around the tile, and the size of a raster that covers it."""
    outline = reproject(shapely.segmentize(shapely.box(*TILE.bounds).buffer(60), 20), UTM, crs)
    west, south, east, north = outline.bounds
    size = math.ceil(max(east - west, north - south) / step)
    middle = Affine.translation((west + east) / 2, (south + north) / 2) * Affine.rotation(turn)
    span = size * (1.5 if turn else 1)
    return middle * Affine.scale(step, -step) * Affine.translation(-span / 2, -span / 2), math.ceil(span)


def read_labels(path, **labels):
    if classes := labels.get("classes"):
        labels["classes"] = {str(key): value for key, value in classes.items()}
    return LabelFeatures(TypeAdapter(LabelsConfig).validate_python({"path": str(path), **labels}))


def burn(features):
    return features.burn(TILE, features.intersecting([TILE])[0])


def under_centres(pixels, transform, crs, outside):
    """The pixel under each centre of the tile."""
    result = np.full((TILE.grid.size, TILE.grid.size), outside, pixels.dtype)
    project = cached_projection(UTM, crs)
    for row, column in np.ndindex(result.shape):
        x, y = project(*pixel_centre(TILE, row, column))
        left, top = ~transform * (x, y)
        if 0 <= top < pixels.shape[0] and 0 <= left < pixels.shape[1]:
            result[row, column] = pixels[math.floor(top), math.floor(left)]
    return result
