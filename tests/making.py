"""Chips for the tests."""

import numpy as np
import rasterio

from segchips.config.model import TFRecordsConfig

TRANSFORM = rasterio.Affine(10.0, 0, 465181.0522318204, 0, -10.0, 5079244.8912012065)
HALF_METRE = rasterio.Affine(0.5, 0, 465181.25, 0, -0.5, 5079244.75)


def pixels(dtype, shape, seed=0, limit=None):
    """Random values of the whole range, or whole numbers up to `limit`; floats with gaps and infinities."""
    rng = np.random.default_rng(seed)
    if limit and np.dtype(dtype).itemsize > 2:
        return rng.integers(-limit if np.dtype(dtype).kind != "u" else 0, limit, shape, endpoint=True).astype(dtype)
    if np.dtype(dtype).kind in "fc":
        array = rng.normal(size=shape).astype(dtype)
        array.flat[::7], array.flat[::11] = np.nan, -np.inf
        return array
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def write(path, array, **options):
    """Write height x width x channels."""
    tags, colormap, bands = options.pop("tags", {}), options.pop("colormap", None), options.pop("bands", None)
    profile = {"driver": "GTiff", "crs": "EPSG:32633", "transform": TRANSFORM} | options
    height, width, count = array.shape
    path.parent.mkdir(exist_ok=True)
    with rasterio.open(path, "w", height=height, width=width, count=count, dtype=array.dtype, **profile) as target:
        target.write(array.transpose(2, 0, 1))
        target.update_tags(**tags)
        if bands:
            target.descriptions = bands
        if colormap:
            target.write_colormap(1, colormap)


def config(storage="array", shards=2, compression=None, splits=None):
    return TFRecordsConfig(storage, shards, compression, splits or {"train": 0.6, "val": 0.2, "test": 0.2})


def folders(root, names, shape=(8, 9, 3), dtype="uint8", **options):
    """Image and label chips of these names; returns their pixels."""
    arrays = {}
    for seed, name in enumerate(names):
        arrays[name] = pixels(dtype, shape, seed), pixels("uint8", (*shape[:2], 1), 1000 + seed)
        write(root / "images" / f"{name}.tif", arrays[name][0], transform=HALF_METRE, **options)
        write(root / "labels" / f"{name}.tif", arrays[name][1], transform=HALF_METRE)
    return arrays
