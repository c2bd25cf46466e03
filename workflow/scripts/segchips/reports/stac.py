"""The dataset as a STAC collection with one item for each chip.

Items use the label, classification, projection and ML AOI extensions.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pystac
import rasterio
import shapely
from pystac.extensions.classification import Classification, ClassificationExtension
from pystac.extensions.label import LabelClasses, LabelExtension, LabelTask, LabelType
from pystac.extensions.projection import ProjectionExtension

from segchips.config.labels import LabelsConfig
from segchips.files import atomic_write, json_number, write_json
from segchips.grids.outlines import footprints
from segchips.grids.tile import Tile
from segchips.records.dataset_info import ChipLayout, image_key, label_key
from segchips.reports.dataset_summary import DatasetSummary, LabelClass, file_band_names
from segchips.reports.ledger import LedgerRow
from segchips.vectors.geometry import Geometries

_EXTENSIONS = (
    LabelExtension.get_schema_uri(),
    "https://stac-extensions.github.io/ml-aoi/v0.2.0/schema.json",
    ProjectionExtension.get_schema_uri(),
    ClassificationExtension.get_schema_uri(),
)
_RASTER = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
Scalings = Sequence[tuple[float, float]]
_ML_AOI_SPLITS = {"train": "train", "val": "validate", "validate": "validate", "validation": "validate", "test": "test"}
_GEOTIFF = "image/tiff; application=geotiff"
# Decimal places of degrees: a centimetre, on which every version of PROJ agrees.
_DEGREE_DIGITS = 7
_ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""The time of chips whose sources have none; STAC demands one."""
_GLOBE = [-180.0, -90.0, 180.0, 90.0]
# Keys that come first in the files; pystac's own order is not the one of the specification.
_ITEM_KEYS = ("type", "stac_version", "stac_extensions", "id", "collection")
_ASSET_KEYS = ("href", "type", "title", "roles")
_COLLECTION_KEYS = (*_ITEM_KEYS, "title", "description", "license", "extent", "summaries", "links")


def write_stac(summary: DatasetSummary) -> None:
    """Write stac/collection.json and stac/items/<tile key with '_' for ':'>.json into the dataset's folder.

    All hrefs are relative; '#' in file names is escaped as %23. Files of unchanged items are not touched, and files of
    tiles that no longer have chips are removed.
    """
    folder, rows = summary.folder / "stac", summary.rows_with_chips
    tiles = [Tile.from_key(row.tile) for row in rows]
    outlines = _outlines(tiles) if tiles else np.zeros(0, object)
    classes = [_classification(label_class) for label_class in summary.classes]
    scalings = _scalings(summary, tiles[0]) if tiles else {}
    chips = zip(rows, tiles, outlines, strict=True)
    _write_items(folder / "items", (_item(summary, *chip, classes, scalings) for chip in chips))
    collection = _collection(summary, tiles, outlines).to_dict(include_self_link=False, transform_hrefs=False)
    write_json(folder / "collection.json", _in_order({"stac_extensions": [], **collection}, _COLLECTION_KEYS))


def _write_items(folder: Path, items: Iterable[pystac.Item]) -> None:
    stale = {path.name for path in folder.glob("*.json")}
    for item in items:
        path = folder / f"{item.id}.json"
        fields = item.to_dict(include_self_link=False, transform_hrefs=False)
        fields["assets"] = {name: _in_order(asset, _ASSET_KEYS) for name, asset in fields["assets"].items()}
        ordered = _in_order(fields, (*_ITEM_KEYS, "geometry"))
        content = json.dumps(ordered, ensure_ascii=False, allow_nan=False).encode()
        if path.name not in stale or path.read_bytes() != content:
            atomic_write(path, content)
        stale.discard(path.name)
    for name in stale:
        (folder / name).unlink()


def _in_order(fields: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: fields[key] for key in keys if key in fields} | dict(fields)


def _outlines(tiles: Sequence[Tile]) -> Geometries:
    """The tiles' padded boxes in lon/lat, exterior rings counter-clockwise as GeoJSON prescribes."""
    outlines: Geometries = shapely.orient_polygons(shapely.set_precision(footprints(tiles), 10.0**-_DEGREE_DIGITS))
    return outlines


def _rounded(bounds: Sequence[float]) -> list[float]:
    return [round(float(bound), _DEGREE_DIGITS) for bound in bounds]


def _item_id(tile: Tile) -> str:
    return tile.key.replace(":", "_")


def _scalings(summary: DatasetSummary, tile: Tile) -> dict[str, Scalings]:
    """Scale and offset of the bands of each layer, as the chip of a tile has them; empty where all are 1 and 0."""
    scalings: dict[str, Scalings] = {}
    for layer in summary.info.images:
        with rasterio.open(summary.folder / "images" / layer / tile.filename) as chip:
            pairs = list(zip(chip.scales, chip.offsets, strict=True))
        scalings[layer] = pairs if any(pair != (1.0, 0.0) for pair in pairs) else []
    return scalings


