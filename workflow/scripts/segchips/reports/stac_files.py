"""STAC items of chips and their collection, whatever made the chips, and how they are written.

Items use the label, classification, projection and ML AOI extensions.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import shapely
from pystac.extensions.classification import Classification, ClassificationExtension
from pystac.extensions.label import LabelClasses, LabelExtension, LabelTask, LabelType
from pystac.extensions.projection import ProjectionExtension

from segchips.arrays import Floats
from segchips.files import atomic_write, write_json
from segchips.reports.dataset_summary import LabelClass
from segchips.vectors.geometry import Geometries

ITEMS_TABLE = "items.parquet"
"""The file of the items of many chips."""
GEOTIFF = "image/tiff; application=geotiff"
ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""The time of chips whose sources have none; STAC demands one."""
_EXTENSIONS = (
    LabelExtension.get_schema_uri(),
    "https://stac-extensions.github.io/ml-aoi/v0.2.0/schema.json",
    ProjectionExtension.get_schema_uri(),
    ClassificationExtension.get_schema_uri(),
)
ML_AOI_SPLITS = {"train": "train", "val": "validate", "validate": "validate", "validation": "validate", "test": "test"}
# Decimal places of degrees: a centimetre, on which every version of PROJ agrees.
_DEGREE_DIGITS = 7
_GLOBE = [-180.0, -90.0, 180.0, 90.0]
# Keys that come first in the files; pystac's own order is not the one of the specification.
_ITEM_KEYS = ("type", "stac_version", "stac_extensions", "id", "collection")
_ASSET_KEYS = ("href", "type", "title", "roles")
_COLLECTION_KEYS = (*_ITEM_KEYS, "title", "description", "license", "extent", "summaries", "links")


@dataclass(frozen=True)
class ChipItem:
    """What the item of a chip says besides its assets.

    Attributes:
        id: The id, which is also the name of its file.
        title: The tile key, or the name of a chip made elsewhere.
        outline: Its bounds in lon/lat; None if it has no location.
        times: The first and last acquisition.
        split: Its split.
        valid: The share of its valid pixels; None if it does not say.
        crs: The CRS as authority and code; None if it has no such code.
        shape: Height and width in pixels.
        transform: From column and row to coordinates, as rasterio orders it; None without a location.
    """

    id: str
    title: str
    outline: Any
    times: tuple[datetime, datetime]
    split: str
    valid: float | None
    crs: str | None
    shape: tuple[int, int]
    transform: Sequence[float] | None


def rounded_outlines(outlines: Geometries) -> Geometries:
    """Outlines (n), exterior rings counter-clockwise as GeoJSON prescribes, with rounded coordinates."""
    rounded: Geometries = shapely.orient_polygons(
        shapely.set_precision(outlines, 10.0**-_DEGREE_DIGITS, mode="pointwise")
    )
    return rounded


def _rounded(bounds: Sequence[float]) -> list[float]:
    return [round(float(bound), _DEGREE_DIGITS) for bound in bounds]


def rounded(bounds: Floats) -> Floats:
    """Degrees as items have them."""
    return np.array(_rounded(bounds.ravel().tolist())).reshape(bounds.shape)


def make_item(collection: str, chip: ChipItem, values: Sequence[int], description: str) -> pystac.Item:
    """Make the item of a chip, without assets.

    Args:
        collection: The id of the collection.
        chip: The chip.
        values: The label values.
        description: What the label values mean.
    """
    start, end = chip.times
    located = chip.outline is not None
    item = pystac.Item(
        id=chip.id,
        geometry=shapely.geometry.mapping(chip.outline) if located else None,
        bbox=_rounded(chip.outline.bounds) if located else None,
        datetime=start if start == end else None,
        start_datetime=start,
        end_datetime=end,
        properties={"title": chip.title, "datetime": None},
        stac_extensions=list(_EXTENSIONS),
        collection=collection,
    )
    projection = ProjectionExtension.ext(item)
    projection.code = chip.crs
    projection.shape = list(chip.shape)
    projection.transform = list(chip.transform) if chip.transform else None
    label = LabelExtension.ext(item)
    label.label_properties = None
    label.label_type = LabelType.RASTER
    label.label_tasks = [LabelTask.SEGMENTATION]
    label.label_classes = [LabelClasses({"name": None, "classes": list(values)})]
    label.label_description = description
    if chip.split in ML_AOI_SPLITS:
        item.properties["ml-aoi:split"] = ML_AOI_SPLITS[chip.split]
    item.properties |= {"segchips:split": chip.split, "segchips:valid": chip.valid}
    for rel in ("root", "parent", "collection"):
        item.add_link(pystac.Link(rel, "../collection.json", pystac.MediaType.JSON))
    return item


