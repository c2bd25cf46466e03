"""Writes a static STAC catalogue of the scenes in a folder of rasters."""

import json
import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pystac
import shapely
from pystac.extensions.eo import EOExtension
from pystac.extensions.raster import RasterExtension

from segchips.commands.header_cache import HeaderCache
from segchips.commands.name_pattern import NamePattern
from segchips.commands.raster_formats import MEDIA_TYPES, find_rasters
from segchips.commands.rasters import DATE, Bounds, Raster
from segchips.errors import InputError
from segchips.files import json_number, write_json

_MIN_OVERLAP = 0.9
"""The least intersection over union of the extents of files of one scene."""
Scenes = dict[str, dict[str, Raster]]
"""The rasters of each scene, by scene id and asset key."""


def write_catalogue(
    folder: Path,
    path: Path,
    product: str,
    day: datetime | None = None,
    others: Collection[Path] = (),
    pattern: str | None = None,
) -> list[pystac.Item]:
    """Writes a static catalogue of all rasters below a folder.

    Items and collection go into a folder named after the product beside `path`. Where they are there already, only new
    and changed files are read, and items of scenes that are gone are removed.

    Args:
        folder: The folder of the rasters.
        path: The catalogue's file.
        product: The id of the collection.
        day: The acquisition time of all files; None reads it from names and tags.
        others: Files below the folder that are left out.
        pattern: How files are named, as in `NamePattern`; None goes by the conventions of products.

    Returns:
        The items, sorted by id.

    Raises:
        InputError: A file has no georeference or no acquisition time, or two scenes have the same name.
    """
    base = Path(os.path.abspath(path.parent)) / product
    files = [file for file in find_rasters(folder) if file not in others]
    naming = NamePattern(folder, pattern, day) if pattern else None
    if naming and not (files := [file for file in files if naming.matches(file)]):
        raise InputError(f"--pattern '{pattern}': no file below '{folder}' matches it; correct the pattern")
    with HeaderCache(base / ".headers.json", day, naming) as cache:
        scenes = group_scenes(map(cache.read, files))
    items = [_item(name, assets) for name, assets in sorted(scenes.items())]
    description, extent = f"{len(items)} scenes made from rasters in a folder", pystac.Extent.from_items(items)
    collection = pystac.Collection(product, description, extent, license="other")
    catalog = pystac.Catalog(
        product, product, href=os.path.abspath(path), catalog_type=pystac.CatalogType.SELF_CONTAINED
    )
    catalog.add_child(collection)
    collection.set_self_href(str(base / "collection.json"))
    for item in items:
        collection.add_item(item)
        item.set_self_href(str(base / f"{item.id}.json"))
        item.make_asset_hrefs_relative()
    former = _item_files(base / "collection.json")
    for entry in (*items, collection, catalog):
        write_json(Path(entry.self_href), entry.to_dict(include_self_link=False))
    for gone in former - _item_files(base / "collection.json"):
        gone.unlink(missing_ok=True)
    return items


def _item_files(collection: Path) -> set[Path]:
    """The files of the items that a collection of this kind links to."""
    try:
        links = json.loads(collection.read_text(encoding="utf-8"))["links"]
        names = {Path(link["href"]).name for link in links if link["rel"] == "item"}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {collection.with_name(name) for name in names}


def product_name(folder: Path) -> str:
    """Returns the folder's name with characters that a product id may have."""
    return re.sub("[^A-Za-z0-9_.-]+", "-", folder.resolve().name).strip("-") or "rasters"


def band_names(item: pystac.Item) -> list[str]:
    """Returns an item's bands as the config names them: asset keys, band names, or `asset:2`."""
    names: list[str] = []
    for key, asset in item.assets.items():
        count = len(asset.extra_fields["raster:bands"])
        own_names = [band["name"] for band in asset.extra_fields.get("eo:bands", ())]
        names += [key] if count == 1 else own_names or [f"{key}:{number}" for number in range(1, count + 1)]
    return names


