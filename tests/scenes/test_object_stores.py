"""Catalogues and scenes on an object store, from the search to the pixels of a chip."""

import asyncio
import json

import boto3
import numpy as np
import pytest
import rustac

from segchips.chips.images import make_image
from segchips.errors import InputError
from segchips.grids.outlines import footprints
from segchips.scenes.catalogue import open_catalogue
from segchips.scenes.pinning import pin_scenes
from segchips.scenes.query import SceneQuery
from support.catalogues import write_catalogue, write_json
from support.datasets import image_plan, make_dataset
from support.s3_server import BUCKET, s3_server
from support.scene_series import TILE, Chip, SceneSeries, noise

ADDRESS = f"s3://{BUCKET}/scenes"


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A scene on a server, as a static catalogue, an ItemCollection and stac-geoparquet, with its pixels."""
    series = SceneSeries(tmp_path_factory.mktemp("scenes"))
    series.add("a", "2017-07-01T10:00:00Z", {"B1": noise(1)})
    write_catalogue(series.folder, series.items)
    (item,) = json.loads(json.dumps(series.items))
    item["assets"]["B1"]["href"] = f"{ADDRESS}/s2/a-B1.tif"
    asyncio.run(write_parquet(series.folder / "items.parquet", [item]))
    item["assets"]["B1"]["href"] = "s2/a-B1.tif"
    write_json(series.folder / "items.json", {"type": "FeatureCollection", "features": [item]})
    with pytest.MonkeyPatch.context() as patch, s3_server() as environment:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
            patch.setenv(name, environment[name])
        endpoint = environment["AWS_ENDPOINT_URL"]
        client = boto3.client("s3", endpoint_url=endpoint)
        for path in filter(lambda path: path.is_file(), series.folder.rglob("*")):
            client.upload_file(str(path), BUCKET, f"scenes/{path.relative_to(series.folder)}")
        gdal = {"AWS_S3_ENDPOINT": endpoint.removeprefix("http://"), "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE"}
        for name, value in gdal.items():
            patch.setenv(name, value)
        yield np.array(series.expected("a", "B1"))


async def write_parquet(path, items):
    await rustac.write(str(path), items)


@pytest.mark.parametrize("name", ["catalog.json", "s2/collection.json", "items.json", "items.parquet"])
def test_catalogues_on_an_object_store(stored, tmp_path, name):
    dataset, outlines = make_dataset(imagery={"catalog": f"{ADDRESS}/{name}"}), footprints([TILE])
    layer = dataset.imagery.first
    catalogue = open_catalogue(layer)
    assert catalogue.check("s2", ["B1"], None, outlines)
    lock = pin_scenes(SceneQuery.of(layer), catalogue.search(outlines), [TILE.key], outlines)
    make_image(image_plan(dataset, lock), TILE, tmp_path / "chip.tif")
    np.testing.assert_array_equal(Chip(tmp_path / "chip.tif").pixels[0], stored)


def test_a_catalogue_that_is_not_there_is_named(stored):
    with pytest.raises(InputError, match=f"catalogue {ADDRESS}/nothing.json: cannot be read as STAC"):
        open_catalogue(make_dataset(imagery={"catalog": f"{ADDRESS}/nothing.json"}).imagery.first)
