"""Overlaps and distances against every pair of footprints, intersected and measured in one plane."""

from itertools import combinations

import numpy as np
import pyproj
import pytest
import shapely

from segchips.grids.cover import cover_area
from segchips.grids.tile import Grid, Tile
from segchips.reports.overlaps import find_overlaps, min_distances

GRID = Grid(64, 2, 10)
AREAS = {
    "within a zone": shapely.box(14.2, 46.0, 14.24, 46.03),
    "two zones": shapely.box(11.98, 47.0, 12.02, 47.03),
    "two zones, south": shapely.box(17.98, -33.02, 18.02, -33.0),
    "antimeridian": shapely.box(-180, 64.99, -179.97, 65.01).union(shapely.box(179.97, 64.99, 180, 65.01)),
}


def footprints_in_zone(tiles, zone):
    """Padded footprints in the CRS of one zone, edges followed closely."""
    shapes = []
    for tile in tiles:
        project = pyproj.Transformer.from_crs(tile.crs, f"EPSG:{32600 + zone}", always_xy=True).transform
        shapes.append(shapely.transform(shapely.segmentize(shapely.box(*tile.bounds), 5), project, interleaved=False))
    return shapes


def compare_all_pairs(tiles, splits):
    """Shared pixels of each pair and least distances, pair by pair; across zones measured in the lower one."""
    shared, apart = {}, {}
    planes = {zone: footprints_in_zone(tiles, zone) for zone in {tile.zone for tile in tiles}}
    for one, other in combinations(range(len(tiles)), 2):
        if splits[one] != splits[other]:
            plane = planes[min(tiles[one].zone, tiles[other].zone)]
            area, distance = plane[one].intersection(plane[other]).area, plane[one].distance(plane[other])
            if area > 0.1:
                shared[frozenset((tiles[one].key, tiles[other].key))] = area / 100
            pair = tuple(sorted((splits[one], splits[other])))
            apart[pair] = min(apart.get(pair, np.inf), distance)
    return shared, apart


@pytest.mark.parametrize("name", AREAS)
def test_every_overlap_and_every_least_distance(name):
    tiles = cover_area(AREAS[name], GRID)
    assert len({tile.zone for tile in tiles}) == (1 if name == "within a zone" else 2)
    rng = np.random.default_rng(5)
    for shares in ([0.4, 0.3, 0.3], [0.05, 0.05, 0.9]):
        splits = rng.choice(["train", "val", "test"], len(tiles), p=shares).tolist()
        expected, distances = compare_all_pairs(tiles, splits)
        overlaps = {frozenset((pair.first, pair.second)): pair for pair in find_overlaps(tiles, splits)}
        assert overlaps.keys() == expected.keys() and overlaps
        for key, pair in overlaps.items():
            assert pair.pixels == pytest.approx(expected[key], rel=1e-3, abs=0.05)
            assert pair.between_zones == (len({Tile.from_key(member).zone for member in key}) == 2)
            if not pair.between_zones:
                assert pair.pixels == expected[key]
        assert min_distances(tiles, splits) == pytest.approx(distances, abs=0.5)


def test_tiles_apart_do_not_overlap_and_have_a_distance():
    tiles = [Tile(GRID, 33, 0, 8500), Tile(GRID, 33, 5, 8500), Tile(GRID, 33, 5, 8509)]
    assert find_overlaps(tiles, ["train", "val", "test"]) == []
    assert min_distances(tiles, ["train", "val", "test"]) == {
        ("train", "val"): 4 * 600 - 40,
        ("test", "val"): 8 * 600 - 40,
        ("test", "train"): round(np.hypot(4 * 600 - 40, 8 * 600 - 40), 3),
    }


def test_distance_between_far_zones_is_that_of_centres():
    tiles = [Tile(GRID, 20, 0, 8500), Tile(GRID, 33, 0, 8500)]
    (distance,) = min_distances(tiles, ["train", "val"]).values()
    ends = [pyproj.Transformer.from_crs(tile.crs, 4326, always_xy=True).transform(500_300, 5_100_300) for tile in tiles]
    assert distance == pytest.approx(pyproj.Geod(ellps="WGS84").inv(*ends[0], *ends[1])[2], rel=1e-6)


def test_adjacent_tiles_without_padding_do_not_overlap():
    grid = Grid(60, 0, 10)
    tiles = [Tile(grid, 33, path, row) for path in range(4) for row in range(4)]
    assert find_overlaps(tiles, ["train", "val"] * 8) == []
    assert min_distances(tiles, ["train", "val"] * 8) == {("train", "val"): 0}


@pytest.mark.parametrize("step", [1, 7, 60, 90])
def test_tiles_that_begin_at_any_pixel_are_compared_with_all_others(step):
    rng = np.random.default_rng(step)
    places = np.unique(rng.integers(-400 // step, 400 // step, (60, 2)), axis=0).tolist()
    tiles = [Tile(Grid(64, 2, 10, step), 33, *place) for place in places]
    splits = rng.choice(["train", "val"], len(tiles)).tolist()
    expected, distances = compare_all_pairs(tiles, splits)
    overlaps = {frozenset((pair.first, pair.second)): pair.pixels for pair in find_overlaps(tiles, splits)}
    assert overlaps == expected and (expected or step > 64)
    assert min_distances(tiles, splits) == pytest.approx(distances)
    known = find_overlaps(tiles, splits).by_splits()
    assert min_distances(tiles, splits, known) == min_distances(tiles, splits)
