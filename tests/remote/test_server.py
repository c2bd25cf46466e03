"""The fetcher's process serves others, and leaves nothing behind."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import rasterio

from segchips.remote.fetcher import Address
from segchips.remote.remote_files import SOCKET_VARIABLE, remote_files
from segchips.remote.server import FetcherProcess
from segchips.remote.tiff_layout import Window, WindowRead
from support.range_server import RangeServer

# A process with a fetcher, and two others that open the same file through it.
PARENT = """
import subprocess, sys
from pathlib import Path
from segchips.remote.server import FetcherProcess
fetcher = FetcherProcess(Path(sys.argv[1]), 4)
if sys.argv[2:]:
    children = [subprocess.Popen([sys.executable, "-c", sys.argv[3], sys.argv[2]]) for _ in range(2)]
    codes = [child.wait() for child in children]
    print(*codes, *Path(sys.argv[1]).glob(".fetched-*/*"), flush=True)
    sys.stdin.read()
"""
CHILD = """
import sys
from segchips.errors import SceneError
from segchips.remote.fetcher import Address
from segchips.remote.remote_files import remote_files
with remote_files() as files:
    where = Address(sys.argv[1], sys.argv[1])
    assert files.open([where])[where.name].path.read_bytes() == b"as it is"
    try:
        files.open([Address(where.name + "x", where.url + "x")])
    except SceneError as error:
        assert "404" in str(error)
    else:
        sys.exit(1)
"""


def test_processes_share_what_was_fetched_and_it_ends_with_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"as it is")
    results = tmp_path / "results"
    with RangeServer(tmp_path) as server:
        command = [sys.executable, "-c", PARENT, str(results), f"{server.url}/file", CHILD]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        codes = process.stdout.readline().split()
        assert codes[:2] == ["0", "0"] and len(codes) == 3
        assert [path for path, *_ in server.asked] == ["/file"]
        process.kill()
        process.wait()
    deadline = time.monotonic() + 30
    while list(results.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(results.iterdir()) == []


def test_no_process_starts_where_nothing_is_remote(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", PARENT, str(tmp_path / "results")], check=True, stdin=subprocess.DEVNULL)
    assert not (tmp_path / "results").exists()


def test_what_is_there_is_read_without_the_fetcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SOCKET_VARIABLE, "")
    pixels = np.random.default_rng(2).integers(0, 200, (1, 300, 300)).astype("uint8")
    profile = {"driver": "COG", "count": 1, "height": 300, "width": 300, "dtype": "uint8", "blocksize": 128}
    with rasterio.open(tmp_path / "a.tif", "w", crs="EPSG:32633", **profile) as file:
        file.write(pixels)
    there, absent = (WindowRead((300, 300), (1,), Window(top, top + 9, 0, 9), False) for top in (0, 290))
    FetcherProcess(tmp_path / "results", 4)
    with RangeServer(tmp_path) as server, pytest.raises(OSError, match="."), remote_files() as files:
        where = Address(f"{server.url}/a.tif", f"{server.url}/a.tif")
        path = files.open([where])[where.name].path
        files.fetch({where: [there]})
        for child in psutil.Process().children():
            if "segchips.remote.server" in " ".join(child.cmdline()):
                child.kill()
        with remote_files() as known:
            assert known.open([where])[where.name].path == path
            known.fetch({where: [there]})
        with rasterio.open(path) as copy:
            np.testing.assert_array_equal(copy.read(1)[:9, :9], pixels[0, :9, :9])
        known.fetch({where: [absent]})
