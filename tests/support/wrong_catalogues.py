"""One-scene catalogues for tests of wrong content, and the chips made from them."""

import json

import numpy as np
import rasterio

from segchips.chips.images import make_image
from segchips.grids.outlines import footprints
from segchips.scenes.lock import read_locks, write_locks
from segchips.scenes.pinning import pin_scenes
from segchips.scenes.query import SceneQuery
from segchips.scenes.stac_catalogue import StacCatalogue
from support.catalogues import write_catalogue
from support.datasets import image_plan, make_dataset, tile_at
from support.rasters import OUTSIDE, nearest_by_loop, raster_outline, transform_over, write_raster

SEED = 20230630
TILE = tile_at()
DAY = "2017-07-01T10:00:00Z"
NODATA = 65535


def pixels(seed, dtype="uint16", shape=(24, 24)):
    """Noise with holes."""
    rng = np.random.default_rng(seed)
    data = rng.integers(1, 1000, shape).astype(dtype)
    data[rng.random(shape) < 0.2] = NODATA if dtype == "uint16" else 0
    return data


def scene_file(path, data=None, crs=None, nodata=NODATA, step=10, **profile):
    data = pixels(1) if data is None else data
    return write_raster(
        path, data, transform_over(TILE, data.shape[-2:], step, crs=crs), crs or TILE.crs, nodata=nodata, **profile
    )


def make(folder, items, catalog=None, **imagery):
    """The chip of the tile from these items: pixels (row, column) and the ids of the scenes it tells."""
    dataset = make_dataset(imagery={"catalog": str(catalog or write_catalogue(folder, items)), **imagery})
    outlines, catalogue = footprints([TILE]), StacCatalogue(dataset.imagery.first)
    scenes = catalogue.search(outlines)
    write_locks(
        folder / "scenes.parquet", {"": pin_scenes(SceneQuery.of(dataset.imagery.first), scenes, [TILE.key], outlines)}
    )
    plan = image_plan(dataset, read_locks(folder / "scenes.parquet")[""])
    if plan.missing_scenes(TILE.key):
        return None, [], catalogue.skipped_items
    make_image(plan, TILE, folder / "chips" / "chip.tif")
    with rasterio.open(folder / "chips" / "chip.tif") as chip:
        ids = [each["id"] for each in json.loads(chip.tags()["SCENES"])["s2"]]
        return chip.read(1), ids, catalogue.skipped_items


def slow(paths, nodata=NODATA):
    """The first value that is no hole among the rasters, point by point."""
    layers = [nearest_by_loop(path, TILE)[0] for path in paths]
    out = np.full((TILE.grid.size, TILE.grid.size), nodata, np.float64)
    for row, column in np.ndindex(out.shape):
        values = (layer[row][column] for layer in layers)
        good = [v for v in values if v is not OUTSIDE and np.isfinite(v) and v != nodata]
        out[row, column] = good[0] if good else nodata
    return out


def outline(path):
    return raster_outline(path)
