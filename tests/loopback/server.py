"""The platform's HTTP server: catalogue searches, rasters, tokens."""

import base64
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from loopback import pixels
from loopback.log import Log, Request
from loopback.scenes import Catalogue, Image
from loopback.search import BadQueryError, Query

Json = dict[str, Any]
KINDS = {"products": "product", "images": "image", "bands": "band"}
LEVELS = (None, "default", "toa", "surface")
CLIENT_ID, CLIENT_SECRET = "loopback", "loopback-secret"


def make_token(seconds: float = 86400, **claims: Any) -> str:
    """A token that both clients take; the platform takes those of its own subject that have not expired."""
    payload = {"exp": int(time.time() + seconds), "aud": CLIENT_ID, "sub": CLIENT_ID, **claims}
    return f"h.{base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip('=')}.s"


class RefusalError(Exception):
    """An answer of a status other than 200."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.body = {"errors": [{"status": str(status), "title": title, "detail": detail}]}


class Platform:
    """The platform, serving between `with`; `latency` is the seconds that an answer takes at least.

    Children that run with `environment()` have `home` as home folder and may contact no other machine.
    """

    def __init__(
        self,
        catalogue: Path | str,
        port: int = 0,
        latency: float = 0.0,
        page_size: int = 1000,
        home: Path | None = None,
    ) -> None:
        self.catalogue, self.home = Catalogue(Path(catalogue)), home
        self.forbidden: set[str] = set()
        self.latency, self.page_size = latency, page_size
        self.log = Log()
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
        """The environment variables by which both clients find the platform and log in."""
        places = {"CATALOG_V2_URL": "catalog", "RASTER_URL": "raster", "IAM_URL": "iam"}
        found = {}
        for client in ("DESCARTESLABS", "EARTHONE"):
            found |= {f"{client}_{name}": f"{self.url}/{place}" for name, place in places.items()}
            found[f"{client}_TOKEN"] = make_token()
        return found

    def environment(self) -> dict[str, str]:
        """The whole environment of a child: this process's, with the platform in place of proxies and accounts."""
        kept = {name: value for name, value in os.environ.items() if not _is_personal(name)} | self.settings
        if self.home:
            self.home.mkdir(exist_ok=True)
            kept |= {"HOME": str(self.home), "LOOPBACK_ATTEMPTS": str(self.home.with_suffix(".attempts"))}
            kept["PYTHONPATH"] = str(Path(__file__).parent / "guard")
        return kept

    def attempts(self) -> list[str]:
        """What children that ran with `environment()` tried to contact besides this machine."""
        path = self.home.with_suffix(".attempts") if self.home else None
        return path.read_text().splitlines() if path and path.exists() else []

    def answer(self, request: Request, query: dict[str, list[str]], bearer: str) -> bytes:
        """The body of a reply with status 200; RefusalError says what else."""
        if request.service == "iam":
            return _to_bytes(_log_in(request))
        _check_token(bearer)
        if request.service == "raster" and (request.method, request.path) == ("POST", "/npz"):
            return self._raster(request.asked or {})
        kind, _, name = request.path.lstrip("/").partition("/")
        if request.service != "catalog" or kind not in KINDS:
            raise RefusalError(404, "Not found", f"{request.method} {request.path}")
        if request.method in ("GET", "HEAD"):
            return _to_bytes(self._one(kind, unquote(name)))
        if request.method == "PUT" and not name:
            return _to_bytes(self._search(kind, request.asked or {}, int(query.get("continuation", ["0"])[0])))
        raise RefusalError(405, "Method not allowed", f"{request.method} {request.path}")

    def _objects(self, kind: str) -> dict[str, Json]:
        if kind == "images":
            return {image.id: image.attributes for image in list(self.catalogue.images.values())}
        return self.catalogue.products if kind == "products" else self.catalogue.bands

    def _check_allowed(self, products: set[str]) -> None:
        for product in sorted(products & self.forbidden):
            raise RefusalError(403, "Forbidden", f"no access to product {product}")

    def _one(self, kind: str, name: str) -> Json:
        found = self._objects(kind).get(name)
        self._check_allowed({name} if found is None or kind == "products" else {found["product_id"]})
        if found is None:
            raise RefusalError(404, "Not found", f"no {KINDS[kind]} {name}")
        return {"data": _resource(kind, name, found), **self._included(kind, [found])}

    def _included(self, kind: str, found: list[Json]) -> Json:
        names = sorted({each["product_id"] for each in found}) if kind != "products" else []
        return {"included": [_resource("products", name, self.catalogue.products[name]) for name in names]}

    def _search(self, kind: str, asked: Json, start: int) -> Json:
        try:
            query = Query(asked)
            self._check_allowed(query.products)
            found = query.order(self._objects(kind).items())
        except BadQueryError as error:
            raise RefusalError(400, "Bad request", str(error)) from error
        if query.geometry is not None and kind == "images":
            found = [pair for pair in found if self.catalogue.images[pair[0]].footprint.intersects(query.geometry)]
        shown = found if query.limit is None else found[: query.limit]
        page = shown[start : start + self.page_size]
        more = start + self.page_size < len(shown)
        links = {"next": f"{self.url}/catalog/{kind}?continuation={start + self.page_size}"} if more else {}
        data = [_resource(kind, name, each) for name, each in page]
        return {"data": data, "meta": {"count": len(found)}, "links": links} | self._included(
            kind, [each for _, each in page]
        )

    def _raster(self, asked: Json) -> bytes:
        for name in ("scales", "shape", "output_window", "targetAlignedPixels", "mask_alpha"):
            if asked.get(name):
                raise RefusalError(400, "Bad request", f"{name} is not served here")
        if asked.get("outputBoundsSRS") not in (None, asked.get("srs")):
            raise RefusalError(400, "Bad request", "outputBoundsSRS other than srs is not served here")
        if asked.get("processing_level") not in LEVELS:
            raise RefusalError(400, "Bad request", f"unknown processing level {asked['processing_level']}")
        if asked.get("ot") not in (None, *pixels.DTYPES):
            raise RefusalError(400, "Bad request", f"unknown data type {asked['ot']}")
        if asked.get("resampleAlg") not in (None, "near", "nearest", *pixels.RESAMPLING):
            raise RefusalError(400, "Bad request", f"unknown resampler {asked['resampleAlg']}")
        ids, bands = asked.get("ids") or [], asked.get("bands") or []
        bands = bands.split() if isinstance(bands, str) else bands
        images = [self.catalogue.images.get(name) for name in ids]
        self._check_allowed({name.rpartition(":")[0] for name in ids})
        if missing := [name for name, image in zip(ids, images, strict=True) if image is None]:
            raise RefusalError(404, "Not found", f"no image {', '.join(missing)}")
        known = [image for image in images if image]
        for image in known:
            if unknown := [band for band in bands if band not in image.sources]:
                raise RefusalError(400, "Bad request", f"image {image.id} has no band {', '.join(unknown)}")
        if not known or not bands:
            raise RefusalError(400, "Bad request", "ids and bands must not be empty")
        try:
            frame = pixels.Frame.asked(asked)
        except pixels.BadRequestError as error:
            raise RefusalError(400, "Bad request", str(error)) from error
        data, masked = pixels.mosaic(known, bands, frame, asked.get("resampleAlg"), self._dtype(known, bands, asked))
        if asked.get("mask_nodata"):
            data[masked] = pixels.highest(data.dtype)  # what lies under a mask is nobody's business
        else:
            masked[:] = False
        return pixels.encode(data, masked)

    def _dtype(self, images: list[Image], bands: list[str], asked: Json) -> Any:
        """The type that is asked for, or the smallest that holds every band."""
        ids = {f"{image.attributes['product_id']}:{band}" for image in images for band in bands}
        names = [asked["ot"]] if asked.get("ot") else [self.catalogue.bands[name]["data_type"] for name in ids]
        return np.result_type(*(pixels.DTYPES[name] for name in names))


