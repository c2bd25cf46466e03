"""The tiles that meet an area, against the client library's DLTile and against points projected by PROJ."""

import numpy as np
import pytest
import shapely
from earthdaily.earthone.core.common.dltile import Tile as ClientTile
from earthdaily.earthone.core.common.dltile.utils import utm_box_to_lonlat
from earthdaily.earthone.core.common.dltile.utm import utm_to_lonlat

from segchips.errors import ConfigError, InputError
from segchips.grids.cover import block_boxes, cover_area, zone_blocks
from segchips.grids.tile import POLE, Grid
from support.areas import GLOBE, GRID, blob, client_keys, points_in, tile_at


def core_quadrilateral(tile):
    client = ClientTile.from_key(tile.key)
    return utm_box_to_lonlat(client.utm_polygon_unpadded, client.zone)


def grid_for(rng, aoi, count):
    """A grid of odd numbers that cuts an area into about `count` tiles."""
    middle = np.radians(aoi.centroid.y)
    size, pad = int(rng.integers(20, 300)), int(rng.integers(0, 8))
    return Grid(size, pad, round(float(np.sqrt(aoi.area * 1.236e10 * np.cos(middle) / count)) / (size - 2 * pad), 6))


def assert_covers(tiles, aoi, grid, count=1000):
    """Each sampled point of the area lies in the core box of one of the tiles, and each tile's core meets the area."""
    indices = {(tile.zone, tile.path, tile.row) for tile in tiles}
    points = points_in(aoi, count)
    assert len(points) > 10
    assert [point for point in points if tile_at(grid, *point) not in indices] == []
    shapely.prepare(aoi)
    assert [tile.key for tile in tiles if not aoi.intersects(core_quadrilateral(tile))] == []


def area_centres():
    """Middle and radius of areas in both hemispheres, inside zones and across their borders."""
    rng = np.random.default_rng(11)
    for index in range(60):
        lon = rng.uniform(-174, 174) if index % 2 else 6 * rng.integers(-28, 29) + rng.normal() * 0.05
        yield index, float(lon), rng.uniform(-78, 78), 10 ** rng.uniform(-2, -0.1)


@pytest.mark.parametrize(("seed", "lon", "lat", "radius"), list(area_centres()))
def test_the_tiles_are_those_of_dltile(seed, lon, lat, radius):
    rng = np.random.default_rng(seed)
    aoi = blob(rng, lon, lat, radius)
    grid = grid_for(rng, aoi, rng.uniform(5, 200))
    keys = [tile.key for tile in cover_area(aoi, grid)]
    assert len(keys) == len(set(keys))
    assert set(keys) == set(client_keys(aoi, grid))


@pytest.mark.parametrize("side", [-180, 180])
def test_the_tiles_beside_the_antimeridian_are_those_of_dltile(side):
    half = shapely.box(-180, -90, 0, 90) if side < 0 else shapely.box(0, -90, 180, 90)
    for seed, lat in enumerate((-65, -20, 3, 70)):
        rng = np.random.default_rng(seed)
        aoi = blob(rng, side, lat, 0.3).intersection(half)
        grid = grid_for(rng, aoi, 80)
        assert {tile.key for tile in cover_area(aoi, grid)} == set(client_keys(aoi, grid))


def test_the_tiles_of_a_multipolygon_with_holes_are_those_of_dltile():
    rng = np.random.default_rng(4)
    shells = shapely.union_all([blob(rng, lon, 45, 0.1) for lon in (11.6, 11.75, 12.05, 12.15)])
    holes = shapely.union_all([blob(rng, *point, 0.015) for point in points_in(shells, 60)])
    aoi = shells.difference(holes)
    assert aoi.geom_type == "MultiPolygon" and any(len(part.interiors) for part in aoi.geoms)
    assert {tile.key for tile in cover_area(aoi, GRID)} == set(client_keys(aoi, GRID))


def test_tiles_come_by_zone_then_north_to_south_then_west_to_east():
    tiles = cover_area(shapely.box(11.95, -0.05, 12.05, 0.05), GRID)
    order = [(tile.zone, -tile.row, tile.path) for tile in tiles]
    assert order == sorted(order) and {tile.zone for tile in tiles} == {32, 33}


def test_each_tile_meets_the_area_and_each_point_of_the_area_has_a_tile():
    for seed, (lon, lat) in enumerate([(14.5, 46), (-70, -33), (18, 60), (-0.01, 0.01)]):
        aoi = blob(np.random.default_rng(seed), lon, lat, 0.1)
        assert_covers(cover_area(aoi, GRID), aoi, GRID)


def test_a_long_strip_with_few_vertices_loses_no_tile():
    strip = shapely.box(0, 60, 6, 60.02)
    tiles = cover_area(strip, Grid(132, 2, 10))
    assert_covers(tiles, strip, Grid(132, 2, 10))
    assert {tile.key for tile in tiles} >= set(client_keys(strip, Grid(132, 2, 10)))


def test_an_edge_on_a_zone_border_has_tiles_on_its_own_side_alone():
    aoi = shapely.union(shapely.box(12, 45, 12.1, 45.1), shapely.box(11.9, 45.1, 12, 45.2))
    alone = shapely.box(12, 45, 12.1, 45.1)
    assert {tile.zone for tile in cover_area(alone, GRID)} == {33}
    assert_covers(cover_area(alone, GRID), alone, GRID)
    assert_covers(cover_area(aoi, GRID), aoi, GRID)


