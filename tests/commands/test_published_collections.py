"""`segchips init` on collections as they are published: bands, resolution, mask, fill and dates; no file is read."""

from datetime import date

import pytest
import yaml
from shapely.geometry import box, mapping

from commands.published_collections import PC_LINK, PUBLISHED, at_microsoft
from segchips.cli import main
from segchips.commands.known_collections import COLLECTIONS, known_collection
from segchips.config.loading import load_config
from segchips.scenes.known_nodata import known_nodata
from segchips.scenes.stac_items import scene_from_item
from support.catalogues import make_collection, make_item, write_json
from support.datasets import tile_at, tile_outline
from support.vectors import write_vectors

GROUND, FAR = tile_outline(tile_at()), box(0, 0, 1, 1)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with labels, and no credentials."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_NO_SIGN_REQUEST", "GDAL_HTTP_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    write_vectors(tmp_path / "fields.gpkg", [GROUND] * 3, "EPSG:4326", kind=["a", "b", "a"])
    return tmp_path


def published(name):
    about = PUBLISHED[name]
    item_id = next(iter(about.assets)).rpartition("_0.1_")[0] or "scene"
    item = make_item(item_id, "2021-06-13T10:00:00Z", about.assets, mapping(GROUND), about.product, **about.properties)
    collection = make_collection(about.product) | {"item_assets": about.in_collection}
    return item | {"links": list(about.links)}, collection


def write_static(folder, item, collection):
    """A static catalogue of one scene."""
    write_json(folder / "collection.json", collection | {"links": [{"rel": "item", "href": "./item.json"}]})
    write_json(folder / "item.json", item)
    return folder / "collection.json"


def init(*arguments):
    main(["init", "--labels", "fields.gpkg", "--name", "x", *map(str, arguments)])
    with open("config/x.yaml", encoding="utf-8") as stream:
        text = stream.read()
    return load_config(yaml.safe_load(text)).datasets["x"], text


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_collection(here, name):
    about = PUBLISHED[name]
    dataset, text = init("--imagery", write_static(here / "stac", *published(name)))
    imagery = dataset.imagery.first
    (product,) = imagery.products
    assert (product.id, list(product.bands)) == (about.product, about.bands)
    assert dataset.tiles.resolution == about.resolution
    assert (product.nodata_rule.value if product.nodata_rule else None) == about.nodata
    mask = imagery.cloud_mask
    found = mask and {"asset": mask.asset, **{key: list(v) for key in ("clear", "bits") if (v := getattr(mask, key))}}
    assert found == about.mask
    assert imagery.sign == ("planetary_computer" if about.signed else None)
    assert imagery.start == (None if about.undated else date(2021, 6, 13))
    applied = "earthsearch:boa_offset_applied" in about.properties
    if about.product.endswith("l2a"):
        assert f"physical value = pixel * 0.0001{'' if applied else ' -0.1'}." in text
    assert ("to read" in text and about.missing in text) if about.missing else "to read" not in text


@pytest.mark.parametrize("name", ["Planetary Computer, Sentinel-2", "Earth Search, Sentinel-2"])
@pytest.mark.parametrize("labels", ["fields.gpkg", "fields_2021.gpkg"])
def test_an_api_is_searched_where_and_when_the_labels_are(here, stac_api, name, labels):
    (here / "fields.gpkg").rename(here / labels)
    item, collection = published(name)
    far = item | {"id": "far", "geometry": mapping(FAR)}
    url = stac_api([item, far | {"bbox": [0, 0, 1, 1]}], [collection])
    main(["init", "--labels", labels, "--name", "x", "--imagery", url])
    imagery = load_config(yaml.safe_load((here / "config/x.yaml").read_text())).datasets["x"].imagery.first
    assert (imagery.start, imagery.end) == (date(2021, 1, 1), date(2021, 12, 31)), "the only year with scenes"
    assert list(imagery.products[0].bands) == PUBLISHED[name].bands


