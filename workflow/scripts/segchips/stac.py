"""STAC catalogues, static or API, as a source of scenes."""

import math
import os
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, time
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlparse
from urllib.request import url2pathname

import numpy as np
import pystac
import pystac_client
import shapely
from pystac_client.warnings import NoConformsTo

from segchips.config import ImageryConfig
from segchips.errors import InputError, SegchipsError
from segchips.scenes import Band, Scene, clear_enough, parse_time, search_area
from segchips.signing import without_signatures

Json = dict[str, Any]

_REMOTE = {"http", "https", "s3", "gs", "az", "abfs", "abfss"}
_RASTER = re.compile(r"image/(tiff|jp2|vnd\.stac\.geotiff|x\.geotiff)|geotiff", re.IGNORECASE)
_RASTER_SUFFIX = re.compile(r"\.(tiff?|jp2|img)$", re.IGNORECASE)
_SENTINEL2_BAND = re.compile(r"B(0[1-9]|1[0-2]|8A)$")
_SENTINEL2_BASELINE = re.compile(r"N?(\d\d?)")
_PICTURE = re.compile(r"visual|tci|preview|overview|thumbnail", re.IGNORECASE)
_PAGE = 250
_TIMEOUT = 60


class Catalogue:
    """The catalogue of a config; InputError where it cannot be reached or read."""

    def __init__(self, imagery: ImageryConfig) -> None:
        self._imagery, self._client = imagery, open_catalog(str(imagery.catalog))
        self.left_out: list[str] = []

    def check(self, product: str, bands: Sequence[str], _: str | None) -> None:
        """InputError where there is no such product, or its scenes have no such bands."""
        scene = example(self._client, product, str(self._imagery.catalog))
        for band in bands:
            if scene:
                scene.band(band)

    def search(self, footprints: np.ndarray) -> list[Scene]:
        """As the function below."""
        return search(self._imagery, footprints, self._client, self.left_out)


def search(
    imagery: ImageryConfig,
    footprints: np.ndarray,
    client: pystac.Catalog | None = None,
    left_out: list[str] | None = None,
) -> list[Scene]:
    """All scenes of the configured products in the date window that meet the footprints (lon/lat polygons).

    The cloud limit is applied, strictly below, to image products; a mask product is taken whole. `left_out` receives
    the items that cannot be placed in space or time, and those whose id is another's, with the reason.
    """
    client = client or open_catalog(str(imagery.catalog))
    notes = [] if left_out is None else left_out
    images = {product.id for product in imagery.products}
    mask = imagery.cloud_mask.product if imagery.cloud_mask else None
    scenes: dict[tuple[str, str], Scene] = {}
    for product in sorted(images | ({mask} if mask else set())):
        limit = imagery.max_cloud if product in images else None
        every = map(without_signatures, _scenes(client, product, imagery, limit, footprints, notes))
        found = sorted(every, key=lambda scene: (scene.pin, str(scene)))
        for scene in clear_enough(product, found, limit):
            if scenes.setdefault((product, scene.id), scene).pin != scene.pin:
                notes.append(_note(product, scene.id, "another item of the catalogue has the same id"))
    return list(scenes.values())


def _note(product: str, name: object, reason: str) -> str:
    return f"scene {str(name)!r} of product '{product}' is left out: {reason}"


def open_catalog(href: str) -> pystac.Catalog:
    """Open a static catalogue (path or URL) or an API's landing page; InputError where it cannot be reached or read."""
    with _reading(f"catalogue {href}: cannot be read as STAC", "; name a catalog.json, or the URL of a STAC API"):
        if _is_remote(href):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NoConformsTo)
                return pystac_client.Client.open(href, timeout=_TIMEOUT)
        if not os.path.exists(_path(href)):
            raise InputError(
                f"catalogue {href}: no such file; imagery.catalog takes the path or URL of a STAC catalogue"
            )
        opened = pystac.read_file(href)
        if not isinstance(opened, pystac.Catalog):
            raise pystac.STACTypeError(opened.to_dict(), pystac.Catalog)
        return opened


def example(client: pystac.Catalog, product: str, catalog: str) -> Scene | None:
    """Any one scene of a product, to see its bands; InputError where the catalogue does not know the product."""
    with _reading(f"catalogue {catalog}: cannot be read"):
        if is_api(client):
            _require(product, [collection.id for collection in client.get_collections()], catalog)
            found = client.search(collections=[product], max_items=1, limit=1).items_as_dicts()  # type: ignore[attr-defined]
        else:
            found = _walk(client, product)
        item = next((item for item in found if item.get("geometry", "") is not None), None)
        if item is None:
            return None
        with _naming(item):
            return _scene(item, product, catalog)


