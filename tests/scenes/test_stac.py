"""stac.py on static catalogues, local and over HTTP, and on a real STAC API, against a slow reading of the items."""

import json
import math
import os
import socket
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import requests
import shapely

from conftest import Files
from segchips.errors import InputError
from segchips.scenes.model import Band
from segchips.scenes.query import search_area
from segchips.scenes.stac_catalogue import StacCatalogue
from segchips.scenes.stac_client import example_scene, open_catalog
from support.catalogues import make_asset, make_collection, make_item, make_link, write_catalogue, write_json
from support.datasets import make_dataset

HERE = shapely.geometry.mapping(shapely.box(14, 45, 15, 46))
THERE = shapely.geometry.mapping(shapely.box(24, 45, 25, 46))
FOOTPRINTS = np.array([shapely.box(14.2, 45.2, 14.3, 45.3), shapely.box(14.6, 45.6, 14.7, 45.7)], dtype=object)
DAY = "2017-06-01T10:00:00Z"


def find(catalog, footprints=FOOTPRINTS, **imagery):
    return StacCatalogue(make_dataset(imagery={"catalog": str(catalog), **imagery}).imagery).search(footprints)


def ids(scenes):
    return sorted(scene.id for scene in scenes)


def one(folder, **changes):
    """The only scene of a catalogue of one item."""
    content = make_item("a", DAY, {"B1": make_asset("./a.tif")}, HERE) | changes
    scenes = find(write_catalogue(folder, [content]))
    assert len(scenes) == 1
    return scenes[0]


def some_items(count=60, seed=0):
    """Items in and out of the dates, here, there and across, with and without cloud cover."""
    rng = np.random.default_rng(seed)
    items = []
    for number in range(count):
        when = datetime(2016, 11, 1, tzinfo=UTC) + timedelta(days=float(rng.uniform(0, 500)))
        x, y = rng.uniform(13, 15), rng.uniform(44, 46)
        turned = shapely.affinity.rotate(shapely.box(x, y, x + 1.2, y + 1), float(rng.uniform(0, 90)))
        cloud = None if number % 7 == 0 else round(float(rng.uniform(0, 100)), 1)
        extra = {"s2:mgrs_tile": "33TVM"}
        name = f"i{number:03}"
        items.append(
            make_item(
                name,
                when.isoformat(),
                {"B1": make_asset(f"./{name}.tif")},
                shapely.geometry.mapping(turned),
                cloud=cloud,
                **extra,
            )
        )
    return items


def expected_ids(items, limit=None, footprints=FOOTPRINTS):
    found = []
    for each in items:
        when = datetime.fromisoformat(each["properties"]["datetime"])
        inside = datetime(2017, 1, 1, tzinfo=UTC) <= when < datetime(2018, 1, 1, tzinfo=UTC)
        met = any(shapely.geometry.shape(each["geometry"]).intersects(box) for box in footprints)
        cloud = each["properties"].get("eo:cloud_cover")
        clear = limit is None or (cloud is not None and cloud < limit * 100)
        if inside and met and clear:
            found.append(each["id"])
    return sorted(found)


# Which scenes.


@pytest.mark.parametrize("limit", [None, 0.4])
@pytest.mark.parametrize("place", ["absolute", "relative", "url", "file url"])
def test_a_static_catalogue_gives_the_scenes_that_match(tmp_path, monkeypatch, serve, place, limit):
    items = some_items()
    path = write_catalogue(tmp_path / "cat", items)
    monkeypatch.chdir(tmp_path)
    places = {"absolute": path, "relative": "cat/catalog.json", "file url": path.as_uri()}
    catalog = f"{serve(tmp_path)}/cat/catalog.json" if place == "url" else places[place]
    assert ids(find(catalog, max_cloud=limit)) == expected_ids(items, limit)
    assert 3 < len(expected_ids(items, limit)) < 40