def _is_personal(name: str) -> bool:
    upper = name.upper()
    return upper.endswith("_PROXY") or upper.startswith(("DESCARTESLABS_", "EARTHONE_", "CLIENT_"))


def _to_bytes(content: Json) -> bytes:
    return json.dumps(content).encode()


def _resource(kind: str, name: str, attributes: Json) -> Json:
    return {"type": KINDS[kind], "id": name, "attributes": attributes}


def _log_in(request: Request) -> Json:
    asked = request.asked or {}
    if (request.method, request.path) != ("POST", "/token"):
        raise RefusalError(404, "Not found", f"{request.method} {request.path}")
    if (asked.get("client_id"), asked.get("refresh_token")) != (CLIENT_ID, CLIENT_SECRET):
        raise RefusalError(401, "Unauthorized", "unknown client id or secret")
    return {"access_token": make_token()}


def _check_token(bearer: str) -> None:
    try:
        scheme, token = bearer.split(" ")
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        good = scheme == "Bearer" and claims["sub"] == CLIENT_ID and claims["exp"] > time.time()
    except (ValueError, KeyError, IndexError, TypeError):
        good = False
    if not good:
        raise RefusalError(401, "Unauthorized", "the token is missing, malformed, foreign or expired")


class _Server(ThreadingHTTPServer):
    """Keeps its open connections so that closing ends them."""

    daemon_threads, block_on_close, request_queue_size = True, False, 256

    def __init__(self, address: tuple[str, int], platform: Platform) -> None:
        self.platform = platform
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
        """Clients may leave whenever they like."""

    def close(self) -> None:
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
            status, reply = self._reply(request, parse_qs(place.query))
            time.sleep(max(0.0, platform.latency - (time.monotonic() - request.started)))
            request.status = status
            self._send(request, status, reply)
        finally:
            request.ended = time.monotonic()

    def _reply(self, request: Request, query: dict[str, list[str]]) -> tuple[int, bytes]:
        try:
            return 200, self.server.platform.answer(request, query, self.headers.get("Authorization") or "")
        except RefusalError as refusal:
            return refusal.status, _to_bytes(refusal.body)

    def _send(self, request: Request, status: int, reply: bytes) -> None:
        self.send_response(status)
        kind = "application/octet-stream" if request.service == "raster" else "application/vnd.api+json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply)

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Every method of HTTP is served alike."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None
