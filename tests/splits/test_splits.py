"""The file of splits."""

import geopandas
import pytest

from segchips.errors import InputError
from segchips.splits.splits import read_splits, write_splits
from segchips.tiles.assignment import shard_of
from support.assignments import assign, tile_rectangle


def test_the_file_holds_what_was_written_and_is_geoparquet(tmp_path):
    tiles = tile_rectangle(9, 9)
    rows = assign(tiles, block=1800)
    for name in ("a", "b"):
        write_splits(tmp_path / name, rows, "digest", {})
    assert read_splits(tmp_path / "a") == rows
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    frame = geopandas.read_parquet(tmp_path / "a")
    assert frame.crs == "EPSG:4326" and frame.shard.tolist() == [shard_of(tile.key, 4) for tile in tiles]


def test_another_file_than_splits_is_named(tmp_path):
    (tmp_path / "splits.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"splits\.parquet: not a file of splits"):
        read_splits(tmp_path / "splits.parquet")
