"""Remote files as a thread uses them: through the fetcher of the run, or through one of this process."""

import atexit
import os
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any, Protocol

from segchips.remote.byte_ranges import ByteRange
from segchips.remote.fetcher import Address, Fetcher, FetcherSession, LocalCopy, Traffic

SOCKET_VARIABLE = "SEGCHIPS_FETCHER"
"""Names the socket of the run's fetcher."""
_REQUESTS = 32
_local = threading.local()


class RemoteFiles(Protocol):
    """Opens remote files, and fetches parts of them, for one thread."""

    def open(self, addresses: Iterable[Address]) -> Mapping[str, LocalCopy]:
        """Return the local copies of remote files by name, with their headers; SceneError names one that fails."""

    def fetch(self, wanted: Mapping[Address, Iterable[ByteRange]]) -> None:
        """Wait until parts of open files are in their copies; SceneError names the file of one that fails."""

    def release(self) -> None:
        """Use none of the open files any longer, so that their copies may be removed."""


class ConnectedFiles:
    """Remote files that another process fetches; implements `RemoteFiles`.

    Args:
        socket: The path of the fetcher's socket.
    """

    def __init__(self, socket: str) -> None:
        self._connection: Connection = Client(socket, "AF_UNIX")

    def open(self, addresses: Iterable[Address]) -> Mapping[str, LocalCopy]:
        """Return the local copies of remote files by name, with their headers; SceneError names one that fails."""
        return self._call("open", list(addresses))

    def fetch(self, wanted: Mapping[Address, Iterable[ByteRange]]) -> None:
        """Wait until parts of open files are in their copies; SceneError names the file of one that fails."""
        self._call("fetch", {address: list(ranges) for address, ranges in wanted.items()})

    def release(self) -> None:
        """Use none of the open files any longer, so that their copies may be removed."""
        self._call("release")

    def traffic(self) -> Traffic:
        """Return what the fetcher fetched so far, for all."""
        traffic: Traffic = self._call("traffic")
        return traffic

    def _call(self, method: str, *arguments: object) -> Any:
        self._connection.send((method, arguments))
        result, error = self._connection.recv()
        if error:
            raise error
        return result


@contextmanager
def remote_files() -> Iterator[RemoteFiles]:
    """Use remote files in this thread; their copies stay until the outermost block ends."""
    if not getattr(_local, "depth", 0):
        _local.files, _local.depth = _connected_files() or FetcherSession(own_fetcher()), 0
    _local.depth += 1
    try:
        yield _local.files
    finally:
        _local.depth -= 1
        if not _local.depth:
            _local.files.release()


def _connected_files() -> ConnectedFiles | None:
    socket = os.environ.get(SOCKET_VARIABLE)
    if socket and not hasattr(_local, "connected"):
        _local.connected = ConnectedFiles(socket)
    return _local.connected if socket else None


@cache
def own_fetcher() -> Fetcher:
    """Return the fetcher of this process, for what runs without a fetcher process."""
    folder = tempfile.mkdtemp(prefix="segchips-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Fetcher(Path(folder), _REQUESTS, copies_limit(folder))


def copies_limit(folder: str) -> int:
    """Return the bytes that copies may take in a folder: half of what is free there, at most 16 GiB."""
    return min(16 * 1024**3, shutil.disk_usage(folder).free // 2)
