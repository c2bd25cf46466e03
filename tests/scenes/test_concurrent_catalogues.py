"""Catalogues on a network are read with many requests at a time, and give what one request at a time gives."""

import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from segchips.scenes.stac_client import open_catalog
from segchips.scenes.stac_search import ItemSearch
from support.catalogues import make_asset, make_collection, make_item, make_link, write_json
from support.range_server import RangeServer
from support.stac_scenes import HERE, Json

REQUESTS = 8
START = datetime(2020, 1, 1, tzinfo=UTC)


def write_tree(folder, depth=3, width=4, items=2):
    """A tree of catalogues with collections in its leaves, and one that links back to the root."""
    count = 0

    def write(place, level):
        nonlocal count
        if level == depth:
            links = [make_link("item", f"./{number}.json") for number in range(items)]
            for number in range(items):
                name = f"{count}-{number}"
                write_json(place / f"{number}.json", make_item(name, "2020-01-01T00:00:00Z", {}, HERE, "c"))
            count += 1
            write_json(place / "node.json", make_collection("c", links))
            return
        links = [make_link("child", f"./{number}/node.json") for number in range(width)]
        links.append(make_link("child", "../" * level + "node.json"))
        content = {"type": "Catalog", "stac_version": "1.0.0", "id": "n", "description": "n", "links": links}
        write_json(place / "node.json", content)
        for number in range(width):
            write(place / str(number), level + 1)

    write(folder, 0)


def ids(source, search=None):
    return [item["id"] for item in source.items("c", search or ItemSearch())]


def test_a_tree_on_a_server_is_walked_with_many_requests_and_in_order(tmp_path):
    write_tree(tmp_path, depth=2, width=6)
    expected = ids(open_catalog(str(tmp_path / "node.json")))
    assert len(expected) == 72
    with RangeServer(tmp_path, latency=0.05) as server:
        assert ids(open_catalog(f"{server.url}/node.json", REQUESTS)) == expected
        assert 4 < server.most <= REQUESTS
        paths = [path for path, *_ in server.asked]
        assert len(paths) == len(set(paths)) == 72 + 36 + 6 + 1


def test_faults_of_a_walk_are_those_of_one_request_at_a_time(tmp_path):
    write_tree(tmp_path, depth=1)
    (tmp_path / "2" / "1.json").unlink()
    with RangeServer(tmp_path) as server:
        found = [str(item) for item in open_catalog(f"{server.url}/node.json").items("c", ItemSearch())]
        assert len(found) == 8 and found[5].endswith("/2/1.json cannot be read (404)")
        (tmp_path / "3" / "node.json").write_text("{}")
        with pytest.raises(ValueError, match="3/node.json is neither a Catalog nor a Collection"):
            ids(open_catalog(f"{server.url}/node.json"))


class Api(Json):
    """An API with pages of 5 items, newest first, of which some last for hours."""

    says_count, latency = True, 0.05
    searches = under_way = most = 0
    lock = threading.Lock()
    times = [START + timedelta(hours=7 * number) for number in range(61)]

    def answer(self, posted):
        if posted is None:
            here = f"http://{self.headers['Host']}"
            links = [{"rel": "search", "href": f"{here}/search", "method": "POST"}, {"rel": "self", "href": here}]
            return {"type": "Catalog", "stac_version": "1.0.0", "id": "a", "description": "a", "links": links}
        kind = type(self)
        with kind.lock:
            kind.searches += 1
            kind.under_way += 1
            kind.most = max(kind.most, kind.under_way)
        time.sleep(self.latency)
        first, last = (datetime.fromisoformat(moment) for moment in posted["datetime"].split("/"))
        names = [
            str(number)
            for number, moment in enumerate(self.times)
            if moment <= last and moment + timedelta(hours=number % 9) >= first
        ][::-1]
        page = int(posted.get("token", 0))
        found = [make_item(name, None, {"B1": make_asset("a.tif")}, HERE, "c") for name in names]
        links = []
        if page + 5 < len(found):
            body = {**posted, "token": str(page + 5)}
            links = [{"rel": "next", "href": f"http://{self.headers['Host']}/search", "method": "POST", "body": body}]
        with kind.lock:
            kind.under_way -= 1
        about = {"numberMatched": len(found)} if self.says_count else {}
        return {"type": "FeatureCollection", "features": found[page : page + 5], "links": links, **about}


@pytest.mark.parametrize("says_count", [True, False])
def test_a_search_of_an_api_is_parted_by_time_and_finds_each_item_once(serve, says_count):
    kind = type("Api", (Api,), {"says_count": says_count, "lock": threading.Lock()})
    source = open_catalog(serve(kind), REQUESTS)
    period = START - timedelta(hours=1), START + timedelta(hours=7 * 50, minutes=30)
    found = ids(source, ItemSearch(period=period))
    assert sorted(map(int, found)) == list(range(51))
    assert kind.searches <= 1 + 8 * 3 and 4 < kind.most <= REQUESTS


def test_a_search_of_few_pages_or_without_both_days_is_not_parted(serve):
    kind = type("Api", (Api,), {"lock": threading.Lock(), "latency": 0})
    source = open_catalog(serve(kind), REQUESTS)
    found = ids(source, ItemSearch(period=(START, START + timedelta(hours=7 * 8))))
    assert found == [str(number) for number in range(8, -1, -1)]
    assert kind.searches == 2 and all(int(a) > int(b) for a, b in pairwise(found))
