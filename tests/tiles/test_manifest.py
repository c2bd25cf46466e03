"""The tile manifest, read by GeoPandas and PyArrow."""

import json

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyproj
import pytest
import shapely
from earthdaily.earthone.core.common.dltile import Tile as ClientTile

from segchips.errors import InputError
from segchips.grids.cover import cover_area
from segchips.tiles.assignment import shard_of, split_of
from segchips.tiles.manifest import read_manifest, write_manifest
from support.areas import GRID, blob
from support.assignments import SHARES, assign_by_key


def test_the_manifest_is_geoparquet_with_every_tiles_row(tmp_path):
    tiles = cover_area(blob(np.random.default_rng(1), 12, 45, 0.05), GRID)
    path = tmp_path / "results" / "tiles.parquet"
    write_manifest(path, assign_by_key(tiles))
    frame = geopandas.read_parquet(path)
    assert (
        list(frame.columns) == ["key", "split", "shard", "state", "reason", "unit", "geometry"]
        and frame.crs == "EPSG:4326"
    )
    assert frame.key.tolist() == [tile.key for tile in tiles]
    assert frame.split.tolist() == [split_of(tile.key, SHARES) for tile in tiles]
    assert frame.shard.tolist() == [shard_of(tile.key, 4) for tile in tiles]
    assert set(frame.state) == {"planned"}
    expected = [ClientTile.from_key(tile.key).polygon_unpadded for tile in tiles]
    assert shapely.equals_exact(frame.geometry.values, expected, tolerance=0, normalize=True).all()
    rows = read_manifest(path)
    assert [(row.key, row.split, row.shard) for row in rows] == list(
        zip(frame.key, frame.split, frame.shard, strict=True)
    )


def test_the_manifest_says_what_geoparquet_asks_for(tmp_path):
    write_manifest(tmp_path / "tiles.parquet", assign_by_key(cover_area(shapely.box(14, 46, 14.02, 46.02), GRID)))
    file = pq.ParquetFile(tmp_path / "tiles.parquet")
    geo = json.loads(file.schema_arrow.metadata[b"geo"])
    column = geo["columns"]["geometry"]
    assert (geo["version"], geo["primary_column"], column["encoding"]) == ("1.1.0", "geometry", "WKB")
    assert column["geometry_types"] == ["Polygon"] and pyproj.CRS(column["crs"]) == pyproj.CRS(4326)
    wkb = file.read()["geometry"].to_pylist()
    assert column["bbox"] == list(shapely.total_bounds(shapely.from_wkb(wkb)))
    types = [pa.string(), pa.string(), pa.int32(), pa.string(), pa.string(), pa.int64(), pa.binary()]
    assert file.schema_arrow.types == types
    assert {file.metadata.row_group(0).column(i).compression for i in range(7)} == {"ZSTD"}


def test_the_manifest_is_the_same_bytes_from_the_same_tiles(tmp_path):
    tiles = cover_area(shapely.box(14, 46, 14.1, 46.1), GRID)
    for name in ("a", "b"):
        write_manifest(tmp_path / name, assign_by_key(tiles))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_another_file_than_a_manifest_is_named(tmp_path):
    pq.write_table(pa.table({"key": ["a"]}), tmp_path / "other.parquet")
    for name in ("nope.parquet", "other.parquet"):
        with pytest.raises(InputError, match=name):
            read_manifest(tmp_path / name)
