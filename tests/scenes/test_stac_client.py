"""stac_client.py: catalogues that are missing, damaged or not STAC."""

import json
import socket

import pytest

from conftest import Files
from segchips.errors import InputError
from segchips.scenes.stac_catalogue import StacCatalogue
from segchips.scenes.stac_client import open_catalog
from support.catalogues import make_asset, make_collection, make_item, make_link, write_catalogue, write_json
from support.datasets import make_dataset
from support.stac_scenes import DAY, FOOTPRINTS, HERE, Json, find

# What goes wrong.


def test_a_catalogue_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"catalogue .*nowhere\.json: no such file; imagery\.catalog takes"):
        open_catalog(str(tmp_path / "nowhere.json"))
    with pytest.raises(InputError, match=r"the folder has no catalog\.json and no items"):
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
        '{"type": "FeatureCollection", "features": {}}',
        '{"type": "Catalog"}\n{"type": "Catalog"',
    ],
)
def test_a_file_that_is_not_a_catalogue(tmp_path, serve, content):
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
    "no address": changed(assets={"B1": {"type": "image/tiff"}}),
    "no number": changed(assets={"B1": make_asset("./a.tif", **{"raster:bands": [{"nodata": "none"}]})}),
    "no cover": changed(properties={"datetime": DAY, "eo:cloud_cover": "much"}),
}


def catalogue(place):
    return StacCatalogue(make_dataset(imagery={"catalog": str(place)}).imagery.first)


@pytest.mark.parametrize("how", SPOILT)
def test_a_damaged_collection_gives_one_message(tmp_path, serve, how):
    write_catalogue(tmp_path, [make_item(name, DAY, {"B1": make_asset("./a.tif")}, HERE) for name in "ab"])
    SPOILT[how](tmp_path / "s2/collection.json")
    for place in (tmp_path / "catalog.json", serve(tmp_path) + "/catalog.json"):
        for look in (find, lambda place: catalogue(place).check("s2", [], None, None)):
            with pytest.raises(InputError, match="catalogue .*catalog.json") as caught:
                look(place)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("how", SPOILT_ITEM)
def test_a_damaged_item_is_left_out_by_name(tmp_path, serve, how):
    write_catalogue(tmp_path, [make_item(name, DAY, {"B1": make_asset("./a.tif")}, HERE) for name in "ab"])
    SPOILT_ITEM[how](tmp_path / "s2/0.json")
    for place in (tmp_path / "catalog.json", serve(tmp_path) + "/catalog.json"):
        source = catalogue(place)
        scenes = source.search(FOOTPRINTS)
        usable = [scene.id for scene in scenes if scene.find_band("B1")]
        assert usable == ["b"] and len(source.skipped_items) == 1
        (line,) = source.skipped_items
        assert "scene 'a' of product 's2'" in line or "s2/0.json cannot be read" in line
        assert "left out" in line and "\n" not in line


def test_a_server_that_fails_for_an_item_stops_the_search(tmp_path, serve):
    write_catalogue(tmp_path, [make_item(name, DAY, {"B1": make_asset("./a.tif")}, HERE) for name in "ab"])

    class Busy(Files):
        folder = tmp_path

        def do_GET(self):  # noqa: N802
            self.send_error(503) if self.path.endswith("/0.json") else self.send_file(self.path)

        def send_file(self, path):
            content = (tmp_path / path.lstrip("/")).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with pytest.raises(InputError, match="searching product 's2' failed"):
        find(serve(Busy) + "/catalog.json")


@pytest.mark.parametrize("how", ["no time", "no address", "no number", "no cover"])
def test_a_damaged_item_of_an_api_is_left_out_by_name(tmp_path, serve, how):
    path = write_json(tmp_path / "a.json", make_item("a", DAY, {"B1": make_asset("./a.tif")}, HERE))
    SPOILT_ITEM[how](path)

    class Careless(Json):
        def answer(self, _):
            if self.path == "/search":
                return {"type": "FeatureCollection", "features": [json.loads(path.read_text())], "links": []}
            if self.path.startswith("/collections"):
                return make_collection("s2")
            return landing_page(f"http://{self.headers['Host']}")

    source = catalogue(serve(Careless))
    assert not [scene for scene in source.search(FOOTPRINTS) if scene.find_band("B1")]
    (line,) = source.skipped_items
    assert "scene 'a' of product 's2'" in line and "left out" in line and "\n" not in line


def landing_page(address, *more):
    classes = [f"https://api.stacspec.org/v1.0.0/{name}" for name in ("core", "item-search", *more)]
    root = {"type": "Catalog", "stac_version": "1.0.0", "id": "api", "description": "-", "conformsTo": classes}
    return {**root, "links": [{**make_link("search", f"{address}/search"), "method": "POST"}]}


class Broken(Files):
    def do_GET(self):  # noqa: N802
        self.send_error(500)


def test_a_failing_server_gives_one_message_without_the_urls_query(serve):
    with pytest.raises(InputError, match="cannot be read as STAC") as caught:
        open_catalog(serve(Broken) + "/catalog.json")
    assert "\n" not in str(caught.value)
