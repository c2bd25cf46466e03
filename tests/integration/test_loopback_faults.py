"""Faults of the platform on loopback, and what the plain clients make of them."""

import http.client
import json
import math
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from requests.exceptions import ConnectionError as NoConnection
from requests.exceptions import RetryError
from urllib3.exceptions import ReadTimeoutError

from loopback.faults import FAULTS, Fault, Faults
from loopback.images import BandSource
from loopback.log import Request
from loopback.server import Platform, make_token
from segchips.grids.tile import Tile
from support.platform_client import PRODUCT, SCENE, TILE, Client


def some(client: Client, **more: Any) -> np.ma.MaskedArray:
    return client.pixels([SCENE], ["B02", "B03"], **more)


ONE_ERROR = {"401": "UnauthorizedError", "403": "ForbiddenError", "404": "NotFoundError", "429": "RateLimitError"}


@pytest.mark.parametrize("name", ONE_ERROR)
def test_clients_give_up_at_once(client: Client, platform: Platform, name: str) -> None:
    for service, ask in (("raster", lambda: some(client)), ("catalog", client.search().count)):
        platform.faults.add(name, service)
        with pytest.raises(getattr(client.errors, ONE_ERROR[name])):
            ask()
        assert [(request.fault, request.status) for request in platform.log.of(service)] == [(name, int(name))]
    platform.faults.add("404", "catalog")
    assert client.product() is None


@pytest.mark.parametrize("name", ["429 retry-after", "500", "503", "reset", "chunk"])
def test_clients_try_again(client: Client, platform: Platform, name: str) -> None:
    good = some(client)
    platform.faults.add(name, "raster")
    again = some(client)
    assert (again.data == good.data).all() and (again.mask == good.mask).all()
    _, first, second = platform.log.of("raster")
    assert (first.fault, second.fault) == (name, None)
    assert second.started - first.started >= (1 if name == "429 retry-after" else 0)


def test_clients_give_up_in_the_end(client: Client, platform: Platform) -> None:
    platform.faults.add(Fault("status", 429, retry_after="1"), "raster", times=math.inf)
    with pytest.raises(RetryError):
        some(client)
    assert len(platform.log.of("raster")) == 3


@pytest.mark.parametrize("name", ["header", "body"])
def test_an_answer_stalls(client: Client, platform: Platform, name: str) -> None:
    good = some(client)
    client.raster.session.timeout = (5, 0.5)
    platform.faults.add(name, "raster")
    asked = time.monotonic()
    if (name, client.package) == ("body", "earthdaily.earthone"):
        with pytest.raises(ReadTimeoutError):
            some(client)
    else:
        assert (some(client) == good).all()
    assert time.monotonic() - asked >= 0.5
    stalled = platform.log.of("raster")[1]
    assert stalled.fault == name
    until(lambda: stalled.ended is not None)
    assert stalled.ended - stalled.started < 5


def until(condition: Callable[[], bool]) -> None:
    for _ in range(100):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("that never came")


def test_a_reset_connection_is_an_error_of_requests(client: Client, platform: Platform) -> None:
    impatient = client.catalog.CatalogClient(url=f"{platform.url}/catalog", auth=client.connection.auth, retries=0)
    platform.faults.add("reset", "catalog")
    with pytest.raises(NoConnection):
        client.catalog.Product.get(PRODUCT, client=impatient)


def ask_plainly(platform: Platform) -> tuple[http.client.HTTPResponse, bytes]:
    """What comes back, whole or not: the clients themselves may end the process at a partial body."""
    asked = {"ids": [SCENE], "bands": ["B02"], "resolution": 10, "srs": "EPSG:32633", "mask_nodata": True}
    asked["outputBounds"] = list(Tile.from_key(TILE).bounds)
    connection = http.client.HTTPConnection("127.0.0.1", int(platform.url.rpartition(":")[2]), timeout=5)
    connection.request("POST", "/raster/npz", json.dumps(asked), {"Authorization": f"Bearer {make_token()}"})
    answer = connection.getresponse()
    try:
        return answer, answer.read()
    except http.client.IncompleteRead as cut:
        return answer, cut.partial


@pytest.mark.parametrize("framing", ["length", "close", "chunked"])
@pytest.mark.parametrize("keep", [0.1, 0.9])
def test_a_body_is_cut_short(platform: Platform, framing: str, keep: float) -> None:
    whole = ask_plainly(platform)[1]
    platform.faults.add(Fault("truncated", framing=framing, keep=keep))
    answer, part = ask_plainly(platform)
    assert answer.status == 200 and part == whole[: int(len(whole) * keep)]
    headers = {"length": ("Content-Length", str(len(whole))), "chunked": ("Transfer-Encoding", "chunked")}
    name, value = headers.get(framing, ("Connection", "close"))
    assert answer.getheader(name) == value


def test_a_defect_of_the_server_is_recorded(sample_folder: Path) -> None:
    with Platform(sample_folder / "resources" / "sample" / "catalog.json") as platform:
        platform.catalogue.images[SCENE].sources["B02"] = BandSource("nowhere.tif", 1, 0)
        assert ask_plainly(platform)[0].status == 500
        assert "nowhere.tif" in platform.defects[0]


def test_requests_overlap_and_the_log_counts_them(client: Client, platform: Platform) -> None:
    some(client)
    platform.log.clear()
    platform.latency = 0.3
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: some(client), range(12)))
    taken = [request.ended - request.started for request in platform.log]
    assert platform.log.max_concurrent("raster") == 6 and len(platform.log) == 12
    assert min(taken) >= 0.3


def test_injected_faults_depend_on_the_request_not_on_time() -> None:
    asked = [Request("raster", "POST", "/npz", {"ids": [str(number)]}) for number in range(1000)]

    def met(order: list[Request]) -> dict[str, list[str | None]]:
        faults = Faults()
        faults.inject(7, 0.3, FAULTS, "raster", most_in_a_row=2)
        found: dict[str, list[str | None]] = {}
        for request in order * 6:
            fault = faults.next_fault(request)
            found.setdefault(request.body["ids"][0], []).append(fault and fault.name)
        assert faults.next_fault(Request("catalog", "GET", "/products/x", None)) is None
        return found

    once = met(asked)
    assert once == met(asked[::-1])
    names = [name for row in once.values() for name in row]
    assert 0.27 < sum(name is not None for name in names) / len(names) < 0.31
    assert set(names) == {None, *FAULTS}
    rows = ["".join("x" if name else "." for name in row) for row in once.values()]
    assert max(len(run) for row in rows for run in re.findall("x+", row)) == 2
