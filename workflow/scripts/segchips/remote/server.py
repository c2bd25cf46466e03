"""A process that fetches remote files for all processes of a run."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from multiprocessing.connection import Connection, Listener
from pathlib import Path

from segchips.errors import SegchipsError
from segchips.remote.fetcher import Fetcher, FetcherSession
from segchips.remote.remote_files import copies_limit


class FetcherProcess:
    """A fetcher in a process of its own, which ends with this one.

    Args:
        folder: Where the copies are; a hidden folder below it is made and removed.
        requests: How many requests are under way at most.
    """

    def __init__(self, folder: Path, requests: int) -> None:
        self._folder, self._requests = folder, requests
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        # The path of a socket has to be short.
        self.socket = str(Path(tempfile.gettempdir()) / f"segchips-{os.getpid()}-{os.urandom(4).hex()}")

    def start(self) -> None:
        """Start the process, unless it has started."""
        with self._lock:
            if self._process is None:
                command = [sys.executable, "-c", "from segchips.remote.server import serve; serve()"]
                arguments = [self.socket, str(self._folder), str(self._requests)]
                self._process = subprocess.Popen([*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                assert self._process.stdout
                self._process.stdout.readline()  # it listens


def serve() -> None:
    """Serve until the process that started this one ends."""
    socket, below, requests = sys.argv[1:]
    folder = tempfile.mkdtemp(prefix=".fetched-", suffix=".part", dir=below)
    fetcher = Fetcher(Path(folder), int(requests), copies_limit(folder))
    listener = Listener(socket, "AF_UNIX", backlog=512)
    os.chmod(socket, 0o600)
    threading.Thread(target=_accept, args=(listener, fetcher), daemon=True).start()
    print(flush=True)
    with suppress(KeyboardInterrupt):
        sys.stdin.buffer.read()
    os.unlink(socket)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def _accept(listener: Listener, fetcher: Fetcher) -> None:
    while True:
        with suppress(OSError, EOFError):
            connection = listener.accept()
            threading.Thread(target=_serve, args=(connection, fetcher), daemon=True).start()


def _serve(connection: Connection, fetcher: Fetcher) -> None:
    session = FetcherSession(fetcher)
    try:
        while True:
            method, arguments = connection.recv()
            try:
                connection.send((getattr(session, method)(*arguments), None))
            except SegchipsError as error:
                connection.send((None, error))
    except (EOFError, OSError):
        session.release()
