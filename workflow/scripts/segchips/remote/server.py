"""A process that fetches remote files for all processes of a run."""

import atexit
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from multiprocessing.connection import Connection
from pathlib import Path

from segchips.errors import SegchipsError
from segchips.remote.fetcher import Fetcher, Traffic
from segchips.remote.remote_files import SOCKET_VARIABLE, ConnectedFiles, copies_limit
from segchips.remote.session import FetcherSession


class FetcherProcess:
    """A fetcher in a process of its own, which starts with the first connection and ends with this process.

    Its socket is named in the environment, so that every process that is started from now on finds it.

    Args:
        folder: Where the copies are: in a hidden folder that the process makes and removes.
        requests: How many requests are under way at most.
    """

    def __init__(self, folder: Path, requests: int) -> None:
        self._arguments = str(folder.absolute()), str(requests)
        self._socket = socket.socket(socket.AF_UNIX)
        path = Path(tempfile.mkdtemp(prefix="segchips-")) / "fetcher"  # a socket's path has to be short
        atexit.register(shutil.rmtree, path.parent, ignore_errors=True)
        self._socket.bind(str(path))
        self._socket.listen(512)
        os.environ[SOCKET_VARIABLE] = str(path)
        self._process: subprocess.Popen[bytes] | None = None
        self._files: ConnectedFiles | None = None
        threading.Thread(target=self._start_when_needed, daemon=True).start()

    def traffic(self) -> Traffic | None:
        """Return what was fetched so far; None where nothing was asked for yet, or the process has ended."""
        if self._process is None or self._process.poll() is not None:
            return None
        try:
            self._files = self._files or ConnectedFiles(os.environ[SOCKET_VARIABLE])
            return self._files.traffic()
        except (EOFError, OSError):  # the process has just ended
            return None

    def _start_when_needed(self) -> None:
        select.select([self._socket], [], [])
        command = [sys.executable, "-c", "from segchips.remote.server import serve; serve()"]
        number = self._socket.fileno()
        # By default, each thread may keep the memory that it has freed for itself.
        environment = {"MALLOC_ARENA_MAX": "1"} | os.environ
        self._process = subprocess.Popen(
            [*command, str(number), *self._arguments], stdin=subprocess.PIPE, pass_fds=[number], env=environment
        )


def serve() -> None:
    """Serve until the process that started this one ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    number, below, requests = sys.argv[1:]
    Path(below).mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(prefix=".fetched-", suffix=".part", dir=below)
    fetcher = Fetcher(Path(folder), int(requests), copies_limit(folder))
    listener = socket.socket(fileno=int(number))
    threading.Thread(target=_accept, args=(listener, fetcher), daemon=True).start()
    sys.stdin.buffer.read()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def _accept(listener: socket.socket, fetcher: Fetcher) -> None:
    while True:
        connection, _ = listener.accept()
        arguments = Connection(connection.detach()), FetcherSession(fetcher)
        threading.Thread(target=_serve, args=arguments, daemon=True).start()


def _serve(connection: Connection, session: FetcherSession) -> None:
    try:
        while True:
            method, arguments = connection.recv()
            try:
                connection.send((getattr(session, method)(*arguments), None))
            except SegchipsError as error:
                connection.send((None, error))
    except (EOFError, OSError):
        session.release()