def test_several_products_become_layers(here, stac_api):
    names = ["Planetary Computer, Sentinel-2", "Planetary Computer, Sentinel-1", "Planetary Computer, elevations"]
    pairs = [published(name) for name in names]
    items = [item | {"id": f"scene{number}"} for number, (item, _) in enumerate(pairs)]
    url = stac_api(items, [collection for _, collection in pairs])
    with pytest.raises(SystemExit, match="several products; name one with --product, or several for one layer each"):
        init("--imagery", url)
    dataset, _ = init("--imagery", url, *(word for name in names for word in ("--product", PUBLISHED[name].product)))
    assert list(dataset.imagery.layers) == ["s2", "s1", "dem"]
    assert [layer.products[0].id for layer in dataset.imagery.layers.values()] == [PUBLISHED[n].product for n in names]
    assert dataset.imagery.layers["dem"].start is None and dataset.tiles.resolution == 10


@pytest.mark.parametrize("name", [name for name, about in PUBLISHED.items() if known_collection(about.product)])
def test_the_table_agrees_with_published_scaling_and_fill(name):
    """Where metadata or the reader's own knowledge name a value, it is that of the table."""
    item, collection = published(name)
    known = known_collection(item["collection"])
    scene = scene_from_item(item, item["collection"], "https://example.com", collection)
    band = scene.band(PUBLISHED[name].bands[0])
    nodata = known_nodata(scene.product, *scene.names_of(band)) if band.nodata is None else band.nodata
    assert nodata in (None, known.nodata)
    offset_is_applied = item["properties"].get("earthsearch:boa_offset_applied")
    if known.scaling and band.scaled:
        scale, offset = known.scaling
        assert band.scale in (scale, 1.0), "some catalogues declare the offset alone, in pixels"
        assert band.offset == pytest.approx(0.0 if offset_is_applied else offset * band.scale / scale)


def test_each_collection_is_found_by_one_entry():
    for about in PUBLISHED.values():
        assert sum(bool(known.ids.fullmatch(about.product)) for known in COLLECTIONS) <= 1
    assert known_collection("sentinel-2-l2a").layer == "s2" and known_collection("sample-l2a") is None


def test_a_collection_without_grid_says_what_to_take(here):
    item = make_item("i", "2021-06-13T10:00:00Z", at_microsoft("s1", ["vv"]), mapping(GROUND), "sentinel-1-grd")
    path = write_static(here / "stac", item | {"links": [PC_LINK]}, make_collection("sentinel-1-grd"))
    with pytest.raises(SystemExit, match="'sentinel-1-grd' cannot be used: .* take sentinel-1-rtc"):
        init("--imagery", path)


def test_labels_elsewhere_are_said_before_anything_is_written(here):
    item, collection = published("LINZ")
    path = write_static(here / "stac", item | {"geometry": mapping(FAR), "bbox": [0, 0, 1, 1]}, collection)
    with pytest.raises(SystemExit, match="no scene that can be used that meets the area .* same ground"):
        init("--imagery", path)
    assert not (here / "config").exists()


def test_an_asset_that_needs_credentials_is_left_to_one_that_does_not(here):
    """Where a collection is not in the table either."""
    assets = {
        "a": {"href": "s3://bucket/a_10m.tif", "gsd": 10},
        "a-jp2": {"href": "https://example.com/a.jp2", "gsd": 10},
        "b_10m": {"href": "https://example.com/b10.tif", "gsd": 10},
        "b_20m": {"href": "https://example.com/b20.tif", "gsd": 20},
        "cloud": {"href": "https://example.com/c.tif", "gsd": 10, "roles": ["cloud"]},
    }
    item = make_item("i", "2021-06-13T10:00:00Z", assets, mapping(GROUND), "mine")
    dataset, _ = init("--imagery", write_static(here / "stac", item, make_collection("mine")))
    assert dataset.imagery.first.products[0].bands == ("a-jp2", "b_10m")


def test_no_raster_asset_is_said(here):
    item = make_item("i", "2021-06-13T10:00:00Z", {"x": {"href": "a.nc"}}, mapping(GROUND), "mine")
    with pytest.raises(SystemExit, match="scene 'i' has no raster asset that can be a band; name another"):
        init("--imagery", write_static(here / "stac", item, make_collection("mine")))
