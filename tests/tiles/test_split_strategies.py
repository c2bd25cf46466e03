"""Splits by tile and by region."""

from collections import Counter
from itertools import combinations

import numpy as np
import pyproj
import pytest
import shapely

from segchips.errors import InputError
from segchips.grids.tile import Tile
from segchips.tiles.assignment import DROPPED, PLANNED, split_of
from support.assignments import SHARES, assign, tile_rectangle
from support.vectors import write_vectors


def test_tiles_are_split_one_by_one():
    rows = assign(tile_rectangle(60, 60), by="tile")
    assert [row.split for row in rows] == [split_of(row.key, SHARES) for row in rows]
    assert {row.state for row in rows} == {PLANNED}
    count = Counter(row.split for row in rows)
    for split, share in SHARES.items():
        assert abs(count[split] / 3600 - share) < 4 * np.sqrt(share * (1 - share) / 3600)
    other = assign(tile_rectangle(60, 60), by="tile", seed=1)
    assert sum(a.split != b.split for a, b in zip(rows, other, strict=True)) > 900


def test_tiles_split_one_by_one_share_no_ground_unless_allowed():
    rows = assign(tile_rectangle(12, 12), by="tile", allow_overlap=False)
    kept = [(row.split, shapely.box(*Tile.from_key(row.key).bounds)) for row in rows if row.state == PLANNED]
    assert 0 < len(kept) < 144
    for (split, box), (other, second) in combinations(kept, 2):
        assert split == other or box.intersection(second).area == 0


def regions(tmp_path, tiles, *shapes):
    """A layer in lon/lat of boxes given as fractions of the tiles' extent, with the split of each."""
    west, south, east, north = shapely.total_bounds([shapely.box(*tile.core_bounds) for tile in tiles])
    back = pyproj.Transformer.from_crs(tiles[0].crs, 4326, always_xy=True).transform
    boxes = []
    for left, right, _ in shapes:
        box = shapely.box(west + left * (east - west), south, west + right * (east - west), north)
        boxes.append(shapely.transform(shapely.segmentize(box, 100), back, interleaved=False))
    return write_vectors(tmp_path / "regions.gpkg", boxes, "EPSG:4326", fold=[name for *_, name in shapes])


def test_regions_name_splits_and_later_ones_win(tmp_path):
    tiles = tile_rectangle(20, 5)
    path = regions(tmp_path, tiles, (0, 0.6, "train"), (0.5, 0.8, "val"))
    rows = assign(tiles, by="region", path=path, attribute="fold")
    for tile, row in zip(tiles, rows, strict=True):
        column = tile.path + 334
        assert row.split == ("train" if column < 10 else "val" if column < 16 else "")
        assert row.state == (DROPPED if column == 9 or column >= 16 else PLANNED)
        assert ("no region" in row.reason) == (column >= 16) and ("overlaps" in row.reason) == (column == 9)


def test_a_region_that_names_no_split_is_an_error(tmp_path):
    path = regions(tmp_path, tile_rectangle(2, 2), (0, 1, "training"))
    with pytest.raises(InputError, match=r"'fold'.*'training'.*train, val, test"):
        assign(tile_rectangle(2, 2), by="region", path=path, attribute="fold")
