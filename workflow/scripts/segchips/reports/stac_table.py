"""STAC items of many chips in one file: stac-geoparquet, which takes seconds where a million files take hours.

Source: https://github.com/stac-utils/stac-geoparquet/blob/main/spec/stac-geoparquet-spec.md, version 1.0.0.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pystac
import shapely

from segchips.files import atomic_path
from segchips.grids.indices import padded_bounds
from segchips.grids.tile_array import TileArray
from segchips.reports.ledger import Ledger
from segchips.reports.stac_files import ITEMS_TABLE, ML_AOI_SPLITS, item_fields, rounded, write_collection
from segchips.vectors.geometry import Geometries
from segchips.vectors.geoparquet import geometry_types

MAX_ITEM_FILES = 10_000
"""Items of more chips are in one file."""
STAC_BATCH = 20_000
"""Items that are in memory as geometries at once, and in a row group of the file."""
_TIME = pa.timestamp("us", "UTC")
_BOX = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class ItemColumns:
    """What differs among the items of a dataset.

    Attributes:
        tiles: The tile of each chip (n).
        rows: Its row of the ledger (n).
        acquired: The text of its acquisitions (n).
        times: The first and last acquisition by that text.
    """

    tiles: TileArray
    rows: Ledger
    acquired: Sequence[str]
    times: Mapping[str, tuple[datetime, datetime]]


def write_stac_table(
    folder: Path,
    collection: pystac.Collection,
    first: pystac.Item,
    columns: ItemColumns,
    outlines: Iterable[Geometries],
) -> None:
    """Write collection.json and items.parquet into a folder, and remove items in files of their own.

    Args:
        folder: The folder.
        collection: The collection, without links to items.
        first: The first item, with hrefs as in a file of its own; all have its fields.
        columns: What differs among the items.
        outlines: The outlines of `STAC_BATCH` tiles after the other, in lon/lat.
    """
    media_type = "application/vnd.apache.parquet"
    asset = pystac.Asset(f"./{ITEMS_TABLE}", "Items", media_type=media_type, roles=["collection-mirror"])
    collection.add_asset("geoparquet-items", asset)
    batches = _tables(item_fields(first), first.properties["title"], columns, outlines)
    table = next(batches)
    with atomic_path(folder / ITEMS_TABLE) as part, pq.ParquetWriter(part, table.schema, compression="zstd") as writer:
        types = set[str]()
        for some in chain([table], batches):
            writer.write_table(some)
            types.update(geometry_types(shapely.from_wkb(some["geometry"].to_numpy())))
        about = {"encoding": "WKB", "geometry_types": sorted(types), "bbox": collection.extent.spatial.bboxes[0]}
        geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": about}}
        table_about = {"geo": json.dumps(geo), "stac-geoparquet": json.dumps({"version": "1.0.0"})}
        writer.add_key_value_metadata(table_about)
    rmtree(folder / "items", ignore_errors=True)
    write_collection(folder, collection)


def _tables(
    template: Mapping[str, Any], key: str, columns: ItemColumns, outlines: Iterable[Geometries]
) -> Iterator[pa.Table]:
    for number, shapes in enumerate(outlines):
        part = slice(number * STAC_BATCH, (number + 1) * STAC_BATCH)
        yield _table(template, key, columns, part, shapes)


def _table(template: Mapping[str, Any], key: str, columns: ItemColumns, part: slice, outlines: Geometries) -> pa.Table:
    """The items of some chips: the template's fields, its properties beside them, and what differs."""
    tiles, rows = columns.tiles[part], columns.rows[part]
    keys, count = tiles.keys.column, len(tiles)
    starts, ends = (pa.array([columns.times[text][end] for text in columns.acquired[part]], _TIME) for end in (0, 1))
    bounds = rounded(shapely.bounds(outlines))
    transform = template["properties"]["proj:transform"]
    corners = padded_bounds(tiles.indices, tiles.grid)
    transforms = np.tile(np.array(transform, float), (count, 1))
    transforms[:, 2], transforms[:, 5] = corners[:, 0], corners[:, 3]
    zones, of_tiles = np.unique(tiles.indices[:, 0], return_inverse=True)
    splits = rows.column("split")
    known = pa.array([ML_AOI_SPLITS.get(split) for split in splits.unique().to_pylist()], pa.string())
    own: dict[str, pa.Array] = {
        "id": pc.replace_substring(keys, ":", "_"),
        "geometry": pa.array(shapely.to_wkb(outlines, byte_order=1), pa.binary()),
        "bbox": pa.StructArray.from_arrays([pa.array(side) for side in bounds.T], _BOX),
        "title": keys,
        "datetime": pc.if_else(pc.equal(starts, ends), starts, None),
        "start_datetime": starts,
        "end_datetime": ends,
        "proj:code": pa.array([tiles.grid.crs(zone) for zone in zones.tolist()]).take(pa.array(of_tiles)),
        "proj:transform": pa.FixedSizeListArray.from_arrays(pa.array(transforms.ravel()), 6).cast(
            pa.list_(pa.float64())
        ),
        "ml-aoi:split": known.take(pc.index_in(splits, value_set=splits.unique())),
        "segchips:split": splits,
        "segchips:valid": rows.column("valid"),
    }
    names = pc.replace_substring(keys, ":", "%23")
    old = key.replace(":", "%23")
    assets = {name: _asset(asset, old, names) for name, asset in template["assets"].items()}
    own["assets"] = pa.StructArray.from_arrays(list(assets.values()), list(assets))
    links = [{**link, "href": "./collection.json"} for link in template["links"]]
    fields = {**template, **template["properties"], "links": links} | dict.fromkeys(own)
    del fields["properties"]
    return pa.table({name: own.get(name) or _constant(value, count) for name, value in fields.items()})


def _asset(template: Mapping[str, Any], old: str, names: pa.Array) -> pa.StructArray:
    """An asset of many chips, with the href of each relative to the folder of the table."""
    start, _, end = template["href"].removeprefix("../").partition(old)
    hrefs = pc.binary_join_element_wise(start, names, end, "")
    fields = [hrefs if name == "href" else _constant(value, len(names)) for name, value in template.items()]
    return pa.StructArray.from_arrays(fields, list(template))


def _constant(value: Any, count: int) -> pa.Array:
    """A value, as often as there are items."""
    return pa.array([value]).take(pa.array(np.zeros(count, np.int64)))
