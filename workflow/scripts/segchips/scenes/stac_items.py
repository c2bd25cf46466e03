"""STAC items turned into scenes: assets, bands, scaling and addresses."""

import math
import os
import re
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
    """Return whether an address is an HTTP URL."""
    return urlparse(href).scheme in ("http", "https")


def local_path(href: str) -> str:
    """Return the local path of a path or a file URL."""
    return url2pathname(urlparse(href).path) if urlparse(href).scheme == "file" else href


def item_time(item: Json) -> datetime | None:
    """Return the acquisition time of an item, or the start of its interval, in UTC."""
    text = item["properties"].get("datetime") or item["properties"].get("start_datetime")
    return parse_time(text) if text else None


def item_outline(item: Json) -> shapely.Geometry:
    """Return the item's geometry in longitude and latitude, made valid."""
    return shapely.make_valid(shapely.geometry.shape(item["geometry"]))


def scene_from_item(item: Json, product: str, catalog: str) -> Scene:
    """Build the scene of an item.

    Args:
        item: The item as JSON; `_base` is its own address in a static catalogue.
        product: The id of its collection.
        catalog: The catalogue as the config names it.

    Raises:
        InputError: An asset points where the catalogue must not.
        ValueError, KeyError, TypeError: The item is not valid STAC.
    """
    cover = item["properties"].get("eo:cloud_cover")
    acquired = item_time(item) or datetime.max.replace(tzinfo=UTC)
    assets = {
        key: bands for key, asset in sorted(item["assets"].items()) if (bands := _bands(item, key, asset, catalog))
    }
    cloud = None if cover is None else cover / 100
    return Scene(product, str(item["id"]), acquired, cloud, assets, shapely.to_wkb(item_outline(item)))


def _bands(item: Json, key: str, asset: Json, catalog: str) -> list[tuple[str, Band]]:
    """The named bands of an asset; none where it is not a raster."""
    if not (
        _RASTER.search(asset.get("type") or "")
        or (not asset.get("type") and _RASTER_SUFFIX.search(urlparse(asset["href"]).path))
    ):
        return []
    bands, raster_bands = asset.get("bands") or asset.get("eo:bands") or [], asset.get("raster:bands") or []
    href = _href(item, key, asset["href"], catalog)
    named_bands = []
    for number in range(max(len(bands), len(raster_bands), 1)):
        fields = {
            **asset,
            **(bands[number] if number < len(bands) else {}),
            **(raster_bands[number] if number < len(raster_bands) else {}),
        }
        scale, offset = _scaling(item, key, fields)
        nodata = fields.get("nodata")
        band = Band(href, number + 1, None if nodata is None else float(nodata), scale, offset)
        named_bands.append((fields.get("name") or key, band))
    return named_bands


def _scaling(item: Json, key: str, fields: Json) -> tuple[float, float]:
    """Scale and offset of one band, including an offset that Sentinel-2 catalogues do not declare.

    Since processing baseline 04.00 the pixels are shifted by 1000. Some catalogues declare the baseline but no offset.
    Earth Search keeps declaring the offset where it has already subtracted it (`earthsearch:boa_offset_applied`).
    """
    declared_scale = fields.get("raster:scale", fields.get("scale"))
    scale = (1.0 if declared_scale is None else float(declared_scale)) or 1.0
    offset = fields.get("raster:offset", fields.get("offset"))
    if not (math.isfinite(scale) and math.isfinite(0.0 if offset is None else float(offset))):
        raise ValueError(f"asset '{key}' has scale {scale} and offset {offset}, which have to be finite")
    properties = item["properties"]
    if properties.get("earthsearch:boa_offset_applied") or properties.get("sentinel:boa_offset_applied"):
        return scale, 0.0
    if offset is None and _is_reflectance(key, str(fields.get("name"))) and _baseline(properties) >= 4:
        offset = -1000 * scale
    return scale, float(offset or 0.0)


def _is_reflectance(key: str, name: str) -> bool:
    """Whether a band holds Sentinel-2 reflectance; a true-colour picture has the same band names but other values."""
    return any(map(_SENTINEL2_BAND.match, (key, name))) and not _PICTURE.search(key)


def _baseline(properties: Json) -> int:
    """The major processing baseline, declared as `04.00`, `N0400` or 4.0; 0 where there is none."""
    text = properties.get("s2:processing_baseline") or properties.get("sentinel:processing_baseline")
    match = _SENTINEL2_BASELINE.match(str(text))
    return int(match[1]) if match else 0


def _href(item: Json, key: str, href: str, catalog: str) -> str:
    """The address to read an asset from: relative to the working folder where that of the catalogue is.

    Raises:
        InputError: A remote catalogue points at a local file, or any catalogue at a GDAL virtual file system.
    """
    base = item.get("_base") or catalog
    remote, scheme = is_remote(base), urlparse(href).scheme
    if remote and not scheme and not os.path.isabs(href):
        href = urljoin(urljoin(base, _self_link(item) or ""), href)
        scheme = urlparse(href).scheme
    if scheme in _REMOTE:
        return href
    local = os.path.normpath(Path(local_path(base)).parent / local_path(href))
    is_local = scheme in ("", "file") and not local.startswith("/vsi")
    if remote or not is_local:
        rule = (
            "remote catalogues must not link to local files"
            if remote and is_local
            else f"an asset must be a file or an address of {', '.join(sorted(_REMOTE))}"
        )
        raise InputError(f"catalogue {catalog}: asset '{key}' of scene '{item['id']}' points at '{href}'; {rule}")
    return local if os.path.isabs(local_path(catalog)) else os.path.relpath(local)


def _self_link(item: Json) -> str | None:
    return next((link["href"] for link in item.get("links", ()) if link.get("rel") == "self"), None)
