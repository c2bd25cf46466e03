"""Forms of catalogues: files of items, folders, collections near and far, and APIs that refuse or say little."""

import asyncio
import json

import numpy as np
import pytest
import rustac
import shapely

from segchips.errors import InputError
from segchips.scenes.stac_catalogue import StacCatalogue
from support.catalogues import make_asset, make_collection, make_item, make_link, write_catalogue, write_json
from support.datasets import make_dataset
from support.stac_scenes import DAY, FOOTPRINTS, HERE, THERE, Json, find, ids


def three():
    """Two items of the product, one of them elsewhere, and one of another product."""
    asset = {"B1": make_asset("./a.tif")}
    return [
        make_item("here", DAY, asset, HERE),
        make_item("there", DAY, asset, THERE),
        make_item("other", DAY, asset, HERE, collection="landsat"),
    ]


def write_parquet(path):
    async def write():
        await rustac.write(str(path), three())

    asyncio.run(write())


FORMS = {
    "items.json": lambda path: write_json(path, {"type": "FeatureCollection", "features": three()}),
    "item.json": lambda path: write_json(path, three()[0]),
    "items.ndjson": lambda path: path.write_text("".join(f"{json.dumps(item)}\n" for item in three())),
    "items.parquet": write_parquet,
    "cat/catalog.json": lambda path: write_catalogue(path.parent, three()),
    "cat/s2/collection.json": lambda path: write_catalogue(path.parents[1], three()),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["near", "far"])
def test_each_form_gives_the_scenes_that_match(tmp_path, serve, form, place):
    FORMS[form](tmp_path / form)
    scenes = find(tmp_path / form if place == "near" else f"{serve(tmp_path)}/{form}")
    assert ids(scenes) == ["here"]
    assert scenes[0].find_band("B1").href.endswith("/a.tif")
    with pytest.raises(InputError, match="no product 's3'"):
        find(tmp_path / form, products=[{"id": "s3", "bands": ["B1"]}])


def test_a_folder_of_items_is_a_catalogue(tmp_path):
    for number, item in enumerate(three()):
        write_json(tmp_path / "deep" / f"{number}.json", item)
    write_json(tmp_path / "deep" / "settings.json", {"a": 1})
    (tmp_path / "._0.json").write_bytes(b"\x00")
    assert ids(find(tmp_path)) == ["here"]


@pytest.mark.parametrize("named", [True, False])
def test_items_straight_below_a_catalogue_belong_to_the_product_that_they_name_or_to_any(tmp_path, named):
    item = three()[0] if named else {key: value for key, value in three()[0].items() if key != "collection"}
    write_json(tmp_path / "x" / "i.json", item)
    root = {"type": "Catalog", "stac_version": "1.0.0", "id": "root", "description": "-"}
    path = write_json(tmp_path / "catalog.json", root | {"links": [make_link("item", "./x/i.json")]})
    assert ids(find(path)) == ["here"]
    assert find(path)[0].find_band("B1").href == str(tmp_path / "x" / "a.tif")


def test_collections_inside_a_collection_belong_to_it(tmp_path):
    write_catalogue(tmp_path / "events", [make_item("here", DAY, {"B1": make_asset("./a.tif")}, HERE, "event-1")])
    links = [make_link("child", "./events/event-1/collection.json")]
    path = write_json(tmp_path / "collection.json", make_collection("s2", links))
    assert ids(find(path)) == ["here"]
    assert ids(find(path, products=[{"id": "event-1", "bands": ["B1"]}])) == ["here"]


@pytest.mark.parametrize("href", ["./a%20b%231.tif", "./a b#1.tif"])
def test_percent_encoded_addresses_are_those_of_files(tmp_path, href):
    (tmp_path / "s2").mkdir()
    (tmp_path / "s2" / "a b#1.tif").write_bytes(b"")
    path = write_catalogue(tmp_path, [make_item("here", DAY, {"B1": make_asset(href)}, HERE)])
    assert find(path)[0].find_band("B1").href == str(tmp_path / "s2" / "a b#1.tif")


