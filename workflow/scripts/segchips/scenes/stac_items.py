"""TODO: describe."""

import math
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlparse
from urllib.request import url2pathname

import shapely

from segchips.errors import InputError
from segchips.scenes.model import Band, Scene, parse_time

Json = dict[str, Any]

_REMOTE = {"http", "https", "s3", "gs", "az", "abfs", "abfss"}
_RASTER = re.compile(r"image/(tiff|jp2|vnd\.stac\.geotiff|x\.geotiff)|geotiff", re.IGNORECASE)
_RASTER_SUFFIX = re.compile(r"\.(tiff?|jp2|img)$", re.IGNORECASE)
_SENTINEL2_BAND = re.compile(r"B(0[1-9]|1[0-2]|8A)$")
_SENTINEL2_BASELINE = re.compile(r"N?(\d\d?)")
_PICTURE = re.compile(r"visual|tci|preview|overview|thumbnail", re.IGNORECASE)


def is_remote(href: str) -> bool:
    return urlparse(href).scheme in ("http", "https")


def require_collection(product: str, known: Sequence[str], catalog: str) -> None:
    if product not in known:
        raise InputError(f"catalogue {catalog}: no product '{product}'; it has {', '.join(sorted(known)) or 'none'}")


def item_time(item: Json) -> datetime | None:
    text = item["properties"].get("datetime") or item["properties"].get("start_datetime")
    return parse_time(text) if text else None


def item_outline(item: Json) -> shapely.Geometry:
    return shapely.make_valid(shapely.geometry.shape(item["geometry"]))


def scene_from_item(item: Json, product: str, catalog: str) -> Scene:
    cover = item["properties"].get("eo:cloud_cover")
    acquired = item_time(item) or datetime.max.replace(tzinfo=UTC)
    assets = {
        key: bands for key, asset in sorted(item["assets"].items()) if (bands := _bands(item, key, asset, catalog))
    }
    cloud = None if cover is None else cover / 100
    return Scene(product, str(item["id"]), acquired, cloud, assets, shapely.to_wkb(item_outline(item)))


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
    remote, scheme = is_remote(base), urlparse(href).scheme
    if remote and not scheme and not os.path.isabs(href):
        href = urljoin(urljoin(base, _self_link(item) or ""), href)
        scheme = urlparse(href).scheme
    if scheme in _REMOTE:
        return href
    local = os.path.normpath(Path(local_path(base)).parent / local_path(href))
    if remote or scheme not in ("", "file") or local.startswith("/vsi"):
        raise InputError(
            f"catalogue {catalog}: asset '{key}' of scene '{item['id']}' points at '{href}', which a catalogue may not"
        )
    return local if os.path.isabs(local_path(catalog)) else os.path.relpath(local)


def _self_link(item: Json) -> str | None:
    return next((link["href"] for link in item.get("links", ()) if link.get("rel") == "self"), None)


def local_path(href: str) -> str:
    """A local path, of a path or a file URL."""
    return url2pathname(urlparse(href).path) if urlparse(href).scheme == "file" else href


def brief_error(error: Exception) -> str:
    """The first line of an error, without the query part of any address in it."""
    lines = str(error).splitlines() or [""]
    return re.sub(r"\?\S*", "", f"{type(error).__name__}: {lines[0]}")[:300]
