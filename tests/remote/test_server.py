"""The fetcher's process serves others, and leaves nothing behind."""

import subprocess
import sys
import time
from pathlib import Path

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