def test_an_edge_that_runs_along_a_zone_border_and_leaves_it():
    aoi = shapely.Polygon([(11.9, 45), (12, 45), (12, 45.1), (12.1, 45.1), (12.1, 45.2), (11.9, 45.2)])
    tiles = cover_area(aoi, GRID)
    assert_covers(tiles, aoi, GRID)
    assert {tile.zone for tile in tiles} == {32, 33}


def test_a_bow_tie_has_the_tiles_of_its_two_triangles():
    bow = shapely.Polygon([(14, 46), (14.1, 46.1), (14.1, 46), (14, 46.1)])
    triangles = shapely.union(
        shapely.Polygon([(14, 46), (14.05, 46.05), (14, 46.1)]),
        shapely.Polygon([(14.1, 46), (14.05, 46.05), (14.1, 46.1)]),
    )
    assert {tile.key for tile in cover_area(bow, GRID)} == set(client_keys(triangles, GRID))


@pytest.mark.parametrize(
    "wkt", ["POLYGON EMPTY", "POINT (14 46)", "LINESTRING (14 46, 15 46)", "POLYGON ((0 0, 1 0, 0 0))"]
)
def test_an_area_without_extent_is_refused(wkt):
    with pytest.raises(InputError, match="area of interest is empty"):
        cover_area(shapely.from_wkt(wkt), GRID)


def test_an_area_beyond_the_poles_is_refused():
    with pytest.raises(InputError, match="area of interest is empty"):
        cover_area(shapely.box(0, 91, 1, 92), GRID)


def test_points_and_lines_beside_polygons_and_empty_polygons_do_not_matter():
    square = shapely.box(14, 46, 14.02, 46.02)
    mixed = [shapely.Point(1, 1), shapely.LineString([(0, 0), (9, 9)]), shapely.Polygon(), None, square]
    assert cover_area(np.array(mixed), GRID) == cover_area(square, GRID)
    assert cover_area(shapely.GeometryCollection(mixed[:3] + [square]), GRID) == cover_area(square, GRID)


@pytest.mark.parametrize("turn", [-360, 360, 720])
def test_longitudes_go_round(turn):
    square = shapely.box(-150.03, 20, -150, 20.02)
    turned = shapely.transform(square, lambda lonlat: lonlat + [turn, 0])
    assert {t.key for t in cover_area(turned, GRID)} == {t.key for t in cover_area(square, GRID)}


@pytest.mark.parametrize("west", [179.9, -180.1])
def test_an_area_across_the_antimeridian_has_tiles_on_both_sides(west):
    tiles = cover_area(shapely.box(west, -17, west + 0.2, -16.9), GRID)
    for side in (shapely.box(179.9, -17, 180, -16.9), shapely.box(-180, -17, -179.9, -16.9)):
        zone = 60 if side.bounds[0] > 0 else 1
        assert {tile.key for tile in tiles if tile.zone == zone} == set(client_keys(side, GRID))
    assert {tile.zone for tile in tiles} == {1, 60}


@pytest.mark.parametrize("lat", [89.5, -89.5])
def test_areas_at_the_poles_have_tiles(lat):
    aoi = shapely.box(-180, min(lat, lat * 2), 180, max(lat, lat * 2)).intersection(GLOBE)
    grid = Grid(64, 0, 100)
    tiles = cover_area(aoi, grid)
    indices = {(tile.zone, tile.path, tile.row) for tile in tiles}
    assert [p for p in points_in(aoi, 2000) if tile_at(grid, *p) not in indices] == []
    assert {tile.zone for tile in tiles} == set(range(1, 61))
    assert all(tile.core_bounds[1] < POLE and tile.core_bounds[3] > -POLE for tile in tiles)


def test_the_whole_globe_in_tiles_larger_than_a_block():
    grid = Grid(2000, 0, 100)
    indices = {(tile.zone, tile.path, tile.row) for tile in cover_area(GLOBE, grid)}
    points = points_in(shapely.box(-180, -80, 180, 80), 2000)
    assert sum(tile_at(grid, *point) not in indices for point in points) == 0


def test_overlapping_parts_have_the_tiles_of_their_union():
    rng = np.random.default_rng(5)
    parts = np.array([blob(rng, *middle, 0.05) for middle in rng.normal([12, 45], 0.05, (30, 2))])
    assert {tile.key for tile in cover_area(parts, GRID)} == set(client_keys(shapely.union_all(parts), GRID))


def test_a_resolution_that_no_key_can_hold_is_refused():
    with pytest.raises(ConfigError, match="six decimals"):
        cover_area(shapely.box(14, 46, 14.1, 46.1), Grid(64, 2, 1 / 3))


@pytest.mark.parametrize(("lat", "size"), [(2, 100_000), (-50, 40_000), (84, 60_000)])
def test_a_blocks_box_holds_all_of_the_block(lat, size):
    blocks = zone_blocks(size)
    blocks = blocks[np.abs(blocks[:, 1] * size / 111_000 - lat) < 5]
    boxes = block_boxes(blocks, 33, 8, Grid(1, 0, size / 8))
    inner = np.random.default_rng(0).uniform(0, 1, (200, 2))
    for block, box in zip(blocks, boxes, strict=True):
        utm = (block + inner) * size + [500_000, 0]
        lon, lat = utm_to_lonlat(utm, 33).T
        assert shapely.covers(box, shapely.points(lon, lat)).all()
