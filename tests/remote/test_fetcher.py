"""The fetcher against a real server: what comes is right, no byte comes twice, faults pass or are named."""

import gc
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio

from segchips.errors import SceneError
from segchips.remote import http_ranges
from segchips.remote.fetcher import Address, Fetcher
from segchips.remote.session import FetcherSession
from segchips.remote.tiff_layout import Window, WindowRead
from support.range_server import RangeServer, cut, reset, stall, status


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 60_000, (1, 600, 600)).astype("uint16")
        profile = {"driver": "COG", "count": 1, "height": 600, "width": 600, "dtype": "uint16", "blocksize": 128}
        with rasterio.open(folder / f"{number}.tif", "w", crs="EPSG:32633", compress="deflate", **profile) as file:
            file.write(pixels)
    return folder


def fetcher(tmp_path, requests=8, limit=10**9):
    (tmp_path / "copies").mkdir(exist_ok=True)
    return Fetcher(tmp_path / "copies", requests, limit)


def address(server, name, patience=20.0):
    return Address(f"{server.url}/{name}", f"{server.url}/{name}?token=secret", patience)


def window(copy, top, bottom, left, right):
    return [WindowRead(copy.shapes[0], (1,), Window(top, bottom, left, right), False)]


def pixels(path, top, bottom, left, right):
    with rasterio.open(path) as file:
        return file.read(1, window=((top, bottom), (left, right)))


def test_many_threads_get_the_right_pixels_and_no_byte_comes_twice(tmp_path, files):
    with RangeServer(files, latency=0.02) as server:
        shared = fetcher(tmp_path)
        random = np.random.default_rng(1)

        def read(number):
            session, name = FetcherSession(shared), f"{number % 3}.tif"
            where = address(server, name)
            copy = session.open([where])[where.name]
            top, left = random.integers(0, 500, 2)
            part = int(top), int(top) + 100, int(left), int(left) + 100
            session.fetch({where: window(copy, *part)})
            result = pixels(copy.path, *part), pixels(files / name, *part)
            session.release()
            return result

        with ThreadPoolExecutor(24) as pool:
            for got, expected in pool.map(read, range(90)):
                np.testing.assert_array_equal(got, expected)
        assert 4 < server.most <= 8
        fetched = [(path, byte) for path, start, stop in server.asked for byte in range(start, stop)]
        # Requests that save another one read again what lies between; the rest comes once.
        assert len(fetched) <= 1.02 * len(set(fetched))
        traffic = shared.traffic()
        assert traffic.requests == len(server.asked) and not traffic.under_way
        assert 0 < traffic.busy <= traffic.waited <= 8 * traffic.busy
        assert traffic.received == len(fetched)


@pytest.fixture
def queued(tmp_path, files):
    """A server that is held up, and parts beside each other that were asked for one by one meanwhile."""
    held = threading.Event()
    with RangeServer(files) as server:
        shared, where = fetcher(tmp_path, requests=1), address(server, "0.tif")
        copy, local = shared.open(where).result()
        server.guard = lambda _: not held.wait(60)
        other = shared.open(address(server, "1.tif"))
        while not server.now:
            time.sleep(0.01)
        base = len(server.asked)
        columns = [window(local, 0, 100, left, left + 100) for left in range(0, 500, 130)]
        waited = [shared.fetch(where, copy, copy.layout.ranges(*reads)) for reads in columns]
        yield server, held, waited, local, lambda: len(server.asked) - base
        other.result()


def test_parts_that_wait_beside_each_other_come_with_one_request(queued, files):
    _, held, waited, copy, answered = queued
    assert all(waited) and answered() == 0
    held.set()
    for future in itertools.chain(*waited):
        future.result(timeout=60)
    np.testing.assert_array_equal(pixels(copy.path, 0, 100, 0, 490), pixels(files / "0.tif", 0, 100, 0, 490))
    assert sum(path.startswith("/0.tif") for path, *_ in queued[0].asked[-answered() :]) == 1


