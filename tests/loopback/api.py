"""The platform's API: products, images and bands, rasters, tokens."""

import base64
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from loopback import pixels
from loopback.images import Image, ImageCatalogue
from loopback.log import Request
from loopback.search import BadQueryError, Query

Json = dict[str, Any]
KINDS = {"products": "product", "images": "image", "bands": "band"}
LEVELS = ("default", "toa", "surface")
CLIENT_ID, CLIENT_SECRET = "loopback", "loopback-secret"


def make_token(seconds: float = 86400, **claims: Any) -> str:
    """A token that both clients accept; the platform accepts its own subject until the token expires."""
    payload = {"exp": int(time.time() + seconds), "aud": CLIENT_ID, "sub": CLIENT_ID, **claims}
    return f"h.{base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip('=')}.s"


class StatusError(Exception):
    """A response with a status other than 200."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.body = {"errors": [{"status": str(status), "title": title, "detail": detail}]}


class PlatformApi:
    """Responds to requests with the scenes of a catalogue; `url` is the platform's address."""

    url: str

    def __init__(self, catalogue: Path | str, page_size: int, alpha: bool) -> None:
        self.catalogue, self.page_size = ImageCatalogue(Path(catalogue), alpha), page_size
        self.forbidden: set[str] = set()

    def answer(self, request: Request, query: dict[str, list[str]], bearer: str) -> bytes:
        """The body of a response with status 200; StatusError for any other status."""
        if request.service == "iam":
            return _to_bytes(_log_in(request))
        _check_token(bearer)
        if request.service == "raster" and (request.method, request.path) == ("POST", "/npz"):
            return self._raster(request.body or {})
        kind, _, name = request.path.lstrip("/").partition("/")
        if request.service != "catalog" or kind not in KINDS:
            raise StatusError(404, "Not found", f"{request.method} {request.path}")
        if request.method in ("GET", "HEAD"):
            return _to_bytes(self._one(kind, unquote(name)))
        if request.method == "PUT" and not name:
            return _to_bytes(self._search(kind, request.body or {}, int(query.get("continuation", ["0"])[0])))
        raise StatusError(405, "Method not allowed", f"{request.method} {request.path}")

    def _objects(self, kind: str) -> dict[str, Json]:
        if kind == "images":
            return {image.id: image.attributes for image in list(self.catalogue.images.values())}
        return self.catalogue.products if kind == "products" else self.catalogue.bands

    def _check_allowed(self, products: set[str]) -> None:
        for product in sorted(products & self.forbidden):
            raise StatusError(403, "Forbidden", f"no access to product {product}")

    def _one(self, kind: str, name: str) -> Json:
        attributes = self._objects(kind).get(name)
        self._check_allowed({name} if attributes is None or kind == "products" else {attributes["product_id"]})
        if attributes is None:
            raise StatusError(404, "Not found", f"no {KINDS[kind]} {name}")
        return {"data": _resource(kind, name, attributes), **self._included(kind, [attributes])}

    def _included(self, kind: str, objects: list[Json]) -> Json:
        names = sorted({attributes["product_id"] for attributes in objects}) if kind != "products" else []
        return {"included": [_resource("products", name, self.catalogue.products[name]) for name in names]}

    def _search(self, kind: str, body: Json, start: int) -> Json:
        try:
            query = Query(body)
            self._check_allowed(query.products)
            objects = query.order(self._objects(kind).items())
        except BadQueryError as error:
            raise StatusError(400, "Bad request", str(error)) from error
        if query.geometry is not None and kind == "images":
            objects = [pair for pair in objects if self.catalogue.images[pair[0]].footprint.intersects(query.geometry)]
        shown = objects if query.limit is None else objects[: query.limit]
        page = shown[start : start + self.page_size]
        more = start + self.page_size < len(shown)
        links = {"next": f"{self.url}/catalog/{kind}?continuation={start + self.page_size}"} if more else {}
        data = [_resource(kind, name, attributes) for name, attributes in page]
        return {"data": data, "meta": {"count": len(objects)}, "links": links} | self._included(
            kind, [attributes for _, attributes in page]
        )

    def _raster(self, body: Json) -> bytes:
        if problem := _problem(body):
            raise StatusError(400, "Bad request", problem)
        bands = _names(body["bands"])
        images = self._images(_names(body["ids"]), bands)
        dtype, mask_alpha = self._dtype(images, bands, body), bool(body.get("mask_alpha"))
        frame = pixels.Frame.from_request(body)
        data, masked = pixels.mosaic(images, bands, frame, body.get("resampleAlg"), dtype, mask_alpha)
        if body.get("drop_alpha"):
            data, masked = data[:-1], masked[:-1]
        if body.get("mask_nodata"):
            data[masked] = pixels.largest_value(data.dtype)  # clients must not use pixels under the mask
        else:
            masked[:] = False
        return pixels.encode(data, masked)

    def _images(self, ids: list[str], bands: list[str]) -> list[Image]:
        """The images of these ids; StatusError unless all have the bands."""
        self._check_allowed({name.rpartition(":")[0] for name in ids})
        if missing := [name for name in ids if name not in self.catalogue.images]:
            raise StatusError(404, "Not found", f"no image {', '.join(missing)}")
        images = [self.catalogue.images[name] for name in ids]
        for image in images:
            if unknown := [band for band in bands if band not in image.sources]:
                raise StatusError(400, "Bad request", f"image {image.id} has no band {', '.join(unknown)}")
        return images

    def _dtype(self, images: list[Image], bands: list[str], body: Json) -> Any:
        """The requested data type, or the smallest that holds every band."""
        ids = {f"{image.attributes['product_id']}:{band}" for image in images for band in bands}
        names = [body["ot"]] if body.get("ot") else [self.catalogue.bands[name]["data_type"] for name in ids]
        return np.result_type(*(pixels.DTYPES[name] for name in names))


def _names(value: Any) -> list[str]:
    return value.split() if isinstance(value, str) else value


def _problem(body: Json) -> str | None:
    """Why a raster request is bad or not supported here; None where it is fine."""
    for name in ("scales", "shape", "output_window", "targetAlignedPixels"):
        if body.get(name):
            return f"{name} is not supported here"
    if body.get("outputBoundsSRS") not in (None, body.get("srs")):
        return "outputBoundsSRS other than srs is not supported here"
    choices = {"processing_level": LEVELS, "ot": pixels.DTYPES, "resampleAlg": ("near", "nearest", *pixels.RESAMPLING)}
    for name, choice in choices.items():
        if body.get(name) is not None and body[name] not in choice:
            return f"unknown {name.replace('_', ' ')} {body[name]}"
    if not body.get("ids") or not body.get("bands"):
        return "ids and bands must not be empty"
    if body.get("mask_alpha") and _names(body["bands"])[-1] != "alpha":
        return "mask_alpha needs alpha as the last band"
    return pixels.Frame.problem(body)


def _to_bytes(content: Json) -> bytes:
    return json.dumps(content).encode()


def _resource(kind: str, name: str, attributes: Json) -> Json:
    return {"type": KINDS[kind], "id": name, "attributes": attributes}


def _log_in(request: Request) -> Json:
    body = request.body or {}
    if (request.method, request.path) != ("POST", "/token"):
        raise StatusError(404, "Not found", f"{request.method} {request.path}")
    if (body.get("client_id"), body.get("refresh_token")) != (CLIENT_ID, CLIENT_SECRET):
        raise StatusError(401, "Unauthorized", "unknown client id or secret")
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
        raise StatusError(401, "Unauthorized", "the token is missing, malformed, foreign or expired")