def test_an_alternate_address_is_taken_where_the_environment_names_it(tmp_path, monkeypatch):
    asset = make_asset("https://example.com/a.tif", alternate={"s3": {"href": "s3://bucket/a.tif"}})
    path = write_catalogue(tmp_path, [make_item("here", DAY, {"B1": asset}, HERE)])
    assert find(path)[0].find_band("B1").href == "https://example.com/a.tif"
    monkeypatch.setenv("SEGCHIPS_STAC_ALTERNATE", "s3")
    assert find(path)[0].find_band("B1").href == "s3://bucket/a.tif"


# Outlines


SQUARE = [(14.2, 45.2), (14.4, 45.2), (14.4, 45.4), (14.2, 45.4), (14.2, 45.2)]


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "MultiPolygon", "coordinates": [[], [SQUARE], [[]]]},
        {"type": "Polygon", "coordinates": [[(x + 360, y) for x, y in SQUARE]]},
        {"type": "Polygon", "coordinates": [[(x, y, 7.0) for x, y in SQUARE]]},
        {"type": "Polygon", "coordinates": [SQUARE[::-1]]},
        {"type": "Polygon", "coordinates": []},
    ],
    ids=["empty parts", "0 to 360", "heights", "clockwise", "empty with bbox"],
)
def test_an_odd_outline_is_found_where_it_lies(tmp_path, geometry):
    item = make_item("here", DAY, {"B1": make_asset("./a.tif")}, HERE) | {"geometry": geometry}
    item["bbox"] = [14.2, 45.2, 14.4, 45.4]
    elsewhere = np.array([shapely.box(-100, 45.2, -99, 45.4)])
    path = write_catalogue(tmp_path, [item])
    assert ids(find(path)) == ["here"] and find(path, footprints=elsewhere) == []


@pytest.mark.parametrize("ring", [(179.5, -179.5), (179.5, 180.5), (-180.5, -179.5)], ids=["uncut", "east", "west"])
def test_an_outline_across_180_degrees_is_on_both_sides_and_nowhere_else(tmp_path, ring):
    west, east = ring
    corners = [(west, -17.5), (east, -17.5), (east, -16.5), (west, -16.5), (west, -17.5)]
    outline = {"type": "Polygon", "coordinates": [corners]}
    path = write_catalogue(tmp_path, [make_item("here", DAY, {"B1": make_asset("./a.tif")}, outline)])
    for x, found in ((179.7, True), (-179.7, True), (0.0, False), (178.0, False), (-178.0, False)):
        assert bool(find(path, footprints=np.array([shapely.box(x, -17.1, x + 0.1, -17)]))) == found, x


# APIs


def api(items, pages, conforms=True, most=1000, methods=("POST", "GET")):
    """A small STAC API, which refuses larger pages and other methods."""

    class Api(Json):
        def answer(self, question):
            host = f"http://{self.headers['Host']}"
            if self.path.startswith("/collections/s2"):
                return make_collection("s2") | {"item_assets": {"B1": {"nodata": 5, "raster:scale": 0.5}}}
            if not self.path.startswith("/search"):
                links = [{**make_link("search", f"{host}/search"), "method": method} for method in methods]
                root = {"type": "Catalog", "stac_version": "1.0.0", "id": "api", "description": "-", "links": links}
                return root | ({"conformsTo": ["https://api.stacspec.org/v1.0.0/item-search"]} if conforms else {})
            pages.append(dict(question or {}, auth=self.headers.get("X-Key")))
            if question["limit"] > most:
                self.send_error(413)
                return None
            start = int(question.get("token", 0))
            features = items[start : start + question["limit"]]
            links = [
                {**make_link("next", f"{host}/search"), "method": "POST", "body": {**question, "token": start + most}}
            ]
            more = start + question["limit"] < len(items)
            return {"type": "FeatureCollection", "features": features, "links": links if more else []}

        def _send(self, content):
            if content is not None:
                super()._send(content)

    return Api


@pytest.mark.parametrize("conforms", [True, False])
def test_an_api_that_refuses_large_pages_or_states_no_search_is_searched(serve, conforms):
    items = [make_item(f"i{number:03}", DAY, {"B1": make_asset("./a.tif")}, HERE) for number in range(130)]
    pages = []
    scenes = find(serve(api(items, pages, conforms, most=25)))
    assert ids(scenes) == [item["id"] for item in items]
    assert [page["limit"] for page in pages][:4] == [250, 100, 25, 25]
    band = scenes[0].find_band("B1")
    assert (band.nodata, band.scale, band.offset) == (5.0, 0.5, 0.0), "what the collection says of its items' assets"