@pytest.mark.parametrize("limit", [None, 0.4])
def test_an_api_gives_the_scenes_that_match_through_many_pages(stac_api, limit):
    items = some_items(900)
    api = stac_api(items, [make_collection("s2")])
    scenes = find(api, max_cloud=limit)
    assert ids(scenes) == expected_ids(items, limit)
    assert limit or len(scenes) > 250
    by_id = {each["id"]: each for each in items}
    for scene in scenes:
        assert scene.acquired == datetime.fromisoformat(by_id[scene.id]["properties"]["datetime"])
        cover = by_id[scene.id]["properties"].get("eo:cloud_cover")
        assert scene.cloud == (None if cover is None else cover / 100)
        assert shapely.from_wkb(scene.footprint).equals(shapely.geometry.shape(by_id[scene.id]["geometry"]))


def test_an_api_and_a_static_catalogue_give_the_same_scenes(tmp_path, stac_api):
    bands = [{"nodata": 0, "scale": 0.0001, "offset": -0.1, "data_type": "uint16"}]
    items = [
        make_item(
            "a", DAY, {"B1": make_asset("https://example.com/a.tif", **{"raster:bands": bands})}, HERE, cloud=3.0
        ),
        make_item(
            "b",
            DAY,
            {"x": make_asset("https://example.com/b.tif", **{"eo:bands": [{"name": "B1"}, {"name": "B2"}]})},
            HERE,
        ),
    ]
    from_api = find(stac_api(items, [make_collection("s2")]))
    from_files = find(write_catalogue(tmp_path / "cat", items))
    assert sorted(from_api, key=lambda scene: scene.id) == sorted(from_files, key=lambda scene: scene.id)
    assert from_api[0].find_band("B1") == Band("https://example.com/a.tif", 1, 0.0, 0.0001, -0.1)


def test_the_last_day_counts_to_its_end(tmp_path, stac_api):
    times = {
        "before": "2016-12-31T23:59:59.999Z",
        "first": "2017-01-01T00:00:00Z",
        "east of it": "2017-01-01T00:30:00+01:00",
        "last": "2017-12-31T23:59:59Z",
        "very last": "2017-12-31T23:59:59.9Z",
        "west of it": "2017-12-31T23:30:00-01:00",
        "after": "2018-01-01T00:00:00Z",
    }
    items = [make_item(name, when, {"B1": make_asset("./a.tif")}, HERE) for name, when in times.items()]
    for catalog in (write_catalogue(tmp_path / "cat", items), stac_api(items, [make_collection("s2")])):
        assert ids(find(catalog)) == ["first", "last", "very last"]


def test_an_item_with_a_time_span_counts_from_its_start(tmp_path, stac_api):
    span = {"start_datetime": "2017-12-31T20:00:00Z", "end_datetime": "2018-01-01T20:00:00Z"}
    early = {"start_datetime": "2016-12-31T20:00:00Z", "end_datetime": "2017-01-01T20:00:00Z"}
    items = [
        make_item("a", None, {"B1": make_asset("./a.tif")}, HERE, **span),
        make_item("b", None, {"B1": make_asset("./a.tif")}, HERE, **early),
    ]
    for catalog in (write_catalogue(tmp_path / "cat", items), stac_api(items, [make_collection("s2")])):
        scenes = find(catalog)
        assert [(scene.id, scene.acquired) for scene in scenes] == [("a", datetime(2017, 12, 31, 20, tzinfo=UTC))]


def test_an_item_without_geometry_is_left_out(tmp_path):
    items = [
        make_item("a", DAY, {"B1": make_asset("./a.tif")}, None),
        make_item("b", DAY, {"B1": make_asset("./a.tif")}, HERE),
    ]
    assert ids(find(write_catalogue(tmp_path, items))) == ["b"]


def test_the_cloud_limit_is_strict(tmp_path, stac_api):
    covers = [0.0, 6.999, 7.0, 7.001, 28.999, 29.0, 57.0, 100.0]
    items = [make_item(f"{cover:07.3f}", DAY, {"B1": make_asset("./a.tif")}, HERE, cloud=cover) for cover in covers]
    for catalog in (write_catalogue(tmp_path / "cat", items), stac_api(items, [make_collection("s2")])):
        for limit in (0.07, 0.29, 0.57, 1.0):
            below = [f"{cover:07.3f}" for cover in covers if round(cover * 1000) < round(limit * 100_000)]
            assert ids(find(catalog, max_cloud=limit)) == below


