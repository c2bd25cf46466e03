"""What the platform answers: products, images and bands, rasters, tokens."""

import base64
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from loopback import pixels
from loopback.log import Request
from loopback.scenes import Catalogue, Image
from loopback.search import BadQueryError, Query

Json = dict[str, Any]
KINDS = {"products": "product", "images": "image", "bands": "band"}
LEVELS = ("default", "toa", "surface")
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


class Answers:
    """The platform's answers over the scenes of a catalogue; `url` is where the platform is found."""

    url: str

    def __init__(self, catalogue: Path | str, page_size: int, alpha: bool) -> None:
        self.catalogue, self.page_size = Catalogue(Path(catalogue), alpha), page_size
        self.forbidden: set[str] = set()

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
        if problem := _problem(asked):
            raise RefusalError(400, "Bad request", problem)
        bands = _names(asked["bands"])
        images = self._images(_names(asked["ids"]), bands)
        dtype, by_alpha = self._dtype(images, bands, asked), bool(asked.get("mask_alpha"))
        frame = pixels.Frame.asked(asked)
        data, masked = pixels.mosaic(images, bands, frame, asked.get("resampleAlg"), dtype, by_alpha)
        if asked.get("drop_alpha"):
            data, masked = data[:-1], masked[:-1]
        if asked.get("mask_nodata"):
            data[masked] = pixels.highest(data.dtype)  # what lies under a mask is nobody's business
        else:
            masked[:] = False
        return pixels.encode(data, masked)

    def _images(self, ids: list[str], bands: list[str]) -> list[Image]:
        """The images, all of which have the bands."""
        self._check_allowed({name.rpartition(":")[0] for name in ids})
        if missing := [name for name in ids if name not in self.catalogue.images]:
            raise RefusalError(404, "Not found", f"no image {', '.join(missing)}")
        images = [self.catalogue.images[name] for name in ids]
        for image in images:
            if unknown := [band for band in bands if band not in image.sources]:
                raise RefusalError(400, "Bad request", f"image {image.id} has no band {', '.join(unknown)}")
        return images

    def _dtype(self, images: list[Image], bands: list[str], asked: Json) -> Any:
        """The type that is asked for, or the smallest that holds every band."""
        ids = {f"{image.attributes['product_id']}:{band}" for image in images for band in bands}
        names = [asked["ot"]] if asked.get("ot") else [self.catalogue.bands[name]["data_type"] for name in ids]
        return np.result_type(*(pixels.DTYPES[name] for name in names))


def _names(value: Any) -> list[str]:
    return value.split() if isinstance(value, str) else value


def _problem(asked: Json) -> str | None:
    """Why a raster request is bad, or beyond this platform."""
    for name in ("scales", "shape", "output_window", "targetAlignedPixels"):
        if asked.get(name):
            return f"{name} is not served here"
    if asked.get("outputBoundsSRS") not in (None, asked.get("srs")):
        return "outputBoundsSRS other than srs is not served here"
    choices = {"processing_level": LEVELS, "ot": pixels.DTYPES, "resampleAlg": ("near", "nearest", *pixels.RESAMPLING)}
    for name, known in choices.items():
        if asked.get(name) is not None and asked[name] not in known:
            return f"unknown {name.replace('_', ' ')} {asked[name]}"
    if not asked.get("ids") or not asked.get("bands"):
        return "ids and bands must not be empty"
    if asked.get("mask_alpha") and _names(asked["bands"])[-1] != "alpha":
        return "mask_alpha needs alpha as the last band"
    return pixels.Frame.problem(asked)


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