def scenes_called(name: str, product: str, catalog: str) -> list[Scene]:
    """The scenes of that id as the catalogue gives them now, signatures and all; InputError where it cannot be read."""
    with _reading(f"catalogue {catalog}: cannot be read"):
        client = _opened(catalog)
        if is_api(client):
            found = client.search(collections=[product], ids=[name], limit=_PAGE).items_as_dicts()  # type: ignore[attr-defined]
        else:
            found = [_read(client, place) for place in _places(catalog, product).get(name, ())]
        return [_scene(item, product, catalog) for item in found]


@cache
def _opened(catalog: str) -> pystac.Catalog:
    return open_catalog(catalog)


@cache
def _places(catalog: str, product: str) -> Mapping[str, Sequence[str]]:
    """Where a static catalogue's items of each id are."""
    found = defaultdict(list)
    for item in _walk(_opened(catalog), product):
        found[str(item.get("id"))].append(item["_base"])
    return found


def _read(client: pystac.Catalog, place: str) -> Json:
    return {**(client._stac_io or pystac.StacIO.default()).read_json(place), "_base": place}


@contextmanager
def _reading(trouble: str, advice: str = "") -> Iterator[None]:
    """Turn whatever goes wrong into an InputError: anything may stand in a catalogue, and pystac raises bare errors."""
    try:
        yield
    except SegchipsError:
        raise
    except Exception as error:
        raise InputError(f"{trouble} ({_brief(error)}){advice}") from error


@contextmanager
def _naming(item: Json) -> Iterator[None]:
    """Add the scene's id to what goes wrong with it."""
    try:
        yield
    except SegchipsError:
        raise
    except Exception as error:
        raise ValueError(f"scene '{item.get('id') or item.get('_base')}': {_brief(error)}") from error


def is_api(client: pystac.Catalog) -> bool:
    """Whether the catalogue can be searched by its server."""
    return isinstance(client, pystac_client.Client) and client.conforms_to("ITEM_SEARCH")


def _nodes(root: pystac.Catalog) -> Iterator[pystac.Catalog]:
    """The catalogue and all below it, each once although links may lead in circles."""
    waiting, known = [root], {root.self_href}
    while waiting:
        node = waiting.pop()
        _check_links(node, root.self_href)
        yield node
        children = list(pystac.Catalog.get_children(node))
        waiting += [child for child in reversed(children) if child.self_href not in known]
        known.update(child.self_href for child in children)


def _check_links(node: pystac.Catalog, catalog: str) -> None:
    """InputError where a remote catalogue names a local file as its member."""
    for link in (link for link in node.links if link.rel in ("child", "item") and _is_remote(node.self_href)):
        if not _is_remote(str(link.get_absolute_href())):
            raise InputError(f"catalogue {catalog}: '{node.id}' links to '{link.href}', which a catalogue may not")


def _is_remote(href: str) -> bool:
    return urlparse(href).scheme in ("http", "https")


def _scenes(
    client: pystac.Catalog,
    product: str,
    imagery: ImageryConfig,
    limit: float | None,
    footprints: np.ndarray,
    notes: list[str],
) -> Iterator[Scene]:
    start = datetime.combine(imagery.start, time.min, UTC)
    end = datetime.combine(imagery.end, time.max, UTC)
    with _reading(f"catalogue {imagery.catalog}: searching product '{product}' failed"):
        if is_api(client):
            found = _search_api(client, product, start, end, limit, footprints)
        else:
            found = _walk(client, product)
        near = shapely.STRtree(footprints)
        for item in found:
            with _naming(item):
                when, place = _acquired(item), item.get("geometry")
                if when and not start <= when <= end or place and not _meets(item, near):
                    continue
                if when and place:
                    yield _scene(item, product, str(imagery.catalog))
                else:
                    lacks = "geometry" if when else "time" if place else "geometry and time"
                    notes.append(_note(product, item["id"], f"it has no {lacks}"))


def _meets(item: Json, near: shapely.STRtree) -> bool:
    return bool(near.query(_outline(item), predicate="intersects").size)


def _search_api(
    client: Any, product: str, start: datetime, end: datetime, limit: float | None, footprints: np.ndarray
) -> Iterable[Json]:
    narrow = (
        {"query": {"eo:cloud_cover": {"lt": limit * 100}}} if limit is not None and client.conforms_to("QUERY") else {}
    )
    area = shapely.geometry.mapping(search_area(footprints))
    search = client.search(collections=[product], datetime=[start, end], intersects=area, limit=_PAGE, **narrow)
    found: Iterable[Json] = search.items_as_dicts()
    return found


def _walk(client: pystac.Catalog, product: str) -> Iterator[Json]:
    known: list[str] = []
    for node in _nodes(client):
        if isinstance(node, pystac.Collection):
            known.append(node.id)
            if node.id != product:
                continue
        for link in node.get_item_links():
            item = _read(client, str(link.get_absolute_href()))
            if (item.get("collection") or node.id) == product:
                yield item
    _require(product, known, client.self_href)


def _require(product: str, known: Sequence[str], catalog: str) -> None:
    if product not in known:
        raise InputError(f"catalogue {catalog}: no product '{product}'; it has {', '.join(sorted(known)) or 'none'}")


