"""Overlaps of tiles at both ends of the world, in a CRS whose world ends at one x."""

import pytest
import shapely

from segchips.grids.tile import Tile
from segchips.reports.overlaps import find_overlaps, min_distances
from support.projected_grids import projected_grid, to_crs


def test_tiles_at_both_ends_overlap_where_their_ground_does():
    grid = projected_grid("EPSG:6933", 64, 2, 1000.0)
    half, _ = to_crs("EPSG:6933").transform(180, 0)
    east, west = int(half // grid.core), int(-half // grid.core)
    tiles = [Tile(grid, 0, east, 3), Tile(grid, 0, west, 3), Tile(grid, 0, west + 3, 3)]
    moved = shapely.transform(shapely.box(*tiles[1].bounds), lambda xy: xy + [2 * half, 0])
    expected = shapely.box(*tiles[0].bounds).intersection(moved).area / 1000**2
    (pair,) = find_overlaps(tiles, ["train", "test", "val"])
    assert {pair.first, pair.second} == {tiles[0].key, tiles[1].key} and pair.between_zones
    assert pair.pixels == pytest.approx(expected, abs=0.01) and expected > 0
    assert min_distances(tiles, ["train", "test", "val"])["test", "train"] == 0


def test_distances_are_metres_where_the_unit_is_feet():
    grid = projected_grid("EPSG:2263", 64, 2, 10.0)
    distances = min_distances([Tile(grid, 0, 10, 10), Tile(grid, 0, 13, 10)], ["train", "test"])
    assert distances["test", "train"] == pytest.approx((3 * 600 - 640) * 1200 / 3937, abs=0.001)
