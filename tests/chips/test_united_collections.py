"""Several collections composited as one product, with bands of other names in each."""

import numpy as np
import pytest

from segchips.chips.images import make_image
from segchips.errors import ConfigError
from segchips.grids.outlines import footprints
from segchips.scenes.lock import read_locks, write_locks
from segchips.scenes.pinning import pin_scenes
from segchips.scenes.product_collections import searched_imagery, unite_collections
from segchips.scenes.query import SceneQuery
from segchips.scenes.stac_catalogue import StacCatalogue
from support.catalogues import write_catalogue
from support.datasets import image_plan, make_dataset
from support.scene_series import TILE, Chip, SceneSeries, noise

HLS = {"id": "hls", "bands": ["red", "nir"], "collections": {"l30": ["B04", "B05"], "s30": ["B4", "B8A"]}}


@pytest.fixture
def series(tmp_path):
    """A scene of each of two collections, with pixels that are nodata."""
    folder, rng = SceneSeries(tmp_path / "scenes"), np.random.default_rng(4)
    for day, collection, names in (("2017-06-20", "l30", ("B04", "B05")), ("2017-07-05", "s30", ("B4", "B8A"))):
        bands = {name: rng.integers(1, 9000, (16, 16)).astype("uint16") for name in names}
        for pixels in bands.values():
            pixels[rng.random((16, 16)) < 0.4] = 0
        folder.add(day, f"{day}T10:00:00Z", bands, collection, nodata=0)
    return folder


def chip_of(series, path, **imagery):
    catalog = write_catalogue(series.folder, series.items)
    dataset = make_dataset(imagery={"catalog": str(catalog), "products": [HLS]} | imagery)
    layer, outlines = dataset.imagery.first, footprints([TILE])
    scenes = unite_collections(layer, StacCatalogue(searched_imagery(layer)).search(outlines))
    write_locks(series.folder / "scenes.parquet", {"": pin_scenes(SceneQuery.of(layer), scenes, [TILE.key], outlines)})
    make_image(image_plan(dataset, read_locks(series.folder / "scenes.parquet")[""]), TILE, path)
    return Chip(path)


@pytest.mark.parametrize("composite", ["closest", "mean"])
def test_scenes_of_all_collections_make_one_composite(series, tmp_path, composite):
    chip = chip_of(series, tmp_path / "chip.tif", composite=composite)
    for band, (one, other) in enumerate((("B04", "B4"), ("B05", "B8A"))):
        far = np.array(series.expected("2017-06-20", one, "l30"), float)
        near = np.array(series.expected("2017-07-05", other, "s30"), float)
        if composite == "closest":
            expected = np.where(near > 0, near, far)
        else:
            expected = np.rint((near + far) / np.maximum((near > 0).astype(int) + (far > 0), 1))
        np.testing.assert_array_equal(chip.pixels[band], expected)
    assert chip.names == ("red", "nir")


def test_fill_that_a_collection_is_known_to_use_counts_under_any_name_of_the_product(tmp_path):
    series, names = SceneSeries(tmp_path / "scenes"), {"landsat-c2-l2": ("red", "nir08"), "other": ("b3", "b4")}
    pixels = {}
    for day, (collection, bands) in zip(("2017-06-29", "2017-07-05"), names.items(), strict=True):
        pixels[collection] = {name: noise(len(name), low=0, high=3) for name in bands}
        series.add(day, f"{day}T10:00:00Z", pixels[collection], collection)
    product = {"id": "both", "bands": ["red", "nir"], "collections": {name: list(names[name]) for name in names}}
    chip = chip_of(series, tmp_path / "chip.tif", products=[product])
    for plane, (one, other) in zip(chip.pixels, zip(*names.values(), strict=True), strict=True):
        near, far = pixels["landsat-c2-l2"][one], pixels["other"][other]
        np.testing.assert_array_equal(plane, np.where(near == 0, np.maximum(far, 1), near)[4:20, 4:20])


def test_each_collection_has_as_many_bands():
    wrong = HLS | {"collections": {"l30": ["B04"]}}
    with pytest.raises(ConfigError, match=r"products.0.collections.l30: 1 bands stand for the 2 of the product"):
        make_dataset(imagery={"products": [wrong]})