def test_a_limit_without_any_cloud_cover_to_compare_is_an_error(tmp_path, stac_api):
    items = [make_item(name, DAY, {"B1": make_asset("./a.tif")}, HERE) for name in "abc"]
    for catalog in (write_catalogue(tmp_path / "cat", items), stac_api(items, [make_collection("s2")])):
        assert ids(find(catalog)) == ["a", "b", "c"]
        with pytest.raises(
            InputError, match="product 's2': none of its 3 scenes declares its cloud cover; set .*max_cloud"
        ):
            find(catalog, max_cloud=0.5)


def test_a_mask_product_has_no_cloud_limit(tmp_path):
    items = [
        make_item("a", DAY, {"B1": make_asset("./a.tif")}, HERE, cloud=90.0),
        make_item("b", DAY, {"B1": make_asset("./b.tif")}, HERE, cloud=5.0),
    ]
    items += [
        make_item(name, DAY, {"m": make_asset("./m.tif")}, HERE, collection="masks", cloud=90.0)
        for name in ("a", "b", "c")
    ]
    mask = {"product": "masks", "band": "m", "clear": [0]}
    scenes = find(write_catalogue(tmp_path, items), max_cloud=0.1, cloud_mask=mask)
    assert sorted((scene.product, scene.id) for scene in scenes) == [
        ("masks", "a"),
        ("masks", "b"),
        ("masks", "c"),
        ("s2", "b"),
    ]


@pytest.mark.parametrize("kind", ["static", "api"])
def test_an_unknown_product_names_those_that_are_known(tmp_path, stac_api, kind):
    items = [make_item(name, DAY, {"B1": make_asset("./a.tif")}, HERE, collection=name) for name in ("s2", "landsat")]
    catalog = (
        write_catalogue(tmp_path / "cat", items)
        if kind == "static"
        else stac_api(items, [make_collection("s2"), make_collection("landsat")])
    )
    with pytest.raises(InputError, match="no product 's3'; it has landsat, s2"):
        example_scene(open_catalog(str(catalog)), "s3", str(catalog))
    assert example_scene(open_catalog(str(catalog)), "landsat", str(catalog)).id == "landsat"
    if kind == "static":
        with pytest.raises(InputError, match="no product 's3'; it has landsat, s2"):
            find(catalog, products=[{"id": "s3", "bands": ["B1"]}])


@pytest.mark.parametrize("kind", ["static", "api"])
def test_a_product_without_items_has_no_example(tmp_path, stac_api, kind):
    path = write_catalogue(tmp_path / "cat", [make_item("a", DAY, {"B1": make_asset("./a.tif")}, HERE)])
    write_json(tmp_path / "cat" / "s2" / "collection.json", make_collection("s2"))
    catalog = path if kind == "static" else stac_api([], [make_collection("s2")])
    assert example_scene(open_catalog(str(catalog)), "s2", str(catalog)) is None
    assert find(catalog) == []


# Where items lie in a static catalogue.


def tree(folder):
    """A catalogue whose items lie at five kinds of places; each is named after its place."""
    scene = {
        name: make_item(name, DAY, {"B1": make_asset(f"./{name}.tif")}, HERE)
        for name in ("root", "year", "s2", "deep", "bare")
    }
    del scene["bare"]["collection"]
    other = make_item("other", DAY, {"B1": make_asset("./other.tif")}, HERE, collection="landsat")
    catalogue = {"type": "Catalog", "stac_version": "1.0.0", "description": "-"}
    files = {
        "catalog.json": {
            **catalogue,
            "id": "root",
            "links": [make_link("child", "./years/catalog.json"), make_link("item", "./root.json")],
        },
        "years/catalog.json": {
            **catalogue,
            "id": "years",
            "links": [
                make_link("child", "./s2/collection.json"),
                make_link("child", "landsat/collection.json"),
                make_link("item", "./year.json"),
            ],
        },
        "years/s2/collection.json": make_collection(
            "s2",
            [
                make_link("item", "./s2.json"),
                make_link("item", "./bare.json"),
                make_link("child", "./2017/catalog.json"),
            ],
        ),
        "years/s2/2017/catalog.json": {
            **catalogue,
            "id": "2017",
            "links": [make_link("item", "../../../deep/deep.json")],
        },
        "years/landsat/collection.json": make_collection("landsat", [make_link("item", "./other.json")]),
        "root.json": scene["root"],
        "years/year.json": scene["year"],
        "years/s2/s2.json": scene["s2"],
        "years/s2/bare.json": scene["bare"],
        "deep/deep.json": scene["deep"],
        "years/landsat/other.json": other,
    }
    for name, content in files.items():
        write_json(folder / name, content)
    return folder / "catalog.json"