def test_a_joined_request_that_fails_fails_all_of_its_parts(queued):
    server, held, waited, _, _ = queued
    server.guard = lambda handler: status(404)(handler) if handler.path.startswith("/0.tif") else False
    held.set()
    errors = [str(future.exception(timeout=60)) for future in itertools.chain(*waited)]
    assert len(errors) >= 4 and all("0.tif: cannot be read (HTTP 404)" in error for error in errors)


def test_answers_are_not_kept_in_memory(tmp_path, files):
    with RangeServer(files) as server:
        shared, where = fetcher(tmp_path), address(server, "0.tif")
        session = FetcherSession(shared)
        copy = session.open([where])[where.name]
        gc.collect()
        gc.disable()
        try:
            for top in range(0, 600, 60):
                session.fetch({where: window(copy, top, top + 60, 0, 600)})
            assert len(server.asked) > 5
            assert not [each for each in gc.get_objects() if isinstance(each, http_ranges.RangeResponse)]
        finally:
            gc.enable()


@pytest.mark.parametrize("fault", [status(503), status(429, "0"), cut, reset], ids=["503", "429", "cut", "reset"])
def test_faults_pass(tmp_path, files, fault):
    with RangeServer(files) as server:
        session, where = FetcherSession(fetcher(tmp_path)), address(server, "0.tif")
        server.faults += [fault]
        copy = session.open([where])[where.name]
        server.faults += [fault, fault]
        session.fetch({where: window(copy, 0, 600, 0, 600)})
        np.testing.assert_array_equal(pixels(copy.path, 0, 600, 0, 600), pixels(files / "0.tif", 0, 600, 0, 600))
        assert not server.faults


def test_a_server_says_when_to_come_again(tmp_path, files):
    with RangeServer(files) as server:
        server.faults += [status(503, "1")]
        begun, where = time.monotonic(), address(server, "0.tif")
        FetcherSession(fetcher(tmp_path)).open([where])
        assert time.monotonic() - begun >= 1


def test_a_busy_host_does_not_hold_up_another(tmp_path, files):
    with RangeServer(files) as busy, RangeServer(files) as idle, ThreadPoolExecutor(1) as pool:
        shared, where = fetcher(tmp_path, requests=1), address(busy, "0.tif")
        busy.faults += [status(503, "5")]
        waiting = pool.submit(FetcherSession(shared).open, [where])
        while busy.faults:
            time.sleep(0.01)
        FetcherSession(shared).open([address(idle, "1.tif")])
        assert not waiting.done()
        assert where.name in waiting.result()


def test_a_silent_host_does_not_hold_up_another_and_is_given_up_once(tmp_path, files, monkeypatch):
    monkeypatch.setattr(http_ranges, "_SILENCE_SECONDS", 1.0)
    with RangeServer(files) as silent, RangeServer(files) as other, ThreadPoolExecutor(12) as pool:
        shared, patience = fetcher(tmp_path, requests=8), 4.0
        session = FetcherSession(shared)
        session.open([address(silent, f"{number}.tif", patience) for number in (0, 1)])
        session.open([address(other, "0.tif")])
        silent.faults += [stall] * 1000

        def read(server, number):
            mine, where = FetcherSession(shared), address(server, f"{number}.tif", patience)
            layout = mine.open([where])[where.name]
            mine.fetch({where: window(layout, 0, 600, 0, 600)})
            return time.monotonic()

        begun = time.monotonic()
        stalled = [pool.submit(read, silent, number) for number in (0, 1, 2, 2, 2, 2)]
        assert max(pool.map(lambda number: read(other, number), (1, 2, 0))) - begun < 3
        errors = [str(future.exception()) for future in stalled]
        assert all("cannot be read (no answer in time" in error for error in errors)
        assert all("cannot be read" in str(raised(read, silent, number)) for number in (0, 1, 2))
        assert time.monotonic() - begun < patience + 6


def raised(function, *arguments):
    with pytest.raises(SceneError) as caught:
        function(*arguments)
    return caught.value


