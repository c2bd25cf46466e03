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

from segchips.remote.fetcher import Address, Fetcher, LocalCopy, Traffic
from segchips.remote.session import FetcherSession
from segchips.remote.tiff_layout import WindowRead
from segchips.remote.turn import waiting

SOCKET_VARIABLE = "SEGCHIPS_FETCHER"
"""Names the socket of the run's fetcher."""
_REQUESTS = 32
_local = threading.local()


class RemoteFiles(Protocol):
    """Opens remote files, and fetches parts of them, for one thread."""

    def open(self, addresses: Iterable[Address]) -> Mapping[str, LocalCopy]:
        """Return the local copies of remote files by name, with their headers; SceneError names one that fails."""

    def fetch(self, wanted: Mapping[Address, Iterable[WindowRead]]) -> None:
        """Wait until what some reads of open files need is in their copies; SceneError names a file that fails."""

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

    def fetch(self, wanted: Mapping[Address, Iterable[WindowRead]]) -> None:
        """Wait until what some reads of open files need is in their copies; SceneError names a file that fails."""
        self._call("fetch", {address: list(reads) for address, reads in wanted.items()})

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


class KnownFiles:
    """Remote files, with what is known of them: what is there already is not asked for again; implements `RemoteFiles`.

    Other threads compute while this one waits.
    """

    def __init__(self, files: RemoteFiles) -> None:
        self._files = files
        self._opened: dict[str, LocalCopy] = {}
        self._fetched: set[tuple[str, WindowRead]] = set()

    def open(self, addresses: Iterable[Address]) -> Mapping[str, LocalCopy]:
        """Return the local copies of remote files by name, with their headers; SceneError names one that fails."""
        addresses = list(addresses)
        if absent := [address for address in addresses if address.name not in self._opened]:
            with waiting():
                self._opened.update(self._files.open(absent))
        return {address.name: self._opened[address.name] for address in addresses}

    def fetch(self, wanted: Mapping[Address, Iterable[WindowRead]]) -> None:
        """Wait until what some reads of open files need is in their copies; SceneError names a file that fails."""
        absent = {
            address: missing
            for address, reads in wanted.items()
            if (missing := [read for read in reads if (address.name, read) not in self._fetched])
        }
        if absent:
            with waiting():
                self._files.fetch(absent)
            self._fetched.update((address.name, read) for address, reads in absent.items() for read in reads)

    def release(self) -> None:
        """Use none of the open files any longer, so that their copies may be removed."""
        self._files.release()


@contextmanager
def remote_files() -> Iterator[RemoteFiles]:
    """Use remote files in this thread; their copies stay until the outermost block ends."""
    if not getattr(_local, "depth", 0):
        _local.files, _local.depth = KnownFiles(_connected_files() or FetcherSession(own_fetcher())), 0
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