PLACES = {"root": ".", "year": "years", "s2": "years/s2", "deep": "deep", "bare": "years/s2"}


def test_items_are_found_wherever_they_lie_and_assets_beside_them(tmp_path, monkeypatch, serve):
    path = tree(tmp_path / "cat")
    monkeypatch.chdir(tmp_path)
    for catalog, base in (
        (path, tmp_path / "cat"),
        ("cat/catalog.json", "cat"),
        ("./cat/../cat/catalog.json", "cat"),
        (path.as_uri(), tmp_path / "cat"),
        (serve(tmp_path / "cat") + "/catalog.json", None),
    ):
        scenes = find(catalog)
        assert ids(scenes) == sorted(PLACES)
        for scene in scenes:
            place = os.path.normpath(f"{PLACES[scene.id]}/{scene.id}.tif")
            right = os.path.join(base, place) if base else str(catalog).replace("catalog.json", place)
            assert scene.find_band("B1").href == right


def test_a_relative_catalogue_in_another_folder_keeps_relative_addresses(tmp_path, monkeypatch):
    write_catalogue(tmp_path / "data", [make_item("a", DAY, {"B1": make_asset("../../x/a.tif")}, HERE)])
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert find("../data/catalog.json")[0].find_band("B1").href == "../x/a.tif"


def test_an_item_that_two_catalogues_hold_is_one_scene_whichever_comes_first(tmp_path):
    def both(folder, order):
        for name in "ab":
            assets = {"B1": make_asset(f"https://example.com/{name}.tif")}
            write_json(folder / name / "item.json", make_item("same", DAY, assets, HERE))
        links = [make_link("item", f"./{name}/item.json") for name in order]
        write_json(
            folder / "s2" / "collection.json",
            make_collection("s2", [make_link("item", f"../{name}/item.json") for name in order]),
        )
        root = {"type": "Catalog", "stac_version": "1.0.0", "id": "r", "description": "-"}
        return write_json(
            folder / "catalog.json", {**root, "links": [make_link("child", "./s2/collection.json"), *links]}
        )

    first, second = (find(both(tmp_path / order, order)) for order in ("ab", "ba"))
    assert len(first) == 1 and first == second and first[0].pin == second[0].pin


# Addresses.


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("./a.tif", "cat/s2/a.tif"),
        ("a b.tif", "cat/s2/a b.tif"),
        ("../up/a.tif", "cat/up/a.tif"),
        ("https://example.com/a.tif?x=1", "https://example.com/a.tif?x=1"),
        ("s3://bucket/a.tif", "s3://bucket/a.tif"),
        ("gs://bucket/a.tif", "gs://bucket/a.tif"),
    ],
)
def test_addresses_in_a_local_catalogue(tmp_path, monkeypatch, href, expected):
    monkeypatch.chdir(tmp_path)
    path = write_catalogue(tmp_path / "cat", [make_item("a", DAY, {"B1": make_asset(href)}, HERE)])
    assert find("cat/catalog.json")[0].find_band("B1").href == expected
    assert find(path)[0].find_band("B1").href == (expected if "://" in expected else str(tmp_path / expected))


