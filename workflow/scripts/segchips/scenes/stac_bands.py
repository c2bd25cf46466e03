"""The bands of a STAC asset: names, nodata, scale and offset, as item and collection describe them.

For each field the nearest description counts: the band's in the item, the asset's in the item, the band's in the
collection's `item_assets`, then the asset's there. What none of them says is left to the file.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlparse

from segchips.files import Json
from segchips.scenes.model import PICTURE, Band
from segchips.scenes.placement import declared_placement

_RASTER = re.compile(r"image/(tiff|jp2|vnd\.stac\.geotiff|x\.geotiff)|geotiff", re.IGNORECASE)
_RASTER_SUFFIX = re.compile(r"\.(tiff?|jp2|img)$", re.IGNORECASE)
_OTHER_FORMATS = re.compile(r"image/(png|jpeg|jpg)|netcdf|zarr", re.IGNORECASE)
_NOT_PIXELS = re.compile(r"json|xml|html|text/|pdf|image/(png|jpeg|jpg|gif|webp)", re.IGNORECASE)
_SENTINEL2_BAND = re.compile(r"B(0[1-9]|1[0-2]|8A)(_\d+m)?$")
_SENTINEL2_COMMON = re.compile(r"(coastal|blue|green|red|rededge\d?|nir|nir0[89]|cirrus|swir16|swir22)(-jp2)?$")
_SENTINEL2_BASELINE = re.compile(r"N?(\d\d?)")
_JPEG2000 = re.compile(r"jp2", re.IGNORECASE)


def is_raster(asset: Json) -> bool:
    """Return whether an asset is a raster.

    It is a GeoTIFF, JPEG 2000 or Erdas Imagine file by its media type or else its name. A file of another format, such
    as JPEG or NetCDF, counts if its role is data and its bands are described with their dtype.
    """
    kind = str(asset.get("type") or "")
    by_name = bool(_RASTER_SUFFIX.search(urlparse(str(asset.get("href") or "")).path))
    if _RASTER.search(kind) or (by_name and not _NOT_PIXELS.search(kind)):
        return True
    described = [entry for entry in asset.get("raster:bands") or () if isinstance(entry, dict)]
    is_other = bool(_OTHER_FORMATS.search(kind)) and "data" in (asset.get("roles") or ())
    return is_other and bool(described) and all(entry.get("data_type") for entry in described)


def asset_bands(item: Json, key: str, href: str, collection: Mapping[str, Any]) -> list[tuple[str, Band]]:
    """Return the bands of an asset with their names, in file order.

    Args:
        item: The item.
        key: The asset's key.
        href: The address of its file.
        collection: The item's collection; empty where it has none.

    Raises:
        ValueError: A value is not usable.
    """
    asset = item["assets"][key]
    common = (collection.get("item_assets") or {}).get(key) or {}
    own, shared = _described(asset, item, collection), _described(common, item, collection)
    count, placement = max(map(len, (*own, *shared))), declared_placement(item, asset)
    named_bands = []
    for number in range(max(count, 1)):
        layers = [*_entries(own, number, count), asset, *_entries(shared, number, count), common]
        scale, offset = _scaling(item, key, layers)
        nodata = _first(layers, "nodata")
        name, common_name = _first(layers[:-1], "name"), _first(layers, "eo:common_name", "common_name")
        band = Band(
            href,
            number + 1,
            None if nodata is None else float(nodata),
            1.0 if scale is None else scale,
            offset or 0.0,
            common_name=None if common_name is None else str(common_name),
            described=count > 1 or bool(own[0] or shared[0]),  # one entry of raster:bands may hold for all bands
            scaled=scale is not None or offset is not None,
            placement=placement,
        )
        named_bands.append((str(name or key), band))
    return named_bands


def _described(asset: Json, item: Json, collection: Mapping[str, Any]) -> tuple[Sequence[Json], Sequence[Json]]:
    """The entries of `bands` or `eo:bands`, and of `raster:bands`."""
    bands = asset.get("bands") or asset.get("eo:bands") or []
    if any(isinstance(band, int) for band in bands):  # before STAC 0.9, numbers of the item's bands
        summaries = collection.get("summaries") or collection.get("properties") or {}
        listed = item["properties"].get("eo:bands") or summaries.get("eo:bands") or []
        if not all(isinstance(band, int) and 0 <= band < len(listed) for band in bands):
            raise ValueError(f"eo:bands is {bands}, which are no numbers of the item's {len(listed)} eo:bands")
        bands = [listed[band] for band in bands]
    return bands, asset.get("raster:bands") or []


def _entries(described: tuple[Sequence[Json], Sequence[Json]], number: int, count: int) -> list[Json]:
    """What is said of one of `count` bands; a single entry of raster:bands holds for all bands."""
    bands, raster_bands = described
    if len(raster_bands) == 1:
        raster_bands = [raster_bands[0]] * max(count, 1)
    return [entries[number] for entries in (raster_bands, bands) if number < len(entries)]


def _first(layers: Sequence[Json], *names: str) -> Any:
    """The first value of any of these names that is not null."""
    return next((value for layer in layers for name in names if (value := layer.get(name)) is not None), None)


def _scaling(item: Json, key: str, layers: Sequence[Json]) -> tuple[float | None, float | None]:
    """Scale and offset of one band, including an offset that Sentinel-2 catalogues do not declare; None where unknown.

    Since processing baseline 04.00 the pixels are shifted by 1000. Some catalogues declare the baseline but no offset.
    Earth Search keeps declaring the offset where it has already subtracted it (`earthsearch:boa_offset_applied`) from
    its own copies of the reflectances; other assets of the item, and the JPEG 2000 originals, are as declared.
    """
    scale, offset = _number(layers, key, "scale"), _number(layers, key, "offset")
    properties = item["properties"]
    names = [key, str(_first(layers, "name"))]
    if not any(map(_is_reflectance, names)) or PICTURE.search(key):
        return scale, offset
    asset = item["assets"][key]
    is_original = _JPEG2000.search(f"{key} {asset.get('type')} {asset['href']}")
    applied = properties.get("earthsearch:boa_offset_applied") or properties.get("sentinel:boa_offset_applied")
    if applied and not is_original:
        return scale, 0.0
    if offset is None and _baseline(properties) >= 4:
        offset = -1000 * (1.0 if scale is None else scale)
    return scale, offset


def _number(layers: Sequence[Json], key: str, name: str) -> float | None:
    value = _first(layers, f"raster:{name}", name)
    if value is None or (name == "scale" and value == 0):
        return None
    if not math.isfinite(float(value)):
        raise ValueError(f"asset '{key}' has {name} {value}, which has to be finite")
    return float(value)


def _is_reflectance(name: str) -> bool:
    """Whether a Sentinel-2 band of this name holds reflectance."""
    return bool(_SENTINEL2_BAND.match(name) or _SENTINEL2_COMMON.match(name))


def _baseline(properties: Json) -> int:
    """The major processing baseline, declared as `04.00`, `N0400` or 4.0; 0 where there is none."""
    keys = ("s2:processing_baseline", "sentinel:processing_baseline")
    match = _SENTINEL2_BASELINE.match(str(_first([properties], *keys)))
    return int(match[1]) if match else 0