def _item(
    summary: DatasetSummary,
    row: LedgerRow,
    tile: Tile,
    outline: Any,
    classes: list[Classification],
    scalings: Mapping[str, Scalings],
) -> pystac.Item:
    start, end = _acquired(summary, row)
    item = pystac.Item(
        id=_item_id(tile),
        geometry=shapely.geometry.mapping(outline),
        bbox=_rounded(outline.bounds),
        datetime=start if start == end else None,
        start_datetime=start,
        end_datetime=end,
        properties={"title": row.tile, "datetime": None},
        stac_extensions=[*_EXTENSIONS, *([_RASTER] if any(scalings.values()) else [])],
        collection=summary.dataset.name,
    )
    _set_projection(item, tile)
    _set_label(item, summary)
    if row.split in _ML_AOI_SPLITS:
        item.properties["ml-aoi:split"] = _ML_AOI_SPLITS[row.split]
    item.properties |= {"segchips:split": row.split, "segchips:valid": row.valid}
    for rel in ("root", "parent", "collection"):
        item.add_link(pystac.Link(rel, "../collection.json", pystac.MediaType.JSON))
    for layer, layout in summary.info.images.items():
        item.add_asset(image_key(layer), _image_asset(layer, layout, tile, scalings[layer]))
    for number, (target, layout) in enumerate(summary.info.labels.items()):
        item.add_asset(
            label_key(target),
            _label_asset(target, layout.dtype, summary.dataset.labels.targets[target].background, tile),
        )
        if not number:
            ClassificationExtension.ext(item.assets[label_key(target)]).apply(classes)
    return item


def _acquired(summary: DatasetSummary, row: LedgerRow) -> tuple[datetime, datetime]:
    """The first and last acquisition of the chip's scenes; where it does not say, the searched period or all chips'."""
    times = [datetime.fromisoformat(text) for text in summary.entries[row.tile].acquired]
    if times:
        return times[0], times[-1]
    imagery = summary.dataset.imagery.first
    all_times = [datetime.fromisoformat(text) for entry in summary.entries.values() for text in entry.acquired]
    first, last = min(all_times, default=_ANY_TIME), max(all_times, default=_ANY_TIME)
    return (
        datetime.combine(imagery.start, time(), UTC) if imagery.start else first,
        datetime.combine(imagery.end, time(23, 59, 59), UTC) if imagery.end else last,
    )


def _set_projection(item: pystac.Item, tile: Tile) -> None:
    west, pixel_width, _, north, _, pixel_height = tile.geotransform
    projection = ProjectionExtension.ext(item)
    projection.code = tile.crs
    projection.shape = [tile.grid.size, tile.grid.size]
    projection.transform = [pixel_width, 0.0, west, 0.0, pixel_height, north]


def _set_label(item: pystac.Item, summary: DatasetSummary) -> None:
    values = [label_class.value for label_class in summary.classes]
    label = LabelExtension.ext(item)
    label.label_properties = None
    label.label_type = LabelType.RASTER
    label.label_tasks = [LabelTask.SEGMENTATION]
    label.label_classes = [LabelClasses({"name": None, "classes": values})]
    label.label_description = _describe_labels(summary.dataset.labels.first)


def _image_asset(layer: str, layout: ChipLayout, tile: Tile, scaling: Scalings) -> pystac.Asset:
    fields: dict[str, Any] = {"ml-aoi:role": "feature", "data_type": layout.dtype}
    if layout.nodata is not None:
        fields["nodata"] = json_number(layout.nodata)
    fields["bands"] = [{"name": name} for name in file_band_names(layout)]
    for band, (scale, offset) in zip(fields["bands"], scaling, strict=bool(scaling)):
        band |= {"raster:scale": scale, "raster:offset": offset}
    href = quote(f"../../images/{layer}{'/' if layer else ''}{tile.filename}")
    return pystac.Asset(href, "Image chip", media_type=_GEOTIFF, roles=["data"], extra_fields=fields)


def _label_asset(target: str, dtype: str, background: int | None, tile: Tile) -> pystac.Asset:
    fields = {"ml-aoi:role": "label", "data_type": dtype, "nodata": "nan" if background is None else background}
    href = quote(f"../../labels/{target}{'/' if target else ''}{tile.filename}")
    roles = ["labels", "labels-raster"]
    return pystac.Asset(href, "Label chip", media_type=_GEOTIFF, roles=roles, extra_fields=fields)


def _describe_labels(labels: LabelsConfig) -> str:
    if labels.kind == "continuous":
        return "Measurement of each pixel; NaN where there is none."
    if labels.kind == "instances":
        return "Number of the object at each pixel, from 1 in each chip; 0 where there is none."
    return f"Class of each pixel; {labels.background} is the background."


def _classification(label_class: LabelClass) -> Classification:
    """The class with a name that the extension allows: letters, digits, '_' and '-', unique through its value."""
    identifier = re.sub(r"[^0-9A-Za-z_-]+", "_", label_class.name)
    return Classification.create(label_class.value, label_class.name, f"{identifier}_{label_class.value}")


def _collection(summary: DatasetSummary, tiles: Sequence[Tile], outlines: Geometries) -> pystac.Collection:
    times = [_acquired(summary, row) for row in summary.rows_with_chips]
    start, end = min((start for start, _ in times), default=None), max((end for _, end in times), default=None)
    collection = pystac.Collection(
        id=summary.dataset.name,
        description="Image chips and label chips for semantic segmentation.",
        extent=pystac.Extent(
            pystac.SpatialExtent([_rounded(shapely.total_bounds(outlines)) if tiles else _GLOBE]),
            pystac.TemporalExtent([[start, end]]),
        ),
        title=summary.dataset.name,
        license="other",
        summaries=pystac.Summaries(
            {
                "segchips:split": list(summary.splits),
                "proj:code": sorted({tile.crs for tile in tiles}),
            }
        ),
    )
    collection.clear_links()
    collection.add_link(pystac.Link("root", "./collection.json", pystac.MediaType.JSON))
    collection.add_link(pystac.Link("describedby", "../README.md", "text/markdown"))
    for tile in tiles:
        collection.add_link(pystac.Link("item", f"./items/{_item_id(tile)}.json", pystac.MediaType.GEOJSON))
    return collection
