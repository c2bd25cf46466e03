"""Datasets whose scenes a platform on loopback serves, and chips made from them."""

import rasterio

from segchips.chips.images import make_image
from segchips.grids.outlines import footprints
from segchips.grids.tile import Tile
from segchips.scenes.catalogue import open_catalogue
from segchips.scenes.lock import read_locks, write_locks
from segchips.scenes.pinning import pin_scenes
from segchips.scenes.query import SceneQuery
from support.datasets import image_plan, make_dataset

PACKAGES = {"descarteslabs": "descarteslabs", "earthone": "earthdaily.earthone"}
TILES = [Tile.from_key(f"60:2:10.0:33:-33{column}:890{row}") for row in (3, 4) for column in (2, 3, 4)]
BOTH = [{"id": "sample-l2a", "bands": ["B04", "B08"]}]
MASK = {"product": "sample-l2a:cloud_mask", "band": "cloud_mask", "clear": [0]}
YEAR = {"start": "2023-01-01", "end": "2023-12-31", "reference_date": "2023-06-30", "patience": 60, "products": BOTH}


def platform_dataset(source, **changes):
    return make_dataset(imagery={"source": source, **YEAR, **changes})


def find_scenes(dataset):
    return open_catalogue(dataset.imagery.first).search(footprints(TILES))


def plan_images(dataset, folder, name="lock"):
    """The plan of a dataset through the lock file."""
    lock = pin_scenes(
        SceneQuery.of(dataset.imagery.first), find_scenes(dataset), [tile.key for tile in TILES], footprints(TILES)
    )
    write_locks(folder / f"{name}.parquet", {"": lock})
    return image_plan(dataset, read_locks(folder / f"{name}.parquet")[""])


def make_chip(plan, path, tile=TILES[1]):
    make_image(plan, tile, path)
    with rasterio.open(path) as file:
        return file.read(), file.tags(), file.nodata, file.descriptions
