"""stac_features.py: servers that list a collection's items page by page and have no search."""

from datetime import datetime
from functools import partial
from urllib.parse import parse_qs, urlsplit

import pytest
import shapely

from segchips.errors import InputError
from segchips.scenes.stac_client import find_scenes_by_id, open_catalog
from support.catalogues import make_asset, make_item
from support.stac_scenes import DAY, HERE, THERE, Json, find, ids

ITEM_ASSETS = {"B1": {"raster:bands": [{"nodata": 7, "scale": 0.5, "offset": -3}]}}


class Features(Json):
    """Serves the collections `s2`, whose items fill several pages, and `empty`; refuses pages of more than 100."""

    asked: list = []

    def do_GET(self):  # noqa: N802
        self.asked.append(self.path)
        if int(parse_qs(urlsplit(self.path).query).get("limit", ["1"])[0]) > 100:
            self.send_error(413)
            return
        self._send(self.content())

    def content(self):
        root = f"http://{self.headers['Host']}"
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        collections = {name: self.collection(root, name) for name in ("empty", "s2")}
        if path == "/":
            links = [{"rel": "data", "href": f"{root}/collections"}]
            return {"type": "Catalog", "id": "root", "stac_version": "1.0.0", "description": "", "links": links}
        if path == "/collections":
            return {"collections": list(collections.values()), "links": []}
        name, _, rest = path.removeprefix("/collections/").partition("/items")
        items = self.items() if name == "s2" else []
        if rest:
            return next(item for item in items if f"/{item['id']}" == rest)
        if not path.endswith("/items"):
            return collections[name]
        west, south, east, north = map(float, query["bbox"][0].split(","))
        start, end = query["datetime"][0].split("/")
        near = [
            item
            for item in items
            if shapely.box(west, south, east, north).intersects(shapely.geometry.shape(item["geometry"]))
        ]
        near = [
            item
            for item in near
            if start == ".." or datetime.fromisoformat(start) <= datetime.fromisoformat(item["properties"]["datetime"])
        ]
        near = [
            item
            for item in near
            if end == ".." or datetime.fromisoformat(item["properties"]["datetime"]) <= datetime.fromisoformat(end)
        ]
        first = int(query.get("first", ["0"])[0])
        after = self.path.partition("&first=")[0] + f"&first={first + 1}"
        links = [{"rel": "next", "href": after}] if first + 1 < len(near) else []
        return {"type": "FeatureCollection", "features": near[first : first + 1], "links": links}

    @staticmethod
    def collection(root, name):
        links = [{"rel": "items", "href": f"{root}/collections/{name}/items"}]
        return {
            "type": "Collection",
            "id": name,
            "stac_version": "1.0.0",
            "description": "",
            "links": links,
            "item_assets": ITEM_ASSETS,
        }

    @staticmethod
    def items():
        make = partial(make_item, assets={"B1": make_asset("http://127.0.0.1:9/a.tif")})
        days = {"a": DAY, "b": "2017-06-02T10:00:00Z", "old": "2003-06-02T10:00:00Z", "late": "2017-06-30T23:59:59.5Z"}
        return [*(make(name, day, geometry=HERE) for name, day in days.items()), make("there", DAY, geometry=THERE)]


@pytest.mark.parametrize("place", ["/", "/collections/s2"])
def test_pages_of_items_give_the_scenes_of_area_and_period(serve, place):
    Features.asked = []
    address = serve(Features) + place
    scenes = find(address, start="2017-01-01", end="2017-06-30")
    assert ids(scenes) == ["a", "b", "late"]
    band = scenes[0].find_band("B1")
    assert (band.nodata, band.scale, band.offset) == (7.0, 0.5, -3.0)
    assert len([path for path in Features.asked if "/items?" in path]) == 4  # one page is refused, three follow
    assert not any("first=3" in path for path in Features.asked)
    assert [scene.id for scene in find_scenes_by_id("b", "s2", address)] == ["b"]


def test_a_collection_that_the_server_does_not_have(serve):
    with pytest.raises(InputError, match="no product 's9'; it has empty, s2"):
        find(serve(Features) + "/", products=[{"id": "s9", "bands": ["B1"]}])
    assert open_catalog(serve(Features) + "/").products() == ["empty", "s2"]
