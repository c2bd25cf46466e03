"""stac_catalogue.py: which scenes a search of a static catalogue or an API returns."""

import json
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import requests
import shapely

from segchips.errors import InputError
from segchips.scenes.model import Band
from segchips.scenes.query import search_area
from segchips.scenes.stac_catalogue import StacCatalogue
from support.catalogues import make_asset, make_collection, make_item, write_catalogue, write_json
from support.datasets import make_dataset
from support.stac_scenes import DAY, FOOTPRINTS, HERE, Json, find, ids


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


def test_the_check_before_a_run_knows_the_periods_of_a_series(tmp_path):
    item = make_item("a", "2017-06-15T10:00:00Z", {"B1": make_asset("./a.tif")}, HERE)
    catalog = str(write_catalogue(tmp_path, [item]))
    june, july = [["2017-06-01", "2017-06-30"]], [["2017-07-01", "2017-07-31"]]
    for periods, expected in ((june, True), (july, False), (june + july, True)):
        layer = make_dataset(imagery={"catalog": catalog, "periods": periods}).imagery.first
        assert StacCatalogue(layer).check("s2", ["B1"], None, FOOTPRINTS) == expected


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
    assert from_api[0].find_band("B1") == Band("https://example.com/a.tif", 1, 0.0, 0.0001, -0.1, described=False)


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


def test_an_item_with_a_time_span_counts_where_the_span_meets_the_window(tmp_path, stac_api):
    span = {"start_datetime": "2017-12-31T20:00:00Z", "end_datetime": "2018-01-01T20:00:00Z"}
    early = {"start_datetime": "2016-12-31T20:00:00Z", "end_datetime": "2017-01-01T20:00:00Z"}
    gone = {"start_datetime": "2016-01-01T00:00:00Z", "end_datetime": "2016-12-31T23:00:00Z"}
    items = [
        make_item("a", None, {"B1": make_asset("./a.tif")}, HERE, **span),
        make_item("b", None, {"B1": make_asset("./a.tif")}, HERE, **early),
        make_item("c", None, {"B1": make_asset("./a.tif")}, HERE, **gone),
    ]
    for catalog in (write_catalogue(tmp_path / "cat", items), stac_api(items, [make_collection("s2")])):
        scenes = find(catalog)
        middles = [("a", datetime(2018, 1, 1, 8, tzinfo=UTC)), ("b", datetime(2017, 1, 1, 8, tzinfo=UTC))]
        assert sorted((scene.id, scene.acquired) for scene in scenes) == middles


def test_an_item_without_geometry_is_skipped(tmp_path):
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
    source = StacCatalogue(make_dataset(imagery={"catalog": str(catalog)}).imagery.first)
    with pytest.raises(InputError, match="no product 's3'; it has landsat, s2"):
        source.check("s3", ["B1"], None, None)
    source.check("landsat", ["B1"], None, None)
    with pytest.raises(InputError, match="no product 's3'; it has landsat, s2"):
        find(catalog, products=[{"id": "s3", "bands": ["B1"]}])


@pytest.mark.parametrize("kind", ["static", "api"])
def test_a_product_without_items_has_no_scenes(tmp_path, stac_api, kind):
    path = write_catalogue(tmp_path / "cat", [make_item("a", DAY, {"B1": make_asset("./a.tif")}, HERE)])
    write_json(tmp_path / "cat" / "s2" / "collection.json", make_collection("s2"))
    catalog = path if kind == "static" else stac_api([], [make_collection("s2")])
    assert find(catalog) == []


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
            elif "conformsTo" in reply:
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
