"""Fixtures of all tests: servers on loopback, the sample and projects made from it, the real data."""

import http.server
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from loopback.server import Platform
from support.catalogues import write_json
from support.projects import Project, sample_config

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell's background jobs ignore interrupts, and so would the runs that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    """Loopback servers are reached directly."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


class Files(http.server.SimpleHTTPRequestHandler):
    """The files of a folder, quietly."""

    def log_message(self, *_):
        pass


@contextmanager
def http_server(handler):
    """An HTTP server on a free loopback port; gives its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.fixture
def serve():
    """Serve a folder, or whatever a request handler class answers, over HTTP until the test ends; gives the address."""
    with ExitStack() as stack:
        yield lambda what: stack.enter_context(
            http_server(partial(Files, directory=what) if isinstance(what, Path) else what)
        )


@pytest.fixture
def stac_api(tmp_path):
    """Start a real STAC API over items and collections; gives its landing page's address."""
    started = []

    def start(items, collections):
        files = [write_json(tmp_path / f"api-{each['id']}.json", each) for each in collections]
        files.append(write_json(tmp_path / "api-items.json", {"type": "FeatureCollection", "features": items}))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        program = shutil.which("rustac", path=str(Path(sys.executable).parent)) or "rustac"
        server = subprocess.Popen([program, "serve", "-a", address, *map(str, files)], stdout=-3, stderr=-3)
        started.append(server)
        for _ in range(200):
            assert server.poll() is None, "rustac serve ended"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(address.split(":")[1]))) == 0:
                    return f"http://{address}"
            time.sleep(0.05)
        raise AssertionError("rustac serve does not answer")

    yield start
    for server in started:
        server.terminate()
        server.wait()


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with a small sample in resources/sample; not to be changed."""
    from segchips.sample.sample import write_sample

    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder / "resources" / "sample", columns=3, rows=2)
    return folder


@pytest.fixture(scope="session")
def sample_run(sample_folder: Path) -> Project:
    """The small sample with tiles in every split, run once; not to be changed."""
    project = Project(sample_folder)
    project.write(sample_config())
    project.change("defaults.splitting", {"seed": 4})
    result = project.run()
    assert result.returncode == 0, result.stdout
    return project


@pytest.fixture
def project(sample_run: Project, tmp_path: Path) -> Project:
    """A copy of the finished sample run, to be changed."""
    return Project(Path(shutil.copytree(sample_run.folder, tmp_path / "project")))


@pytest.fixture
def fresh(sample_run: Project, tmp_path: Path) -> Project:
    """The sample without results, to be changed."""
    folder = tmp_path / "fresh"
    shutil.copytree(sample_run.folder / "resources", folder / "resources")
    shutil.copy(sample_run.folder / "config.yaml", folder / "config.yaml")
    return Project(folder)


@pytest.fixture
def platform(sample_folder: Path, tmp_path: Path) -> Iterator[Platform]:
    """The small sample's scenes behind the platform's protocol; its children may contact nothing else."""
    with Platform(sample_folder / "resources" / "sample" / "catalog.json", home=tmp_path / "home") as platform:
        yield platform
        assert (platform.attempts(), platform.defects) == ([], [])


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real imagery and labels, where there is one."""
    if "SEGCHIPS_REAL_DATA" not in os.environ:
        pytest.skip("SEGCHIPS_REAL_DATA is not set")
    return Path(os.environ["SEGCHIPS_REAL_DATA"])