def _acquired(item: Json) -> datetime | None:
    text = item["properties"].get("datetime") or item["properties"].get("start_datetime")
    return parse_time(text) if text else None


def _outline(item: Json) -> shapely.Geometry:
    return shapely.make_valid(shapely.geometry.shape(item["geometry"]))


def _scene(item: Json, product: str, catalog: str) -> Scene:
    cover = item["properties"].get("eo:cloud_cover")
    acquired = _acquired(item) or datetime.max.replace(tzinfo=UTC)
    assets = {
        key: bands for key, asset in sorted(item["assets"].items()) if (bands := _bands(item, key, asset, catalog))
    }
    cloud = None if cover is None else cover / 100
    return Scene(product, str(item["id"]), acquired, cloud, assets, shapely.to_wkb(_outline(item)))


def _bands(item: Json, key: str, asset: Json, catalog: str) -> list[tuple[str, Band]]:
    if not (
        _RASTER.search(asset.get("type") or "")
        or (not asset.get("type") and _RASTER_SUFFIX.search(urlparse(asset["href"]).path))
    ):
        return []
    named, described = asset.get("bands") or asset.get("eo:bands") or [], asset.get("raster:bands") or []
    href = _href(item, key, asset["href"], catalog)
    bands = []
    for number in range(max(len(named), len(described), 1)):
        facts = {
            **asset,
            **(named[number] if number < len(named) else {}),
            **(described[number] if number < len(described) else {}),
        }
        scale, offset = _scaling(item, key, facts)
        nodata = facts.get("nodata")
        bands.append(
            (facts.get("name") or key, Band(href, number + 1, None if nodata is None else float(nodata), scale, offset))
        )
    return bands


def _scaling(item: Json, key: str, facts: Json) -> tuple[float, float]:
    """Scale and offset of one band, with what Sentinel-2 catalogues leave unsaid.

    Since processing baseline 04.00 its pixels are shifted by 1000; some catalogues give the baseline but no offset, and
    Earth Search keeps giving the offset where it has already taken it off (`earthsearch:boa_offset_applied`).
    """
    given = facts.get("raster:scale", facts.get("scale"))
    scale = (1.0 if given is None else float(given)) or 1.0
    offset = facts.get("raster:offset", facts.get("offset"))
    if not (math.isfinite(scale) and math.isfinite(0.0 if offset is None else float(offset))):
        raise ValueError(f"asset '{key}' has scale {scale} and offset {offset}, which have to be finite")
    properties = item["properties"]
    if properties.get("earthsearch:boa_offset_applied") or properties.get("sentinel:boa_offset_applied"):
        return scale, 0.0
    if offset is None and _is_reflectance(key, str(facts.get("name"))) and _baseline(properties) >= 4:
        offset = -1000 * scale
    return scale, float(offset or 0.0)


def _is_reflectance(key: str, name: str) -> bool:
    """Whether an asset's band holds Sentinel-2 reflectance; a true-colour picture has its bands' names, not values."""
    return any(map(_SENTINEL2_BAND.match, (key, name))) and not _PICTURE.search(key)


def _baseline(properties: Json) -> int:
    """The major processing baseline, of such as `04.00`, `N0400` or 4.0; 0 where none is given."""
    text = properties.get("s2:processing_baseline") or properties.get("sentinel:processing_baseline")
    found = _SENTINEL2_BASELINE.match(str(text))
    return int(found[1]) if found else 0


def _href(item: Json, key: str, href: str, catalog: str) -> str:
    """The address to read: relative to the working folder where the catalogue's is.

    InputError where a remote catalogue points at a local file, or any catalogue at a GDAL virtual file system.
    """
    base = item.get("_base") or catalog
    remote, scheme = _is_remote(base), urlparse(href).scheme
    if remote and not scheme and not os.path.isabs(href):
        href = urljoin(urljoin(base, _self_link(item) or ""), href)
        scheme = urlparse(href).scheme
    if scheme in _REMOTE:
        return href
    local = os.path.normpath(Path(_path(base)).parent / _path(href))
    if remote or scheme not in ("", "file") or local.startswith("/vsi"):
        raise InputError(
            f"catalogue {catalog}: asset '{key}' of scene '{item['id']}' points at '{href}', which a catalogue may not"
        )
    return local if os.path.isabs(_path(catalog)) else os.path.relpath(local)


def _self_link(item: Json) -> str | None:
    return next((link["href"] for link in item.get("links", ()) if link.get("rel") == "self"), None)


def _path(href: str) -> str:
    """A local path, of a path or a file URL."""
    return url2pathname(urlparse(href).path) if urlparse(href).scheme == "file" else href


def _brief(error: Exception) -> str:
    """The first line of an error, without the query part of any address in it."""
    lines = str(error).splitlines() or [""]
    return re.sub(r"\?\S*", "", f"{type(error).__name__}: {lines[0]}")[:300]
