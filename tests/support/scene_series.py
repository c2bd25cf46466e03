"""Series of scenes for chips, and composites computed one pixel at a time with exact fractions."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
import rasterio

from segchips.chips.images import make_image
from segchips.grids.outlines import footprints
from segchips.scenes.lock import read_locks, write_locks
from segchips.scenes.pinning import pin_scenes
from segchips.scenes.query import SceneQuery
from segchips.scenes.stac_catalogue import StacCatalogue
from support.catalogues import make_asset, make_item, write_catalogue
from support.datasets import image_plan, make_dataset, tile_at
from support.rasters import OUTSIDE, nearest_by_loop, raster_outline, transform_over, write_raster

TILE = tile_at()


class SceneSeries:
    """Scenes as raster files and STAC items, and chips made from them."""

    def __init__(self, folder):
        self.folder, self.items, self.paths = folder, [], {}

    def add(
        self,
        name,
        when,
        bands,
        collection="s2",
        cloud=None,
        declared=None,
        grid=None,
        crs=None,
        nodata=None,
        **properties,
    ):
        """Add a scene; `bands` maps asset keys to arrays, `declared` to what the item says of the asset."""
        assets = {}
        for key, data in bands.items():
            path = self.folder / collection / f"{name}-{key}.tif"
            shape = data.shape[-2:]
            transform = transform_over(TILE, shape, **({"step": 10} | (grid or {})), crs=crs)
            write_raster(path, data, transform, crs or TILE.crs, nodata=nodata)
            assets[key] = make_asset(f"./{path.name}", **((declared or {}).get(key, {})))
            self.paths[collection, name, key] = path
        self.items.append(make_item(name, when, assets, raster_outline(path), collection, cloud, **properties))

    def plan(self, tiles=(TILE,), layer="", **imagery):
        """The plan of one layer of a dataset over these scenes, through the catalogue and the lock file."""
        catalog = write_catalogue(self.folder, self.items)
        dataset = make_dataset(imagery={"catalog": str(catalog), **imagery})
        keys, outlines = [tile.key for tile in tiles], footprints(tiles)
        config = dataset.imagery.layers[layer]
        scenes = StacCatalogue(config).search(outlines)
        lock = pin_scenes(SceneQuery.of(config), scenes, keys, outlines)
        write_locks(self.folder / "scenes.parquet", {layer: lock})
        return image_plan(dataset, read_locks(self.folder / "scenes.parquet")[layer], layer)

    def chip(self, tile=TILE, with_provenance=False, **imagery):
        """Make the tile's chip and read it."""
        path = self.folder / f"{tile.name}.tif"
        provenance = self.folder / "provenance.tif" if with_provenance else None
        make_image(self.plan((tile,), **imagery), tile, path, provenance)
        return Chip(path)

    def expected(self, name, key, collection="s2", tile=TILE, band=1):
        """The value under each of the tile's pixels, computed one by one."""
        return nearest_by_loop(self.paths[collection, name, key], tile, (band,))[0]


class Chip:
    """A chip file's content."""

    def __init__(self, path):
        with rasterio.open(path) as file:
            self.pixels, self.tags, self.profile = file.read(), file.tags(), file.profile
            self.nodata, self.names, self.mask = file.nodata, file.descriptions, file.dataset_mask() != 0
            self.scales, self.offsets, self.blocks = file.scales, file.offsets, file.block_shapes
            self.crs, self.transform = file.crs, file.transform
        self.contributions = json.loads(self.tags["SCENES"])
        self.scenes = {product: [scene["id"] for scene in scenes] for product, scenes in self.contributions.items()}
        self.valid = float(self.tags["VALID"])


def noise(seed, dtype="uint16", low=1, high=10000, shape=(24, 24), holes=None, share=0.3):
    rng = np.random.default_rng(seed)
    data = rng.integers(low, high, shape).astype(dtype)
    if holes is not None:
        data[rng.random(shape) < share] = holes
    return data


def flat(value, dtype="uint16", shape=(24, 24)):
    return np.full(shape, value, dtype)


def exact_composite(values, kind):
    """The composite of one pixel's valid values in order, exactly."""
    exact = [Fraction(value) for value in values]
    if kind == "closest":
        return exact[0]
    if kind == "mean":
        return sum(exact) / len(exact)
    ordered = sorted(exact)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def assert_composite(plane, stacks, kind, nodata, dtype=None):
    """Each pixel is the composite of its stack of valid values, rounded half to even, or nodata where there is none."""
    dtype = np.dtype(dtype or plane.dtype)
    for row, column in np.ndindex(plane.shape):
        values = stacks[row][column]
        got = plane[row, column].item()
        if not values:
            assert got == nodata or (math.isnan(nodata) and math.isnan(got)), (row, column)
        elif dtype.kind in "iu":
            assert got == round(exact_composite(values, kind)), (row, column, values)
        else:
            assert got == pytest.approx(float(exact_composite(values, kind)), rel=1e-6), (row, column, values)


def valid_stacks(layers):
    """Stacks of valid values from layers of (values by loop, is valid there)."""
    size = len(layers[0][0])
    return [
        [
            [
                values[row][column].item()
                for values, valid in layers
                if values[row][column] is not OUTSIDE and valid(values[row][column], row, column)
            ]
            for column in range(size)
        ]
        for row in range(size)
    ]


def two_products(folder, fine="uint8", coarse="uint16", fine_nodata=0, coarse_nodata=0):
    series = SceneSeries(folder)
    for day in (1, 2):
        when = f"2017-07-0{day}T10:00:00Z"
        data = noise([1, day], fine, 1, 120, (40, 40), holes=fine_nodata)
        series.add(f"f{day}", when, {"red": data}, "fine", nodata=fine_nodata, grid={"step": 7.3, "shift": (0.3, 0.2)})
    for day in (4, 5, 6):
        when = f"2017-07-0{day}T10:00:00Z"
        data = {
            key: noise([2, day, place], coarse, 1, 120, (20, 20), holes=coarse_nodata)
            for place, key in enumerate(("nir", "red"))
        }
        series.add(
            f"c{day}",
            when,
            data,
            "coarse",
            nodata=coarse_nodata,
            crs="EPSG:32632",
            grid={"step": 20, "shift": (0.3, 0.2)},
        )
    return series


PRODUCTS = [{"id": "coarse", "bands": ["red", "nir"], "resampling": "bilinear"}, {"id": "fine", "bands": ["red"]}]


B04 = [{"id": "s2", "bands": ["B04"]}]
