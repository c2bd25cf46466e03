"""The platform's HTTP server, with faults."""

import json
import os
import select
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from loopback.api import PlatformApi, StatusError, make_token
from loopback.faults import Fault, Faults
from loopback.log import Log, Request


class Platform(PlatformApi):
    """The platform, as a context manager; `latency` is the least number of seconds that a response takes.

    Products in `forbidden` get status 403, images removed from `catalogue.images` 404. Child processes that run with
    `environment()` have `home` as home folder and can contact no other machine.
    """

    def __init__(
        self,
        catalogue: Path | str,
        port: int = 0,
        latency: float = 0.0,
        page_size: int = 1000,
        home: Path | None = None,
        alpha: bool = False,
    ) -> None:
        super().__init__(catalogue, page_size, alpha)
        self.latency, self.home = latency, home
        self.log, self.faults = Log(), Faults()
        self._server = _Server(("127.0.0.1", port), self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Platform":
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.close()

    @property
    def settings(self) -> dict[str, str]:
        """The environment variables with which both clients reach the platform and log in."""
        places = {"CATALOG_V2_URL": "catalog", "RASTER_URL": "raster", "IAM_URL": "iam"}
        found: dict[str, str] = {}
        for client in ("DESCARTESLABS", "EARTHONE"):
            found |= {f"{client}_{name}": f"{self.url}/{place}" for name, place in places.items()}
            found[f"{client}_TOKEN"] = make_token()
        return found

    def environment(self) -> dict[str, str]:
        """The environment of a child process: this one's, without proxies and accounts, with the platform."""
        kept = {name: value for name, value in os.environ.items() if not _is_personal(name)} | self.settings
        if self.home:
            self.home.mkdir(exist_ok=True)
            kept |= {"HOME": str(self.home), "LOOPBACK_ATTEMPTS": str(self.home.with_suffix(".attempts"))}
            kept["PYTHONPATH"] = str(Path(__file__).parent / "guard")
        return kept

    def attempts(self) -> list[str]:
        """Other machines that child processes with `environment()` tried to contact."""
        path = self.home.with_suffix(".attempts") if self.home else None
        return path.read_text().splitlines() if path and path.exists() else []

    @property
    def defects(self) -> list[str]:
        """Tracebacks of errors in the server itself."""
        return self._server.defects


def _is_personal(name: str) -> bool:
    upper = name.upper()
    return upper.endswith("_PROXY") or upper.startswith(("DESCARTESLABS_", "EARTHONE_", "CLIENT_"))


class _Server(ThreadingHTTPServer):
    """Records its open connections so that closing the server ends them."""

    daemon_threads, block_on_close, request_queue_size = True, False, 256

    def __init__(self, address: tuple[str, int], platform: Platform) -> None:
        self.platform = platform
        self.defects: list[str] = []
        self.closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that disconnects is no error; everything else is a defect."""
        if not isinstance(sys.exc_info()[1], OSError):
            self.defects.append(traceback.format_exc())

    def close(self) -> None:
        self.closing.set()
        self.server_close()
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        platform = self.server.platform
        place = urlsplit(self.path)
        _, service, path = (*place.path.split("/", 2), "")[:3]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(service, self.command, f"/{path}", _parse(body))
        platform.log.add(request)
        try:
            fault = platform.faults.next_fault(request)
            request.fault = fault.name if fault else None
            fault = fault or Fault("none")
            status, reply = self._reply(request, fault, parse_qs(place.query))
            late = fault.seconds if fault.kind == "slow" else 0.0
            time.sleep(max(0.0, platform.latency + late - (time.monotonic() - request.started)))
            self._deliver(request, status, reply, fault)
        finally:
            request.ended = request.ended or time.monotonic()

    def _reply(self, request: Request, fault: Fault, query: dict[str, list[str]]) -> tuple[int, bytes]:
        try:
            if fault.kind == "status":
                raise StatusError(fault.status, f"Status {fault.status}", "an injected fault")
            return 200, self.server.platform.answer(request, query, self.headers.get("Authorization") or "")
        except StatusError as refusal:
            return refusal.status, json.dumps(refusal.body).encode()
        except Exception:
            self.server.defects.append(traceback.format_exc())
            return 500, b"a defect of the platform"

    def _deliver(self, request: Request, status: int, reply: bytes, fault: Fault) -> None:
        """Send the response with the fault."""
        if fault.kind == "reset":
            self._reset()
        elif fault.kind == "header":
            self._stall(fault)
        elif fault.kind in ("body", "truncated"):
            self._send(request, status, reply, fault)
            self._stall(fault)
        elif fault.kind == "chunk" and request.service == "raster" and status == 200:
            start = reply.split(b"\n", 2)[:2]
            self._send(request, status, b"\n".join([*start, b'{"error": "an injected fault"}\n']), fault)
        else:
            self._send(request, status, reply, fault)

    def _send(self, request: Request, status: int, reply: bytes, fault: Fault) -> None:
        request.status = status
        cut = fault.kind in ("body", "truncated")
        framing = fault.framing if cut else "length"
        self.send_response(status)
        kind = "application/octet-stream" if request.service == "raster" else "application/vnd.api+json"
        self.send_header("Content-Type", kind)
        if fault.retry_after is not None:
            self.send_header("Retry-After", fault.retry_after)
        match framing:
            case "length":
                self.send_header("Content-Length", str(len(reply)))
            case "chunked":
                self.send_header("Transfer-Encoding", "chunked")
            case "close":
                self.send_header("Connection", "close")
        self.end_headers()
        if cut:
            reply = reply[: int(len(reply) * fault.keep)]
        else:
            request.ended = time.monotonic()  # the client may send its next request before this thread continues
        if framing == "chunked":
            reply = f"{len(reply):x}\r\n".encode() + reply + b"\r\n"
        if self.command != "HEAD":
            self.wfile.write(reply)

    def _stall(self, fault: Fault) -> None:
        """Send nothing for the fault's seconds or until the client disconnects, then close the connection."""
        until = time.monotonic() + fault.seconds
        while time.monotonic() < until and not self.server.closing.is_set():
            if select.select([self.connection], [], [], 0.05)[0]:
                break
        self.close_connection = True

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.close(self.connection.detach())
        self.close_connection = True

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Serve every HTTP method in the same way."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None
