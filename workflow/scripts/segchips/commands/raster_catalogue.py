"""A folder of rasters without a catalogue, made into a static STAC catalogue of scenes."""

import json
import math
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from segchips.commands.rasters import MEDIA_TYPES, ONE_DAY, Bounds, Json, Raster, find_rasters, read_raster
from segchips.errors import InputError
from segchips.files import atomic_write

_SCHEMA = "https://stac-extensions.github.io/{}/v1.1.0/schema.json"
_ALIKE = 0.9
"""The share of their joint extent that files of one scene have in common."""


def plain_name(folder: Path) -> str:
    """A folder's name as a product may be called."""
    return re.sub("[^A-Za-z0-9_.-]+", "-", folder.resolve().name).strip("-") or "rasters"


def group_scenes(rasters: Iterable[Raster]) -> dict[str, dict[str, Raster]]:
    """The files of each scene by asset key.

    Files of one band that differ in the last part of their names alone, such as `a_B02.tif`, `a_B03.tif` and
    `a_cloud_mask.tif`, and cover the same ground at the same time, are one scene; so are those of one folder that are
    named after bands alone.
    """
    alone: dict[tuple[Path, datetime], list[Raster]] = defaultdict(list)
    scenes: dict[str, dict[str, Raster]] = {}
    for raster in rasters:
        if len(raster.names) == 1:
            alone[raster.path.parent, raster.acquired].append(raster)
        else:
            _add(scenes, raster.path.stem, {"image": raster})
    for files in alone.values():
        for stem, assets in _by_stem(files).items():
            if len(assets) > 1 and _same_ground(list(assets.values())):
                _add(scenes, stem.rstrip("_") or files[0].path.parent.name, assets)
            else:
                for raster in assets.values():
                    _add(scenes, raster.path.stem, {"image": raster})
    return scenes


def _by_stem(files: Iterable[Raster]) -> dict[str, dict[str, Raster]]:
    """Files by the start of their names, and then by the rest; several files have to share a start."""
    starts: dict[str, list[Raster]] = defaultdict(list)
    for raster in files:
        before, mark, last = raster.path.stem.rpartition("_")
        telling = re.search("[A-Za-z]", last) and not ONE_DAY.search(last)
        starts[before + mark if telling else raster.path.stem].append(raster)
    shared = sorted((start for start, members in starts.items() if len(members) > 1), key=len, reverse=True)
    found: dict[str, dict[str, Raster]] = defaultdict(dict)
    for start, members in starts.items():
        for raster in members:
            near = start if len(members) > 1 else next((known for known in shared if start.startswith(known)), start)
            found[near][raster.path.stem.removeprefix(near) or "image"] = raster
    return found


def _add(scenes: dict[str, dict[str, Raster]], name: str, assets: dict[str, Raster]) -> None:
    """Add a scene, under a longer name where another folder has one of that name."""
    if name in scenes:
        name = f"{next(iter(assets.values())).path.parent.name}_{name}"
    if name in scenes:
        raise InputError(
            f"two scenes would be named '{name}', one from '{next(iter(assets.values())).path}'; rename one of them"
        )
    scenes[name] = assets


def _same_ground(rasters: Sequence[Raster]) -> bool:
    first = rasters[0]
    return all(raster.crs == first.crs and _overlap(raster.bounds, first.bounds) > _ALIKE for raster in rasters)


def _overlap(ours: Bounds, theirs: Bounds) -> float:
    """The share of two boxes' joint extent that both cover."""
    width = min(ours[2], theirs[2]) - max(ours[0], theirs[0])
    height = min(ours[3], theirs[3]) - max(ours[1], theirs[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (ours, theirs)]
    return shared / (sum(areas) - shared)


def _item(name: str, product: str, assets: dict[str, Raster], base: Path) -> Json:
    first = next(iter(assets.values()))
    points = first.outline["coordinates"][0]
    xs, ys = zip(*points, strict=True)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            f"https://stac-extensions.github.io/{name}/v1.1.0/schema.json" for name in ("eo", "raster")
        ],
        "id": name,
        "collection": product,
        "geometry": first.outline,
        "bbox": [min(xs), min(ys), max(xs), max(ys)],
        "properties": {"datetime": f"{first.acquired:%Y-%m-%dT%H:%M:%SZ}"},
        "links": [_link("collection", "./collection.json"), _link("root", "../catalog.json")],
        "assets": {key: _asset(raster, base) for key, raster in sorted(assets.items())},
    }


def _asset(raster: Raster, base: Path) -> Json:
    about: Json = {"data_type": raster.dtype}
    if raster.nodata is not None:
        about["nodata"] = "nan" if math.isnan(raster.nodata) else raster.nodata
    scaling = zip(raster.scales, raster.offsets, strict=True)
    return {
        "href": Path(os.path.relpath(raster.path, base)).as_posix(),
        "type": MEDIA_TYPES[raster.path.suffix.lower()],
        "roles": ["data"],
        **({"eo:bands": [{"name": name} for name in raster.names]} if all(raster.names) else {}),
        "raster:bands": [about | {"scale": scale, "offset": offset} for scale, offset in scaling],
    }


def band_names(item: Json) -> list[str]:
    """An item's bands as the config names them."""
    names = []
    for key, asset in item["assets"].items():
        count = len(asset["raster:bands"])
        told = [band["name"] for band in asset.get("eo:bands", ())]
        names += [key] if count == 1 else told or [f"{key}:{number}" for number in range(1, count + 1)]
    return names


def _link(rel: str, href: str) -> Json:
    return {"rel": rel, "href": href, "type": "application/json"}


def _collection(product: str, items: Sequence[Json]) -> Json:
    boxes = list(zip(*(item["bbox"] for item in items), strict=True))
    times = sorted(item["properties"]["datetime"] for item in items)
    box = [min(boxes[0]), min(boxes[1]), max(boxes[2]), max(boxes[3])]
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": product,
        "description": f"{len(items)} scenes made from rasters in a folder",
        "license": "other",
        "extent": {"spatial": {"bbox": [box]}, "temporal": {"interval": [[times[0], times[-1]]]}},
        "links": [_link("root", "../catalog.json"), *(_link("item", f"./{item['id']}.json") for item in items)],
    }


def write_catalogue(folder: Path, path: Path, product: str, day: datetime | None = None) -> list[Json]:
    """Write the static catalogue `path` of all rasters below a folder, and return its items.

    Items and collection go into a folder named as the product beside `path`. `day` is the acquisition of every file.
    InputError names the file that has no place on the ground or no day.
    """
    scenes = group_scenes(read_raster(file, day) for file in find_rasters(folder))
    base = path.parent / product
    items = [_item(name, product, assets, base) for name, assets in sorted(scenes.items())]
    for item in items:
        _write(base / f"{item['id']}.json", item)
    _write(base / "collection.json", _collection(product, items))
    links = [_link("child", f"./{product}/collection.json")]
    root = {"type": "Catalog", "stac_version": "1.0.0", "id": product, "description": product, "links": links}
    _write(path, root)
    return items


def _write(path: Path, content: Json) -> None:
    atomic_write(path, json.dumps(content, indent=1) + "\n")
