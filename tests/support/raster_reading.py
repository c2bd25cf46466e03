"""Rasters read on tiles, and the expected result computed one pixel at a time."""

import math
import os

import numpy as np

from segchips.chips.raster_reader import RasterReader
from segchips.config.imagery import Nodata
from segchips.scenes.model import Band
from support.datasets import tile_at
from support.rasters import OUTSIDE, nearest_by_loop

TILE = tile_at()
SINUSOIDAL = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs"


def band(path, index=1, nodata=None):
    return Band(str(path), index, nodata, 1.0, 0.0)


def noise(shape, dtype="uint16", low=1, high=10000, seed=0):
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)


def read(path, tile=TILE, indexes=(1,), resampling="nearest", nodata=None, declared=None, limit=4):
    rule = None if nodata is None else Nodata(nodata)
    return RasterReader(limit).read([band(path, index, declared) for index in indexes], tile, resampling, rule)


def assert_nearest(path, tile=TILE, indexes=(1,), missing=lambda value: False, **options):
    """The reading equals the loop's, and a pixel is valid when it is inside, not `missing`, and finite."""
    data, valid = read(path, tile, indexes, **options)
    expected = nearest_by_loop(path, tile, indexes)
    for place in np.ndindex(data.shape):
        number, row, column = place
        value = expected[number][row][column]
        right = value is not OUTSIDE and not missing(value) and math.isfinite(value)
        assert valid[place] == right, (place, value)
        assert not right or data[place] == value, (place, value)
    return valid


def some(shape, share=0.6, seed=9):
    return np.random.default_rng(seed).random(shape) < share


# Many files, many threads, few handles.


def open_rasters(folder):
    """The files below a folder that this process holds open."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue
    return [name for name in found if name.startswith(str(folder))]
