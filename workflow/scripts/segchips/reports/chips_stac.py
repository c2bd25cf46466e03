"""A dataset of chips made elsewhere as a STAC collection with one item for each chip in the shards."""

import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pystac
from rasterio.crs import CRS

from segchips.config.chips import ChipsConfig
from segchips.config.model import Conversion
from segchips.files import digest, json_number
from segchips.records.chip_ground import Ground
from segchips.records.dataset_files import made_entries, read_info
from segchips.records.dataset_info import DatasetInfo
from segchips.records.record_encoding import ChipPair
from segchips.records.shard_index import IndexEntry
from segchips.records.statistics import statistics
from segchips.reports.chip_outlines import chip_outlines
from segchips.reports.dataset_summary import LabelClass, band_names
from segchips.reports.ledger import LedgerRow
from segchips.reports.stac_files import (
    ANY_TIME,
    GEOTIFF,
    ChipItem,
    Extent,
    make_collection,
    make_item,
    rounded_outlines,
    set_classes,
    write_stac_files,
)
from segchips.tiles.assignment import MADE

_MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".jp2": "image/jp2"}
_MEDIA_TYPES |= {".tif": GEOTIFF, ".tiff": GEOTIFF}


def write_chips_stac(
    conversion: Conversion,
    folder: Path,
    rows: Sequence[LedgerRow],
    pairs: Mapping[str, ChipPair],
    grounds: Mapping[str, Ground],
) -> None:
    """Write stac/collection.json and stac/items/ into the dataset's folder.

    Assets are the chips' files, by relative hrefs. A chip without a location is an item without a geometry.

    Args:
        conversion: The config of the dataset.
        folder: The dataset's folder of results, with the shards.
        rows: The ledger.
        pairs: The files of the chips.
        grounds: The ground of each chip that has a location.
    """
    shards = folder / "tfrecords"
    info = read_info(shards)
    entries, classes = made_entries(shards, info), _classes(conversion.chips, shards)
    outlines = dict(zip(grounds, chip_outlines(grounds), strict=True))
    located = [name for name, outline in outlines.items() if outline is not None]
    if located:
        rounded = rounded_outlines(np.array([outlines[name] for name in located], object))
        outlines = dict(zip(located, rounded, strict=True))
    codes = {crs: _code(crs) for crs in dict.fromkeys(ground.crs for ground in grounds.values())}
    made = [row for row in rows if row.state == MADE]
    chips = []
    for row in made:
        ground = grounds.get(row.tile)
        chips.append(_chip_item(row, entries[row.tile], info, ground, codes[ground.crs] if ground else None, outlines))
    items = (
        _item(conversion, folder, info, chip, pairs[row.tile], classes) for chip, row in zip(chips, made, strict=True)
    )
    collection = make_collection(conversion.name, conversion.tfrecords.splits, Extent.of(chips))
    write_stac_files(folder / "stac", collection, [chip.id for chip in chips], items)


def _classes(config: ChipsConfig, shards: Path) -> list[LabelClass]:
    """The classes of the records."""
    found: dict[int, tuple[int, int]] = {}
    for split in statistics(shards).values():
        for value, entry in (split.classes or {}).items():
            pixels, chips = found.get(value, (0, 0))
            found[value] = pixels + entry.pixels, chips + entry.chips
    special = {config.background: "background", config.unknown: "unknown"}
    names = {value: config.names.get(value, special.get(value, "unnamed")) for value in found}
    return [LabelClass(value, names[value], *found[value]) for value in sorted(found)]


def _code(crs: str) -> str | None:
    """Authority and code of a CRS; None if it has none."""
    authority = CRS.from_user_input(crs).to_authority()
    return ":".join(authority) if authority else None


def _item_id(name: str) -> str:
    """The name as a file name that needs no escaping, and that no other chip has."""
    colons = name.replace(":", "_")
    plain = re.sub(r"[^0-9A-Za-z._+-]+", "_", colons)[:100]
    return plain if plain == colons else f"{plain}-{digest(name)[:8]}"


def _chip_item(
    row: LedgerRow,
    entry: IndexEntry,
    info: DatasetInfo,
    ground: Ground | None,
    code: str | None,
    outlines: Mapping[str, Any],
) -> ChipItem:
    times = [datetime.fromisoformat(text) for text in entry.acquired] or [ANY_TIME]
    height, width = info.image.shape[:2]
    return ChipItem(
        id=_item_id(row.tile),
        title=row.tile,
        outline=outlines.get(row.tile),
        times=(times[0], times[-1]),
        split=row.split,
        valid=row.valid,
        crs=code,
        shape=(height, width),
        transform=_as_projection(ground.geotransform) if ground else None,
    )


def _as_projection(geotransform: Sequence[float]) -> tuple[float, ...]:
    west, across, skew_x, north, skew_y, down = geotransform
    return across, skew_x, west, skew_y, down, north


def _item(
    conversion: Conversion,
    folder: Path,
    info: DatasetInfo,
    chip: ChipItem,
    pair: ChipPair,
    classes: Sequence[LabelClass],
) -> pystac.Item:
    config = conversion.chips
    values = [label_class.value for label_class in classes]
    item = make_item(conversion.name, chip, values, _describe_labels(config))
    image: dict[str, Any] = {"ml-aoi:role": "feature", "data_type": info.image.dtype}
    image["bands"] = [{"name": name} for name in band_names(info.image)]
    if info.image.nodata is not None:
        image["nodata"] = json_number(info.image.nodata)
    item.add_asset("image", _asset(pair.images[0], folder, "Image chip", ["data"], image))
    label: dict[str, Any] = {"ml-aoi:role": "label"}
    item.add_asset("label", _asset(pair.labels[0], folder, "Label chip", ["labels", "labels-raster"], label))
    if not config.classes and config.kind == "classes":  # else the file holds other values than the records
        set_classes(item.assets["label"], classes)
    return item


def _asset(path: str, folder: Path, title: str, roles: list[str], fields: dict[str, Any]) -> pystac.Asset:
    media_type = _MEDIA_TYPES.get(os.path.splitext(path)[1].lower())
    href = quote(os.path.relpath(path, folder / "stac" / "items"))
    return pystac.Asset(href, title, media_type=media_type, roles=roles, extra_fields=fields)


def _describe_labels(config: ChipsConfig) -> str:
    if config.kind == "continuous":
        return "Measurement of each pixel; NaN where there is none."
    if config.classes:
        listed = ", ".join(f"{value} is {number}" for value, number in config.classes.items())
        return f"Class of each pixel in the records; in the files {listed}."
    background = "" if config.background is None else f"; {config.background} is the background"
    return f"Class of each pixel{background}."
