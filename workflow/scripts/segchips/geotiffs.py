"""A folder of rasters without a catalogue, made into a static STAC catalogue of scenes."""

import json
import math
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from segchips.errors import InputError
from segchips.files import write_whole

Json = dict[str, Any]
Bounds = tuple[float, float, float, float]

MEDIA_TYPES = {
    ".tif": "image/tiff; application=geotiff",
    ".tiff": "image/tiff; application=geotiff",
    ".jp2": "image/jp2",
}
_DATE = r"(?<!\d)(19\d\d|20\d\d)[-_.:]?(0[1-9]|1[0-2])[-_.:]?(0[1-9]|[12]\d|3[01])"
_DAY = re.compile(_DATE + r"(?!\d)")
_DAY_AND_TIME = re.compile(_DATE + r"[T_ -]([01]\d|2[0-3])[-_.:]?([0-5]\d)[-_.:]?([0-5]\d)(?!\d)")
_SCHEMA = "https://stac-extensions.github.io/{}/v1.1.0/schema.json"
_ALIKE = 0.9
"""The share of their joint extent that files of one scene have in common."""


@dataclass(frozen=True)
class Raster:
    """What the header of one file tells."""

    path: Path
    crs: str
    bounds: Bounds
    outline: Json
    names: tuple[str, ...]
    dtype: str
    nodata: float | None
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    step: float
    acquired: datetime


def read_raster(path: Path, day: datetime | None = None) -> Raster:
    """Look at a file; InputError where it is no raster, has no place on the ground, or nothing tells its day."""
    import rasterio
    from rasterio.warp import transform_geom

    try:
        with rasterio.open(path) as file:
            if file.crs is None or file.transform.is_identity:
                raise InputError(
                    f"'{path}' has no CRS or no geotransform; give it its place, "
                    f"such as with: gdal_edit.py -a_srs EPSG:32633 -a_ullr WEST NORTH EAST SOUTH '{path}'"
                )
            ring = _ring(file.transform, file.width, file.height)
            outline = transform_geom(file.crs, "EPSG:4326", {"type": "Polygon", "coordinates": [ring]}, precision=7)
            names = tuple(_band_name(file, number) for number in file.indexes)
            told = day or _acquired(path, {**file.tags(), **file.tags(ns="IMAGERY")})
            return Raster(
                path=path,
                crs=file.crs.to_string(),
                bounds=tuple(file.bounds),
                outline=outline,
                names=names,
                dtype=file.dtypes[0],
                nodata=file.nodata,
                scales=file.scales,
                offsets=file.offsets,
                step=math.hypot(file.transform.a, file.transform.d),
                acquired=told,
            )
    except rasterio.errors.RasterioIOError as error:
        raise InputError(f"'{path}' cannot be read as a raster ({error}); mend it or move it elsewhere") from error


def _ring(transform: Any, width: int, height: int) -> list[tuple[float, float]]:
    """The file's outline with points between its corners, for edges that bend in lon/lat; counter-clockwise."""
    parts = [step / 8 for step in range(8)]
    down = [(0, part * height) for part in parts] + [(part * width, height) for part in parts]
    up = [(width, (1 - part) * height) for part in parts] + [((1 - part) * width, 0) for part in parts]
    return [transform @ corner for corner in (*down, *up, (0, 0))]


def _band_name(file: Any, number: int) -> str:
    """The band's description, else its colour, else nothing."""
    colour = str(file.colorinterp[number - 1].name)
    said = file.descriptions[number - 1] or (colour if colour in ("red", "green", "blue", "alpha", "nir") else "")
    return str(said)


def _acquired(path: Path, tags: Json) -> datetime:
    """The time in the file's name, its tags, or its folder's name, midday where only the day is told."""
    said = (tags.get(key, "") for key in ("ACQUISITIONDATETIME", "TIFFTAG_DATETIME"))
    for text in (path.name, *said, path.parent.name):
        if found := _DAY_AND_TIME.search(text):
            return _time(path, [int(part) for part in found.groups()])
        if found := _DAY.search(text):
            return _time(path, [*map(int, found.groups()), 12])
    raise InputError(
        f"'{path}': neither its name, tags nor folder tell when it was taken; put the day into its name "
        f"({path.stem}_20230630{path.suffix}) or give one for all such files with --day 2023-06-30"
    )


def _time(path: Path, parts: Sequence[int]) -> datetime:
    try:
        return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]
    except ValueError as error:
        raise InputError(f"'{path}': its name tells no day of the calendar ({error}); give one with --day") from error


def plain_name(folder: Path) -> str:
    """A folder's name as a product may be called."""
    return re.sub("[^A-Za-z0-9_.-]+", "-", folder.resolve().name).strip("-") or "rasters"


def find_rasters(folder: Path) -> list[Path]:
    """All GeoTIFF and JPEG 2000 files below a folder; InputError where there is none."""
    if not folder.is_dir():
        raise InputError(f"'{folder}' is no folder; name the one that holds the GeoTIFFs")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in MEDIA_TYPES and path.is_file())
    if not found:
        raise InputError(f"'{folder}' holds no {', '.join(MEDIA_TYPES)} file; name the folder of the rasters")
    return found


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
        telling = re.search("[A-Za-z]", last) and not _DAY.search(last)
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
    write_whole(path, json.dumps(content, indent=1) + "\n")