def group_scenes(rasters: Iterable[Raster]) -> Scenes:
    """Groups files into scenes.

    Files that are named by the convention of a product are grouped by it; of a band in several resolutions the finest
    is taken. Of other files, one of several bands is a scene. Files of one band are one scene if they have the same
    folder, acquisition time and extent, and their names differ only in the last part, such as `a_B02.tif`, `a_B03.tif`
    and `a_cloud_mask.tif`, or are band names.

    Returns:
        The rasters of each scene by asset key.

    Raises:
        InputError: Two scenes have the same name.
    """
    single_bands: dict[tuple[Path, datetime], list[Raster]] = defaultdict(list)
    known: dict[tuple[Path, str], dict[str, Raster]] = defaultdict(dict)
    scenes: Scenes = {}
    for raster in rasters:
        if raster.known:
            _add_finest(known[raster.known.folder, raster.known.scene], raster, str(raster.known.band))
        elif len(raster.names) == 1:
            single_bands[raster.path.parent, raster.acquired].append(raster)
        else:
            _add(scenes, raster.path.stem, {"image": raster})
    for (_, name), assets in known.items():
        _add(scenes, name, assets)
    for files in single_bands.values():
        for prefix, assets in _by_prefix(files).items():
            if len(assets) > 1 and _have_same_extent(list(assets.values())):
                _add(scenes, prefix.rstrip("_") or files[0].path.parent.name, assets)
            else:
                for raster in assets.values():
                    _add(scenes, raster.path.stem, {"image": raster})
    return scenes


def _add_finest(assets: dict[str, Raster], raster: Raster, band: str) -> None:
    if band not in assets or raster.pixels > assets[band].pixels:
        assets[band] = raster


def _by_prefix(files: Iterable[Raster]) -> Scenes:
    """Files by the start of their names, and by the part that differs, which is a band's name."""
    by_prefix: dict[str, list[Raster]] = defaultdict(list)
    for raster in files:
        before, separator, last = _stem(raster).rpartition("_")
        is_band = re.search("[A-Za-z]", last) and not DATE.search(last)
        by_prefix[before + separator if is_band else _stem(raster)].append(raster)
    # longest first, so that a_cloud_mask.tif joins a_B02.tif and a_B03.tif
    shared = sorted((prefix for prefix, members in by_prefix.items() if len(members) > 1), key=len, reverse=True)
    groups: Scenes = defaultdict(dict)
    for prefix, members in by_prefix.items():
        for raster in members:
            start = prefix if len(members) > 1 else next((one for one in shared if prefix.startswith(one)), prefix)
            _add_finest(groups[start], raster, _stem(raster).removeprefix(start) or "image")
    return groups


def _stem(raster: Raster) -> str:
    """The name of a file without the size of its pixels, as in a_B02_10m.tif."""
    return re.sub(r"_\d{1,4}m$", "", raster.path.stem)


def _add(scenes: Scenes, name: str, assets: dict[str, Raster]) -> None:
    """Adds a scene; a name that is taken gets the folder's name in front."""
    if name in scenes:
        name = f"{next(iter(assets.values())).path.parent.name}_{name}"
    if name in scenes:
        raise InputError(
            f"two scenes would be named '{name}', one from '{next(iter(assets.values())).path}'; rename one of them"
        )
    scenes[name] = assets


def _have_same_extent(rasters: Sequence[Raster]) -> bool:
    first = rasters[0]
    return all(raster.crs == first.crs and _overlap(raster.bounds, first.bounds) > _MIN_OVERLAP for raster in rasters)


def _overlap(first: Bounds, second: Bounds) -> float:
    """Intersection over union of two boxes."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return shared / (sum(areas) - shared)


def _item(name: str, assets: Mapping[str, Raster]) -> pystac.Item:
    first = next(iter(assets.values()))
    bbox = list(shapely.geometry.shape(first.outline).bounds)
    extensions = [EOExtension.get_schema_uri(), RasterExtension.get_schema_uri()]
    cloud = first.known.cloud if first.known else None
    properties = {} if cloud is None else {"eo:cloud_cover": round(100 * cloud, 4)}
    item = pystac.Item(name, first.outline, bbox, first.acquired, properties, stac_extensions=extensions)
    for key, raster in sorted(assets.items()):
        href = Path(os.path.abspath(raster.path)).as_posix()
        media_type, bands = MEDIA_TYPES[raster.path.suffix.lower()], _bands(raster)
        item.add_asset(key, pystac.Asset(href, media_type=media_type, roles=["data"], extra_fields=bands))
    return item


def _bands(raster: Raster) -> dict[str, Any]:
    """The fields of an asset that describe its bands."""
    shared: dict[str, Any] = {"data_type": raster.dtype}
    if raster.nodata is not None:
        shared["nodata"] = json_number(raster.nodata)
    scaling = zip(raster.scales, raster.offsets, strict=True)
    names = {"eo:bands": [{"name": name} for name in raster.names]} if all(raster.names) else {}
    return names | {"raster:bands": [shared | {"scale": scale, "offset": offset} for scale, offset in scaling]}
