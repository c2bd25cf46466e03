"""The tiles step: the manifest that it writes and the lines that it logs."""

import pyogrio
import shapely

from segchips.grids.cover import cover_area
from segchips.tiles.assignment import DROPPED, PLANNED, shard_of
from segchips.tiles.manifest import read_manifest
from segchips.tiles.tiles import make_tiles
from support.areas import ACROSS, GRID
from support.assignments import assign
from support.datasets import make_dataset
from support.vectors import write_vectors


def test_the_manifest_has_the_tiles_of_the_aoi_with_their_splits_by_location(tmp_path):
    bow_tie = shapely.Polygon([(11.9, 47), (11.95, 47.02), (11.95, 47), (11.9, 47.02)])
    path = write_vectors(tmp_path / "aoi.gpkg", [ACROSS, bow_tie, shapely.Point(1, 1)], "EPSG:4326")
    grid = {"size": GRID.size, "pad": GRID.pad, "resolution": GRID.resolution}
    dataset = make_dataset(tiles={**grid, "aoi": path}, splitting={"by": "block", "block": 1800})
    lines = make_tiles(dataset, tmp_path / "tiles.parquet")
    rows = read_manifest(tmp_path / "tiles.parquet")
    tiles = cover_area([ACROSS, bow_tie], GRID)
    assert rows == assign(tiles, block=1800, cover=False)
    assert {row.state for row in rows} == {PLANNED, DROPPED}
    assert all((row.state == DROPPED) == row.reason.startswith("guard: ") for row in rows)
    assert [row.shard for row in rows] == [shard_of(tile.key, dataset.tfrecords.shards) for tile in tiles]
    (layer,) = pyogrio.list_layers(path)[:, 0]
    repairs = "1 invalid polygons repaired, 1 features without polygon left out"
    assert lines == [f"layer '{layer}' of '{path}': {repairs}", f"{len(tiles)} tiles"]
