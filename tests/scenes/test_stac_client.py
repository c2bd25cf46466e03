"""stac_client.py: catalogues that are missing, damaged or not STAC."""

import json
import socket

import pytest

from conftest import Files
from segchips.errors import InputError
from segchips.scenes.stac_client import example_scene, open_catalog
from support.catalogues import make_asset, make_item, make_link, write_catalogue, write_json
from support.stac_scenes import DAY, HERE, Json, find

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


def test_a_failing_server_gives_one_message_without_the_urls_query(serve):
    with pytest.raises(InputError, match="cannot be read as STAC") as caught:
        open_catalog(serve(Broken) + "/catalog.json")
    assert "\n" not in str(caught.value)