def test_a_file_that_fails_while_its_host_answers_fails_no_other(tmp_path, files):
    with RangeServer(files) as server, ThreadPoolExecutor(1) as pool:
        shared, where = fetcher(tmp_path), address(server, "0.tif", patience=2)
        server.guard = lambda handler: status(500)(handler) if "0.tif" in handler.path else False
        failing = pool.submit(FetcherSession(shared).open, [where])
        while not failing.done():
            FetcherSession(shared).open([address(server, "1.tif")])
            copy = FetcherSession(shared).open([address(server, "2.tif")])
            shared._copies.clear()  # ask again
        assert "HTTP 500" in str(failing.exception()) and copy
        FetcherSession(shared).open([address(server, "1.tif")])


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (status(503), r"0\.tif: cannot be read \(HTTP 503, \d attempts\); .*patience"),
        (status(404), r"0\.tif: cannot be read \(HTTP 404\); take its scene out"),
        (status(403), r"0\.tif: cannot be read \(HTTP 403\); it needs credentials"),
    ],
    ids=["503", "404", "403"],
)
def test_what_does_not_pass_is_named_without_secrets(tmp_path, files, fault, message):
    with RangeServer(files) as server:
        server.faults += [fault] * 20
        session, where = FetcherSession(fetcher(tmp_path)), address(server, "0.tif", patience=2)
        with pytest.raises(SceneError, match=message) as caught:
            session.open([where])
        assert "secret" not in str(caught.value)
        server.faults.clear()
        session.release()
        session.open([where])  # it is tried again


def test_a_host_that_was_never_there_is_named_soon(tmp_path, files):
    with RangeServer(files) as server:
        where = address(server, "0.tif", patience=300)
    begun = time.monotonic()
    with pytest.raises(SceneError, match=r"0\.tif: cannot be read \(.*3 attempts\)"):
        FetcherSession(fetcher(tmp_path)).open([where])
    assert time.monotonic() - begun < 60


def test_a_server_without_ranges_sends_the_file_once(tmp_path, files):
    with RangeServer(files, with_ranges=False) as server:
        session, where = FetcherSession(fetcher(tmp_path)), address(server, "0.tif")
        copy = session.open([where])[where.name]
        session.fetch({where: window(copy, 0, 600, 0, 600)})
        np.testing.assert_array_equal(pixels(copy.path, 0, 600, 0, 600), pixels(files / "0.tif", 0, 600, 0, 600))
        assert len(server.asked) == 1


def test_a_file_that_changes_meanwhile_is_named(tmp_path, files):
    with RangeServer(files) as server:
        session, where = FetcherSession(fetcher(tmp_path)), address(server, "0.tif")
        copy = session.open([where])[where.name]
        (files / "0.tif").write_bytes((files / "1.tif").read_bytes())
        with pytest.raises(SceneError, match=r"0\.tif: changed while it was read; run again"):
            session.fetch({where: window(copy, 0, 600, 0, 600)})


def test_a_file_that_is_no_tiff_file_is_left_to_gdal(tmp_path, files):
    (files / "a.jp2").write_bytes(b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100))
    with RangeServer(files) as server:
        where = address(server, "a.jp2")
        assert FetcherSession(fetcher(tmp_path)).open([where])[where.name].shapes == ()


def test_copies_that_nobody_uses_are_removed_when_they_are_too_large(tmp_path, files):
    with RangeServer(files) as server:
        shared = fetcher(tmp_path, limit=100_000)
        kept, others = FetcherSession(shared), FetcherSession(shared)
        first = address(server, "0.tif")
        copy = kept.open([first])[first.name]
        kept.fetch({first: window(copy, 0, 300, 0, 300)})
        for name in ("1.tif", "2.tif", "1.tif", "2.tif"):
            where = address(server, name)
            opened = others.open([where])[where.name]
            others.fetch({where: window(opened, 0, 600, 0, 600)})
            np.testing.assert_array_equal(pixels(opened.path, 0, 600, 0, 600), pixels(files / name, 0, 600, 0, 600))
            others.release()
        kept.fetch({first: window(copy, 300, 600, 300, 600)})
        np.testing.assert_array_equal(pixels(copy.path, 0, 300, 0, 300), pixels(files / "0.tif", 0, 300, 0, 300))
        assert [path.name for path in (tmp_path / "copies").iterdir()] == [copy.path.name]