def test_absolute_addresses_in_a_local_catalogue(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "far away" / "a.tif"
    for href in (str(target), target.as_uri()):
        path = write_catalogue(tmp_path / "cat", [make_item("a", DAY, {"B1": make_asset(href)}, HERE)])
        assert find(path)[0].find_band("B1").href == str(target)
        assert find("cat/catalog.json")[0].find_band("B1").href == "far away/a.tif"


@pytest.mark.parametrize(
    "href",
    ["/vsicurl/https://example.com/a.tif", "/vsizip/a.zip/a.tif", "../../../../../../../../../../../../vsimem/a.tif"],
)
def test_no_catalogue_may_point_into_gdals_virtual_file_systems(tmp_path, href):
    path = write_catalogue(tmp_path / "cat", [make_item("a", DAY, {"B1": make_asset(href)}, HERE)])
    with pytest.raises(InputError, match="asset 'B1' of scene 'a' points at '.*'; an asset must be a file or"):
        find(path)


@pytest.mark.parametrize("href", ["file:///etc/a.tif", "FILE:///etc/a.tif", "/etc/a.tif", "/vsicurl/http://x/a.tif"])
@pytest.mark.parametrize("kind", ["static", "api"])
def test_a_remote_catalogue_may_not_point_at_local_files(tmp_path, serve, stac_api, href, kind):
    items = [make_item("a", DAY, {"B1": make_asset(href)}, HERE)]
    if kind == "static":
        write_catalogue(tmp_path, items)
        catalog = serve(tmp_path) + "/catalog.json"
    else:
        catalog = stac_api(items, [make_collection("s2")])
    with pytest.raises(InputError, match=f"asset 'B1' of scene 'a' points at '{href}'; (remote|an asset must)"):
        find(catalog)


def test_an_apis_relative_address_is_relative_to_the_item(stac_api):
    api = stac_api([make_item("a", DAY, {"B1": make_asset("./data/a.tif")}, HERE)], [make_collection("s2")])
    assert find(api)[0].find_band("B1").href == f"{api}/collections/s2/items/data/a.tif"


# Bands, nodata, scale and offset.


def bands_of(folder, asset_content, version="1.0.0", key="B1", **properties):
    content = make_item("a", DAY, {key: asset_content}, HERE, **properties)
    return find(write_catalogue(folder, [content], version))[0].assets.get(key)


SAME_BAND_SAID_IN_FOUR_WAYS = {
    "raster:bands": ("1.0.0", {"raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1}]}),
    "with eo:bands": (
        "1.0.0",
        {"eo:bands": [{"name": "B1"}], "raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1}]},
    ),
    "bands": ("1.1.0", {"bands": [{"name": "B1", "nodata": 0, "raster:scale": 0.0001, "raster:offset": -0.1}]}),
    "asset": ("1.1.0", {"nodata": 0, "raster:scale": 0.0001, "raster:offset": -0.1}),
}


@pytest.mark.parametrize("way", SAME_BAND_SAID_IN_FOUR_WAYS)
@pytest.mark.parametrize("kind", ["static", "api"])
def test_nodata_scale_and_offset_of_either_version(tmp_path, stac_api, way, kind):
    version, extra = SAME_BAND_SAID_IN_FOUR_WAYS[way]
    href = "https://example.com/a.tif"
    content = {**make_item("a", DAY, {"B1": make_asset(href, **extra)}, HERE), "stac_version": version}
    catalog = (
        write_catalogue(tmp_path / "c", [content], version)
        if kind == "static"
        else stac_api([content], [make_collection("s2")])
    )
    assert find(catalog)[0].assets == {"B1": [("B1", Band(href, 1, 0.0, 0.0001, -0.1))]}


def test_bands_of_one_asset_are_numbered_and_named(tmp_path):
    described = [{"nodata": -1, "scale": 2}, {"nodata": "nan", "offset": 5}, {}]
    named = [{"name": "red"}, {"name": "green"}, {}]
    bands = bands_of(tmp_path, make_asset("https://e.com/a.tif", **{"eo:bands": named, "raster:bands": described}))
    assert [(name, band.index, band.scale, band.offset) for name, band in bands] == [
        ("red", 1, 2.0, 0.0),
        ("green", 2, 1.0, 5.0),
        ("B1", 3, 1.0, 0.0),
    ]
    assert bands[0][1].nodata == -1 and math.isnan(bands[1][1].nodata) and bands[2][1].nodata is None


@pytest.mark.parametrize(
    ("content", "raster"),
    [
        ({"href": "https://e.com/a.tif"}, True),
        ({"href": "https://e.com/a.TIFF?sig=x.txt"}, True),
        ({"href": "https://e.com/a.jp2"}, True),
        ({"href": "https://e.com/a", "type": "image/tiff; application=geotiff"}, True),
        ({"href": "https://e.com/a", "type": "image/jp2"}, True),
        ({"href": "https://e.com/a", "type": "image/vnd.stac.geotiff; cloud-optimized=true"}, True),
        ({"href": "https://e.com/a.xml", "type": "application/xml"}, False),
        ({"href": "https://e.com/a.png", "type": "image/png"}, False),
        ({"href": "https://e.com/a.json"}, False),
        ({"href": "/vsicurl/http://x/thumbnail.png", "type": "image/png"}, False),
    ],
)
def test_only_rasters_count(tmp_path, content, raster):
    assert (bands_of(tmp_path, content) is not None) == raster


def test_assets_of_a_collections_kind_do_not_matter(tmp_path):
    scene = one(
        tmp_path,
        assets={"B1": make_asset("https://e.com/a.tif"), "meta": {"href": "./a.xml", "type": "application/xml"}},
    )
    assert list(scene.assets) == ["B1"]


@pytest.mark.parametrize(
    ("key", "extra", "properties", "expected"),
    [
        # the offset that the item gives
        (
            "B04",
            {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]},
            {"s2:processing_baseline": "05.09"},
            (0.0001, -0.1),
        ),
        ("red", {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]}, {}, (0.0001, -0.1)),
        ("B04", {"raster:bands": [{"scale": 0.0001, "offset": 0}]}, {"s2:processing_baseline": "05.09"}, (0.0001, 0.0)),
        # a baseline without offset
        ("B04", {}, {"s2:processing_baseline": "04.00"}, (1.0, -1000.0)),
        ("B8A", {}, {"s2:processing_baseline": "05.11"}, (1.0, -1000.0)),
        ("B04", {"raster:bands": [{"scale": 0.0001}]}, {"s2:processing_baseline": "04.00"}, (0.0001, -0.1)),
        ("B04", {}, {"s2:processing_baseline": "03.01"}, (1.0, 0.0)),
        ("B04", {}, {"s2:processing_baseline": "02.14"}, (1.0, 0.0)),
        ("B04", {}, {"s2:processing_baseline": 2.14}, (1.0, 0.0)),
        ("B04", {}, {"s2:processing_baseline": 4.0}, (1.0, -1000.0)),
        ("B04", {}, {"s2:processing_baseline": "N0205"}, (1.0, 0.0)),
        ("B04", {}, {"s2:processing_baseline": "N0400"}, (1.0, -1000.0)),
        ("B04", {}, {"sentinel:processing_baseline": "04.00"}, (1.0, -1000.0)),
        ("B04", {}, {}, (1.0, 0.0)),
        # what holds no reflectance has no offset
        ("SCL", {}, {"s2:processing_baseline": "04.00"}, (1.0, 0.0)),
        ("AOT", {}, {"s2:processing_baseline": "04.00"}, (1.0, 0.0)),
        # one band whose name, not key, tells what it is
        ("red", {"eo:bands": [{"name": "B04"}]}, {"s2:processing_baseline": "04.00"}, (1.0, -1000.0)),
        # an offset that was taken off already
        (
            "red",
            {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]},
            {"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": True},
            (0.0001, 0.0),
        ),
        ("B04", {}, {"sentinel:processing_baseline": "04.00", "sentinel:boa_offset_applied": True}, (1.0, 0.0)),
        (
            "red",
            {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]},
            {"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": False},
            (0.0001, -0.1),
        ),
    ],
)
def test_sentinel_2_offsets(tmp_path, key, extra, properties, expected):
    ((_, band),) = bands_of(tmp_path, make_asset("https://e.com/a.tif", **extra), key=key, **properties)
    assert (band.scale, band.offset) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("key", ["visual", "visual-jp2", "TCI", "TCI_10m"])
