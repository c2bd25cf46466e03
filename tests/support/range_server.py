"""An HTTP server of a folder that answers ranges, waits before each answer, makes faults, and counts."""

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Fault = Callable[["RangeHandler"], bool]
"""Plays a fault; returns whether the request is answered by it."""


class RangeServer(ThreadingHTTPServer):
    """Serves a folder.

    Attributes:
        faults: Taken one by one, each by one request.
        guard: Taken by each request.
        asked: Path, first byte and byte after the last of each answer.
        most: The most requests that were under way at once.
    """

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, folder: Path, latency: float = 0, with_ranges: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), RangeHandler)
        self.folder, self.latency, self.with_ranges = folder, latency, with_ranges
        self.faults: list[Fault] = []
        self.guard: Fault = lambda _: False
        self.asked: list[tuple[str, int, int]] = []
        self.lock, self.now, self.most = threading.Lock(), 0, 0
        self.busy_seconds = self.total_seconds = 0.0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class RangeHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RangeServer

    def do_GET(self) -> None:  # noqa: N802
        with self.server.lock:
            self.server.now += 1
            self.server.most = max(self.server.most, self.server.now)
            fault = self.server.faults.pop(0) if self.server.faults else None
        try:
            time.sleep(self.server.latency)
            if not self.server.guard(self) and (fault is None or not fault(self)):
                self.answer()
        finally:
            with self.server.lock:
                self.server.now -= 1

    def answer(self, keep: float = 1.0) -> None:
        path = self.server.folder / self.path.lstrip("/").partition("?")[0]
        if not path.is_file():
            self.send_error(404)
            return
        content, ranged = path.read_bytes(), "Range" in self.headers and self.server.with_ranges
        first, last = 0, len(content) - 1
        if ranged:
            first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
            last = min(last, len(content) - 1)
        part = content[first : last + 1]
        if keep == 1:  # before the client has it, which may look at once
            with self.server.lock:
                self.server.asked.append((self.path, first, last + 1))
        self.send_response(206 if ranged else 200)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Last-Modified", self.date_time_string(int(path.stat().st_mtime)))
        if ranged:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.end_headers()
        self.wfile.write(part[: int(len(part) * keep)])
        if keep < 1:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


def status(code: int, retry_after: str | None = None) -> Fault:
    """The server answers with a status."""

    def play(handler: RangeHandler) -> bool:
        handler.send_response(code)
        handler.send_header("Content-Length", "0")
        if retry_after:
            handler.send_header("Retry-After", retry_after)
        handler.end_headers()
        return True

    return play


def cut(handler: RangeHandler) -> bool:
    """The answer ends before its end."""
    handler.answer(keep=0.5)
    return True


def reset(handler: RangeHandler) -> bool:
    """The connection is closed without an answer."""
    handler.close_connection = True
    handler.connection.close()
    return True


def stall(handler: RangeHandler) -> bool:
    """The server sends nothing for a while."""
    time.sleep(3)
    handler.close_connection = True
    return True