def set_classes(asset: pystac.Asset, classes: Iterable[LabelClass]) -> None:
    """Name the classes of an asset; names have letters, digits, '_' and '-' only, and are unique through the value."""
    named = []
    for one in classes:
        identifier = re.sub(r"[^0-9A-Za-z_-]+", "_", one.name)
        named.append(Classification.create(one.value, one.name, f"{identifier}_{one.value}"))
    ClassificationExtension.ext(asset).classes = named


@dataclass(frozen=True)
class Extent:
    """Where and when the chips of a collection are.

    Attributes:
        bounds: West, south, east and north in lon/lat; None if no chip has a location.
        times: The first and last acquisition; None without chips.
        codes: The CRSs as authority and code, sorted.
    """

    bounds: Sequence[float] | None
    times: tuple[datetime | None, datetime | None]
    codes: Sequence[str]

    @classmethod
    def of(cls, chips: Sequence[ChipItem]) -> "Extent":
        """The extent of some chips."""
        outlines = [chip.outline for chip in chips if chip.outline is not None]
        return cls(
            shapely.total_bounds(outlines).tolist() if outlines else None,
            (
                min((chip.times[0] for chip in chips), default=None),
                max((chip.times[1] for chip in chips), default=None),
            ),
            sorted({chip.crs for chip in chips if chip.crs}),
        )


def make_collection(name: str, splits: Iterable[str], extent: Extent) -> pystac.Collection:
    """Make the collection of a dataset.

    Args:
        name: The dataset's name.
        splits: The names of its splits.
        extent: Where and when its chips are.
    """
    collection = pystac.Collection(
        id=name,
        description="Image chips and label chips.",
        extent=pystac.Extent(
            pystac.SpatialExtent([_rounded(extent.bounds) if extent.bounds else _GLOBE]),
            pystac.TemporalExtent([list(extent.times)]),
        ),
        title=name,
        license="other",
        summaries=pystac.Summaries({"segchips:split": list(splits), "proj:code": list(extent.codes)}),
    )
    collection.clear_links()
    collection.add_link(pystac.Link("root", "./collection.json", pystac.MediaType.JSON))
    collection.add_link(pystac.Link("describedby", "../README.md", "text/markdown"))
    return collection


def write_stac_files(
    folder: Path, collection: pystac.Collection, ids: Iterable[str], items: Iterable[pystac.Item]
) -> None:
    """Write collection.json and items/<id>.json into a folder.

    Files of unchanged items are not touched, and files of other items are removed.
    """
    for item_id in ids:
        collection.add_link(pystac.Link("item", f"./items/{item_id}.json", pystac.MediaType.GEOJSON))
    _write_items(folder / "items", items)
    (folder / ITEMS_TABLE).unlink(missing_ok=True)
    write_collection(folder, collection)


def write_collection(folder: Path, collection: pystac.Collection) -> None:
    """Write collection.json into a folder."""
    content = collection.to_dict(include_self_link=False, transform_hrefs=False)
    write_json(folder / "collection.json", _in_order({"stac_extensions": [], **content}, _COLLECTION_KEYS))


def _write_items(folder: Path, items: Iterable[pystac.Item]) -> None:
    stale = {path.name for path in folder.glob("*.json")}
    for item in items:
        path = folder / f"{item.id}.json"
        content = json.dumps(item_fields(item), ensure_ascii=False, allow_nan=False).encode()
        if path.name not in stale or path.read_bytes() != content:
            atomic_write(path, content)
        stale.discard(path.name)
    for name in stale:
        (folder / name).unlink()


def item_fields(item: pystac.Item) -> dict[str, Any]:
    """The fields of an item in the order of the specification."""
    fields = item.to_dict(include_self_link=False, transform_hrefs=False)
    fields["assets"] = {name: _in_order(asset, _ASSET_KEYS) for name, asset in fields["assets"].items()}
    return _in_order(fields, (*_ITEM_KEYS, "geometry"))


def _in_order(fields: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: fields[key] for key in keys if key in fields} | dict(fields)
