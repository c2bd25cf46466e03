"""The platform on loopback in processes of its own: a command, and children that reach nothing else."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loopback.faults import Faults
from loopback.log import Request
from loopback.server import Platform
from support.platform_client import PRODUCT, REPOSITORY


def first_fault(seed: int) -> str:
    faults = Faults()
    faults.inject(seed, 1)
    return faults.next_fault(Request("catalog", "GET", f"/products/{PRODUCT}", None)).name


PASTED = f"""
import time
from earthdaily.earthone.catalog import Product
start = time.monotonic()
assert Product.get("{PRODUCT}").id == "{PRODUCT}"
assert time.monotonic() - start > 1
"""

TRIES = """
import socket, sys, urllib.request
for address in sys.argv[1:]:
    try:
        urllib.request.urlopen(address, timeout=1)
    except OSError as error:
        print(error)
socket.create_connection(("localhost", int(sys.argv[1].rpartition(":")[2])))
"""


def test_children_reach_nothing_else(sample_folder: Path, tmp_path: Path) -> None:
    catalogue = sample_folder / "resources" / "sample" / "catalog.json"
    with Platform(catalogue, home=tmp_path / "home") as platform:
        command = [sys.executable, "-c", TRIES, platform.url, "http://192.0.2.1", "http://example.org"]
        child = subprocess.run(command, env=platform.environment(), text=True, capture_output=True, check=True)
        assert "only this machine may be contacted" in child.stdout
        assert [attempt.split()[1] for attempt in platform.attempts()] == ["192.0.2.1", "example.org"]


def test_the_environment_has_none_of_the_users_accounts(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "http_proxy", "CLIENT_ID", "DESCARTESLABS_CLIENT_SECRET", "EARTHONE_ENV"):
        monkeypatch.setenv(name, "mine")
    assert "mine" not in platform.environment().values()


def test_it_is_a_command(sample_folder: Path, tmp_path: Path) -> None:
    catalogue = sample_folder / "resources" / "sample" / "catalog.json"
    seed = next(seed for seed in range(1000) if first_fault(seed) == "slow")
    command = [sys.executable, str(REPOSITORY / "tests" / "serve.py"), str(catalogue), "--faults", f"{seed}:1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as server:
        lines = [server.stdout.readline() for _ in range(9)]
        mine = os.environ | {"HTTP_PROXY": "http://127.0.0.1:9", "CLIENT_ID": "mine", "HOME": str(tmp_path)}
        shell = subprocess.run(["sh", "-c", f"{''.join(lines)}{sys.executable} -W ignore -c '{PASTED}'"], env=mine)
        server.send_signal(signal.SIGINT)
        assert (shell.returncode, server.wait(10)) == (0, 0)
    assert list(tmp_path.iterdir()) == []