def test_headers_of_the_environment_go_to_the_catalogue_and_into_no_lock(serve, monkeypatch):
    monkeypatch.setenv("SEGCHIPS_STAC_HEADERS", "X-Key: secret\nX-Other: b")
    pages = []
    scenes = find(serve(api([make_item("here", DAY, {"B1": make_asset("./a.tif")}, HERE)], pages)))
    assert pages[0]["auth"] == "secret" and "secret" not in repr(scenes)


# Filters


def some():
    properties = {"a": {"platform": "s2a", "view": 5}, "b": {"platform": "s2b", "view": 20}, "c": {"view": 5}}
    return [make_item(name, DAY, {"B1": make_asset("./a.tif")}, HERE, **extra) for name, extra in properties.items()]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("platform = 's2a'", ["a"]),
        ("view < 10", ["a", "c"]),
        ("view < 10 OR platform = 's2b'", ["a", "b", "c"]),
        ("NOT (platform = 's2a')", ["b"]),
        ("platform IS NULL", ["c"]),
        ({"platform": "s2b"}, ["b"]),
        ({"platform": ["s2a", "s2b"], "view": 5}, ["a"]),
        ({"id": ["a", "c"]}, ["a", "c"]),
        ("id = 'nothing'", []),
    ],
)
def test_a_filter_is_applied_where_the_catalogue_does_not(tmp_path, wanted, expected):
    assert ids(find(write_catalogue(tmp_path, some()), filter=wanted)) == expected


def test_an_api_that_states_the_filter_extension_filters_itself(serve):
    pages = []

    class Filtering(api(some(), pages)):
        def answer(self, question):
            reply = super().answer(question)
            if question is None and "conformsTo" in reply:
                reply["conformsTo"].append("https://api.stacspec.org/v1.0.0-rc.1/item-search#filter")
            return reply

    assert ids(find(serve(Filtering), filter={"platform": "s2a"})) == ["a", "b", "c"], (
        "the answer is not filtered again"
    )
    expected = {"op": "=", "args": [{"property": "platform"}, "s2a"]}
    assert (pages[0]["filter"], pages[0]["filter-lang"]) == (expected, "cql2-json")


def test_a_check_ends_at_the_first_scene_that_has_the_bands(tmp_path):
    items = [make_item(name, DAY, {key: make_asset("./a.tif")}, HERE) for name, key in (("a", "x"), ("b", "B1"))]
    path = write_catalogue(tmp_path, items)
    catalogue = StacCatalogue(make_dataset(imagery={"catalog": str(path)}).imagery.first)
    assert catalogue.check("s2", ["B1"], None, FOOTPRINTS)
    with pytest.raises(InputError, match=r"scene 'a' of product 's2' has no band 'B9'; it has x \(none of 2 scenes"):
        catalogue.check("s2", ["B9"], None, FOOTPRINTS)
    assert not catalogue.check("s2", ["B1"], None, np.array([shapely.box(0, 0, 1, 1)]))


@pytest.mark.parametrize("form", ["item", "items"])
@pytest.mark.parametrize("place", ["near", "far"])
def test_the_collection_that_items_link_to_describes_their_assets(tmp_path, serve, form, place):
    item = make_item("here", DAY, {"B1": make_asset("./a.tif")}, HERE)
    item["links"] = [make_link("collection", "./collection.json")]
    content = item if form == "item" else {"type": "FeatureCollection", "features": [item]}
    write_json(tmp_path / "items.json", content)
    described = {"B1": {"raster:bands": [{"nodata": 5, "scale": 0.5}]}}
    write_json(tmp_path / "collection.json", make_collection("s2") | {"item_assets": described})
    address = tmp_path / "items.json" if place == "near" else serve(tmp_path) + "/items.json"
    band = find(address)[0].find_band("B1")
    assert (band.nodata, band.scale) == (5.0, 0.5)
    (tmp_path / "collection.json").unlink()
    assert find(address)[0].find_band("B1").nodata is None