def test_a_true_colour_picture_has_no_reflectance_offset(tmp_path, key):
    named = {"eo:bands": [{"name": "B04"}, {"name": "B03"}, {"name": "B02"}]}
    bands = bands_of(
        tmp_path, make_asset("https://e.com/a.tif", **named), key=key, **{"s2:processing_baseline": "04.00"}
    )
    assert [(band.scale, band.offset) for _, band in bands] == [(1.0, 0.0)] * 3


def test_a_stack_of_named_bands_has_the_offset_of_each(tmp_path):
    named = {"eo:bands": [{"name": "B04"}, {"name": "B8A"}, {"name": "SCL"}]}
    bands = bands_of(
        tmp_path, make_asset("https://e.com/a.tif", **named), key="data", **{"s2:processing_baseline": "04.00"}
    )
    assert [band.offset for _, band in bands] == [-1000.0, -1000.0, 0.0]


# What goes wrong.


def test_a_catalogue_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"catalogue .*nowhere\.json: no such file; imagery\.catalog takes"):
        open_catalog(str(tmp_path / "nowhere.json"))
    with pytest.raises(InputError, match="cannot be read as STAC"):
        open_catalog(str(tmp_path))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no json",
        "[]",
        "{}",
        '"text"',
        "null",
        '{"type": "Catalog"}',
        '{"type": "FeatureCollection", "features": []}',
        json.dumps(make_item("a", DAY, {}, HERE)),
    ],
)
def test_a_file_that_is_no_catalogue(tmp_path, serve, content):
    (tmp_path / "catalog.json").write_text(content)
    for place in (tmp_path / "catalog.json", serve(tmp_path) + "/catalog.json"):
        with pytest.raises(InputError, match=r"catalog\.json: cannot be read as STAC") as caught:
            open_catalog(str(place))
        assert "\n" not in str(caught.value)


