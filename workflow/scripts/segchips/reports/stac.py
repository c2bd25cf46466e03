"""A dataset made here as a STAC collection with one item for each tile."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, time
from itertools import chain
from typing import Any
from urllib.parse import quote

import numpy as np
import pystac
import rasterio
import shapely

from segchips.config.labels import LabelsConfig
from segchips.files import json_number
from segchips.grids.outlines import footprints
from segchips.grids.tile import Tile
from segchips.grids.tile_array import TileArray
from segchips.records.dataset_info import ChipLayout, image_key, label_key
from segchips.reports.dataset_summary import DatasetSummary, file_band_names
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
from segchips.reports.stac_table import MAX_ITEM_FILES, STAC_BATCH, ItemColumns, write_stac_table
from segchips.vectors.geometry import Geometries

_RASTER = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
Scalings = Sequence[tuple[float, float]]


def write_stac(summary: DatasetSummary) -> None:
    """Write stac/collection.json and its items into the dataset's folder.

    The items are stac/items/<tile key with '_' for ':'>.json, or stac/items.parquet where they are many. All hrefs are
    relative; '#' in file names is escaped as %23.
    """
    tiles, folder = summary.tiles_with_chips, summary.folder / "stac"
    scalings = _scalings(summary, tiles[0]) if len(tiles) else {}
    times = _times(summary)
    boxes = np.array([shapely.total_bounds(outlines) for outlines in _outline_batches(tiles)]).reshape(-1, 4)
    extent = Extent(
        [*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist()] if len(boxes) else None,
        (min(start for start, _ in times.values()), max(end for _, end in times.values())) if times else (None, None),
        sorted(map(tiles.grid.crs, np.unique(tiles.indices[:, 0]).tolist())),
    )
    collection = make_collection(summary.dataset.name, summary.splits, extent)
    acquired = summary.acquired.of(summary.rows_with_chips.texts("tile"))
    if len(tiles) > MAX_ITEM_FILES:
        chip = _chip_item(summary, summary.rows_with_chips[0], tiles[0], _outlines(tiles[:1])[0], times[acquired[0]])
        columns = ItemColumns(tiles, summary.rows_with_chips, acquired, times)
        write_stac_table(folder, collection, _item(summary, chip, tiles[0], scalings), columns, _outline_batches(tiles))
        return
    outlines = chain.from_iterable(_outline_batches(tiles))
    rows = zip(summary.rows_with_chips, tiles, outlines, [times[text] for text in acquired], strict=True)
    chips = [(_chip_item(summary, *row), row[1]) for row in rows]
    items = (_item(summary, chip, tile, scalings) for chip, tile in chips)
    write_stac_files(folder, collection, [chip.id for chip, _ in chips], items)


def _outlines(tiles: TileArray) -> Geometries:
    return rounded_outlines(footprints(tiles))


def _outline_batches(tiles: TileArray) -> Iterator[Geometries]:
    return map(_outlines, tiles.batches(STAC_BATCH))


def _scalings(summary: DatasetSummary, tile: Tile) -> dict[str, Scalings]:
    """Scale and offset of the bands of each layer, as the chip of a tile has them; empty where all are 1 and 0."""
    scalings: dict[str, Scalings] = {}
    for layer in summary.info.images:
        with rasterio.open(summary.folder / "images" / layer / tile.filename) as chip:
            pairs = list(zip(chip.scales, chip.offsets, strict=True))
        scalings[layer] = pairs if any(pair != (1.0, 0.0) for pair in pairs) else []
    return scalings


def _chip_item(
    summary: DatasetSummary, row: LedgerRow, tile: Tile, outline: Any, times: tuple[datetime, datetime]
) -> ChipItem:
    west, pixel_width, _, north, _, pixel_height = tile.geotransform
    return ChipItem(
        id=tile.key.replace(":", "_"),
        title=row.tile,
        outline=outline,
        times=times,
        split=row.split,
        valid=row.valid,
        crs=tile.crs,
        shape=(tile.grid.size, tile.grid.size),
        transform=(pixel_width, 0.0, west, 0.0, pixel_height, north),
    )


def _item(summary: DatasetSummary, chip: ChipItem, tile: Tile, scalings: Mapping[str, Scalings]) -> pystac.Item:
    values = [label_class.value for label_class in summary.classes]
    item = make_item(summary.dataset.name, chip, values, _describe_labels(summary.dataset.labels.first))
    item.stac_extensions += [_RASTER] if any(scalings.values()) else []
    for layer, layout in summary.info.images.items():
        item.add_asset(image_key(layer), _image_asset(layer, layout, tile, scalings[layer]))
    for number, (target, layout) in enumerate(summary.info.labels.items()):
        background = summary.dataset.labels.targets[target].background
        item.add_asset(label_key(target), _label_asset(target, layout.dtype, background, tile))
        if not number:
            set_classes(item.assets[label_key(target)], summary.classes)
    return item


def _times(summary: DatasetSummary) -> dict[str, tuple[datetime, datetime]]:
    """The first and last acquisition of chips, by the text of their acquisitions.

    Where a chip does not say, it is the searched period, or that of all chips.
    """
    texts = summary.acquired.column.unique().to_pylist()
    by_text = {text: list(map(datetime.fromisoformat, text.split())) for text in texts}
    all_times = [moment for times in by_text.values() for moment in times]
    first, last = min(all_times, default=ANY_TIME), max(all_times, default=ANY_TIME)
    imagery = summary.dataset.imagery.first
    unknown = (
        datetime.combine(imagery.start, time(), UTC) if imagery.start else first,
        datetime.combine(imagery.end, time(23, 59, 59), UTC) if imagery.end else last,
    )
    return {text: (times[0], times[-1]) if times else unknown for text, times in by_text.items()}


def _image_asset(layer: str, layout: ChipLayout, tile: Tile, scaling: Scalings) -> pystac.Asset:
    fields: dict[str, Any] = {"ml-aoi:role": "feature", "data_type": layout.dtype}
    if layout.nodata is not None:
        fields["nodata"] = json_number(layout.nodata)
    fields["bands"] = [{"name": name} for name in file_band_names(layout)]
    for band, (scale, offset) in zip(fields["bands"], scaling, strict=bool(scaling)):
        band |= {"raster:scale": scale, "raster:offset": offset}
    href = quote(f"../../images/{layer}{'/' if layer else ''}{tile.filename}")
    return pystac.Asset(href, "Image chip", media_type=GEOTIFF, roles=["data"], extra_fields=fields)


def _label_asset(target: str, dtype: str, background: int | None, tile: Tile) -> pystac.Asset:
    fields = {"ml-aoi:role": "label", "data_type": dtype, "nodata": "nan" if background is None else background}
    href = quote(f"../../labels/{target}{'/' if target else ''}{tile.filename}")
    roles = ["labels", "labels-raster"]
    return pystac.Asset(href, "Label chip", media_type=GEOTIFF, roles=roles, extra_fields=fields)


def _describe_labels(labels: LabelsConfig) -> str:
    if labels.kind == "continuous":
        return "Measurement of each pixel; NaN where there is none."
    if labels.kind == "instances":
        return "Number of the object at each pixel, from 1 in each chip; 0 where there is none."
    return f"Class of each pixel; {labels.background} is the background."
