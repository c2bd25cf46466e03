"""A dataset as a STAC collection with one item for each chip, with the label, classification and ML AOI extensions."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import shapely

from segchips.files import atomic_write, write_json
from segchips.grids.outlines import footprints
from segchips.grids.tile import Tile, chip_filename
from segchips.reports.dataset_summary import DatasetSummary, LabelClass
from segchips.reports.ledger import LedgerRow

VERSION = "1.1.0"
_SCHEMA = "https://stac-extensions.github.io/{}/schema.json"
_EXTENSIONS = ("label/v1.0.1", "ml-aoi/v0.2.0", "projection/v2.0.0")
_CLASSIFICATION = _SCHEMA.format("classification/v2.0.0")
_ML_SPLITS = {"train": "train", "val": "validate", "validate": "validate", "validation": "validate", "test": "test"}
_GEOTIFF = "image/tiff; application=geotiff"
_DIGITS = 7
"""Of degrees: a centimetre, which every version of PROJ agrees on."""


def write_stac(facts: DatasetSummary) -> None:
    """Write stac/collection.json and stac/items/<tile, '_' for ':'>.json; hrefs are relative, '#' in them is %23.

    Items that are there and stay the same are left alone, those of tiles no longer made are removed.
    """
    folder, rows = facts.folder / "stac", facts.made
    tiles = [Tile.from_key(row.tile) for row in rows]
    outlines = _outlines(tiles) if tiles else np.zeros(0, object)
    items = [_item(facts, row, tile, outline) for row, tile, outline in zip(rows, tiles, outlines, strict=True)]
    _write_items(folder / "items", items)
    write_json(folder / "collection.json", _collection(facts, items, outlines))


def _write_items(folder: Path, items: Sequence[dict[str, Any]]) -> None:
    there = {path.name for path in folder.glob("*.json")}
    for item in items:
        path, content = folder / f"{item['id']}.json", json.dumps(item, ensure_ascii=False).encode()
        if path.name not in there or path.read_bytes() != content:
            atomic_write(path, content)
        there.discard(path.name)
    for name in there:
        (folder / name).unlink()


def _outlines(tiles: Sequence[Tile]) -> Any:
    """The tiles' padded boxes in lon/lat, exterior rings counter-clockwise as GeoJSON wants them."""
    return shapely.orient_polygons(shapely.set_precision(footprints(tiles), 10.0**-_DIGITS))


def _link(rel: str, href: str) -> dict[str, str]:
    kind = {"items": "application/geo+json", "item": "application/geo+json", "describedby": "text/markdown"}
    return {"rel": rel, "href": href, "type": kind.get(rel, "application/json")}


def _numbers(bounds: Sequence[float]) -> list[float]:
    return [round(float(bound), _DIGITS) for bound in bounds]


def _item(facts: DatasetSummary, row: LedgerRow, tile: Tile, outline: Any) -> dict[str, Any]:
    name = row.tile.replace(":", "_")
    return {
        "type": "Feature",
        "stac_version": VERSION,
        "stac_extensions": [*map(_SCHEMA.format, _EXTENSIONS), _CLASSIFICATION],
        "id": name,
        "collection": facts.dataset.name,
        "geometry": shapely.geometry.mapping(outline),
        "bbox": _numbers(outline.bounds),
        "properties": _properties(facts, row, tile),
        "links": [_link(rel, "../collection.json") for rel in ("root", "parent", "collection")],
        "assets": {"image": _image(facts, row), "label": _label(facts, row)},
    }


def _properties(facts: DatasetSummary, row: LedgerRow, tile: Tile) -> dict[str, Any]:
    imagery, labels = facts.dataset.imagery, facts.dataset.labels
    times = facts.entries[row.tile].acquired
    first, last = times[:1] or (f"{imagery.start}T00:00:00Z",), times[-1:] or (f"{imagery.end}T23:59:59Z",)
    west, across, _, north, _, down = tile.geotransform
    split = {"ml-aoi:split": _ML_SPLITS[row.split]} if row.split in _ML_SPLITS else {}
    return {
        "title": row.tile,
        "datetime": first[0] if first == last else None,
        "start_datetime": first[0],
        "end_datetime": last[0],
        "proj:code": tile.crs,
        "proj:shape": [tile.grid.size, tile.grid.size],
        "proj:transform": [across, 0.0, west, 0.0, down, north],
        "label:properties": None,
        "label:type": "raster",
        "label:tasks": ["segmentation"],
        "label:classes": [{"name": None, "classes": [one.value for one in facts.classes]}],
        "label:description": f"Class of each pixel; {labels.background} is the background.",
        **split,
        "segchips:split": row.split,
        "segchips:valid": row.valid,
    }


def _image(facts: DatasetSummary, row: LedgerRow) -> dict[str, Any]:
    nodata = facts.info.image.nodata
    known = {} if nodata is None else {"nodata": "nan" if np.isnan(nodata) else nodata}
    return {
        "href": quote(f"../../images/{chip_filename(row.tile)}"),
        "type": _GEOTIFF,
        "title": "Image chip",
        "roles": ["data"],
        "ml-aoi:role": "feature",
        "data_type": facts.info.image.dtype,
        **known,
        "bands": [{"name": name} for name in facts.bands],
    }


def _label(facts: DatasetSummary, row: LedgerRow) -> dict[str, Any]:
    return {
        "href": quote(f"../../labels/{chip_filename(row.tile)}"),
        "type": _GEOTIFF,
        "title": "Label chip",
        "roles": ["labels", "labels-raster"],
        "ml-aoi:role": "label",
        "data_type": facts.info.label.dtype,
        "nodata": facts.dataset.labels.background,
        "classification:classes": [_class(one) for one in facts.classes],
    }


def _class(one: LabelClass) -> dict[str, Any]:
    plain = re.sub(r"[^0-9A-Za-z_-]+", "_", one.name)
    return {"value": one.value, "name": f"{plain}_{one.value}", "description": one.name}


def _collection(facts: DatasetSummary, items: Sequence[dict[str, Any]], outlines: Any) -> dict[str, Any]:
    starts = [item["properties"]["start_datetime"] for item in items] or [None]
    ends = [item["properties"]["end_datetime"] for item in items] or [None]
    box = _numbers(shapely.total_bounds(outlines)) if items else [-180.0, -90.0, 180.0, 90.0]
    links = [_link("root", "./collection.json"), _link("describedby", "../README.md")]
    return {
        "type": "Collection",
        "stac_version": VERSION,
        "stac_extensions": [],
        "id": facts.dataset.name,
        "title": facts.dataset.name,
        "description": "Image chips and label chips for semantic segmentation.",
        "license": "other",
        "extent": {"spatial": {"bbox": [box]}, "temporal": {"interval": [[min(starts), max(ends)]]}},
        "summaries": {"segchips:split": list(facts.splits), "proj:code": _codes(items)},
        "links": [*links, *(_link("item", f"./items/{item['id']}.json") for item in items)],
    }


def _codes(items: Sequence[dict[str, Any]]) -> list[str]:
    return sorted({item["properties"]["proj:code"] for item in items})