def test_a_server_that_does_not_answer_or_has_no_such_page(tmp_path, serve):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/catalog.json"
    with pytest.raises(InputError, match=f"catalogue {address}: cannot be read as STAC"):
        open_catalog(address)
    with pytest.raises(InputError, match="cannot be read as STAC"):
        open_catalog(serve(tmp_path) + "/catalog.json")


class Json(Files):
    """Answers every request with JSON: `answer` gets what was posted."""

    def do_GET(self):  # noqa: N802
        self._send(self.answer(None))

    def do_POST(self):  # noqa: N802
        self._send(self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"])))))

    def _send(self, content):
        text = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def changed(**parts):
    return lambda path: path.write_text(json.dumps({**json.loads(path.read_text()), **parts}))


SPOILT = {
    "missing": lambda path: path.unlink(),
    "no JSON": lambda path: path.write_text("no json"),
    "nothing in it": lambda path: path.write_text("{}"),
    "a list": lambda path: path.write_text("[]"),
}
SPOILT_ITEM = SPOILT | {
    "no time": changed(properties={"datetime": "soon"}),
    "no coordinates": changed(geometry={"type": "Polygon"}),
    "a strange shape": changed(geometry={"type": "Blob", "coordinates": []}),
    "too few points": changed(geometry={"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}),
    "no address": changed(assets={"B1": {}}),
    "no number": changed(assets={"B1": make_asset("./a.tif", **{"raster:bands": [{"nodata": "none"}]})}),
    "no cover": changed(properties={"datetime": DAY, "eo:cloud_cover": "much"}),
}


@pytest.mark.parametrize(
    ("which", "how"),
    [("s2/collection.json", how) for how in SPOILT] + [("s2/0.json", how) for how in SPOILT_ITEM],
)
def test_a_damaged_member_gives_one_message(tmp_path, serve, which, how):
    items = [make_item(name, DAY, {"B1": make_asset("./a.tif")}, HERE) for name in "ab"]
    write_catalogue(tmp_path, items)
    SPOILT_ITEM[how](tmp_path / which)
    for place in (tmp_path / "catalog.json", serve(tmp_path) + "/catalog.json"):
        for look in (find, lambda place: example_scene(open_catalog(str(place)), "s2", str(place))):
            with pytest.raises(InputError, match="catalogue .*catalog.json") as caught:
                look(place)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("how", ["no time", "no address", "no number", "no cover"])
def test_a_damaged_item_of_an_api_gives_one_message(tmp_path, serve, how):
    path = write_json(tmp_path / "a.json", make_item("a", DAY, {"B1": make_asset("./a.tif")}, HERE))
    SPOILT_ITEM[how](path)

    class Careless(Json):
        def answer(self, _):
            if self.path == "/search":
                return {"type": "FeatureCollection", "features": [json.loads(path.read_text())], "links": []}
            return landing_page(f"http://{self.headers['Host']}")

    api = serve(Careless)
    with pytest.raises(InputError, match=f"catalogue {api}: ") as caught:
        find(api)
    assert "\n" not in str(caught.value)


def landing_page(address, *more):
    classes = [f"https://api.stacspec.org/v1.0.0/{name}" for name in ("core", "item-search", *more)]
    root = {"type": "Catalog", "stac_version": "1.0.0", "id": "api", "description": "-", "conformsTo": classes}
    return {**root, "links": [{**make_link("search", f"{address}/search"), "method": "POST"}]}


class Broken(Files):
    def do_GET(self):  # noqa: N802
        self.send_error(500)


def test_a_server_that_fails_gives_one_message_without_the_query_of_the_address(serve):
    with pytest.raises(InputError, match="cannot be read as STAC") as caught:
        open_catalog(serve(Broken) + "/catalog.json")
    assert "\n" not in str(caught.value)


# An API that can filter by properties: a real one behind a server that adds the filter, as the big catalogues do.


def filtering(upstream, asked):
    """A server that hands everything on to a real API, and filters by cloud cover as it is asked."""

    class Filtering(Json):
        def answer(self, question):
            below = question.pop("query")["eo:cloud_cover"]["lt"] if question else None
            reply = requests.request(self.command, upstream + self.path, json=question).json()
            if question:
                asked.append(below)
                covers = [each["properties"].get("eo:cloud_cover", math.inf) for each in reply["features"]]
                reply["features"] = [
                    each for each, cover in zip(reply["features"], covers, strict=True) if cover < below
                ]
                for each in reply["links"]:
                    if each["rel"] == "next":
                        each["body"]["query"] = {"eo:cloud_cover": {"lt": below}}
            else:
                reply["conformsTo"].append("https://api.stacspec.org/v1.0.0/item-search#query")
            return json.loads(json.dumps(reply).replace(upstream, f"http://{self.headers['Host']}"))

    return Filtering


def test_an_api_that_filters_by_cloud_is_asked_to(stac_api, serve):
    items, asked = some_items(400), []
    api = serve(filtering(stac_api(items, [make_collection("s2")]), asked))
    for limit in (0.07, 0.29, 0.4, 1.0):
        assert ids(find(api, max_cloud=limit)) == expected_ids(items, limit)
    assert asked == pytest.approx([7, 29, 40, 100])


def test_the_search_area_holds_all_tiles_on_both_sides_of_the_antimeridian():
    rng = np.random.default_rng(2)
    for west, east in ((10, 30), (-179, 179)):
        corners = np.column_stack([rng.choice([west, east], 30) + rng.uniform(-0.9, 0.9, 30), rng.uniform(-60, 60, 30)])
        tiles = np.array([shapely.box(x, y, x + 0.05, y + 0.05) for x, y in corners], dtype=object)
        area = search_area(tiles)
        assert all(area.buffer(1e-9).contains(tile) for tile in tiles) and area.is_valid
        assert area.bounds[2] - area.bounds[0] < 23 or all(part.bounds[2] - part.bounds[0] < 2 for part in area.geoms)
