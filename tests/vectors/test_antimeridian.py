"""Layers across the antimeridian and around the poles, against points projected by PROJ."""

import numpy as np
import pyproj
import pytest
import shapely

from segchips.errors import InputError
from segchips.grids.cover import cover_area
from segchips.vectors.antimeridian import to_lonlat_geometries
from segchips.vectors.layers import ReadOptions, read_layer
from support.areas import GRID, tile_at
from support.vectors import write_vectors


def test_a_projected_layer_across_the_antimeridian_stays_small(tmp_path):
    square = shapely.box(500_000 - 30_000, -2_000_000, 500_000 + 30_000, -1_970_000)
    pacific = pyproj.CRS("+proj=tmerc +lon_0=180 +k=0.9996 +x_0=500000 +datum=WGS84 +units=m")
    layer = read_layer(write_vectors(tmp_path / "fiji.gpkg", [square], pacific.to_wkt()))
    tiles = cover_area(to_lonlat_geometries(layer), GRID)
    assert {tile.zone for tile in tiles} == {1, 60}
    assert len(tiles) == pytest.approx(60_000 * 30_000 / GRID.core**2, rel=0.1)
    indices = {(tile.zone, tile.path, tile.row) for tile in tiles}
    inner = np.random.default_rng(1).uniform([470_001, -1_999_999], [529_999, -1_970_001], (1000, 2))
    lonlats = np.column_stack(pyproj.Transformer.from_crs(pacific, 4326, always_xy=True).transform(*inner.T))
    assert [point for point in lonlats if tile_at(GRID, *point) not in indices] == []


def test_metres_taken_for_degrees_name_the_layer(tmp_path):
    square = shapely.box(500_000, 5_100_000, 501_000, 5_101_000)
    path = write_vectors(tmp_path / "utm.gpkg", [square], "EPSG:4326")
    with pytest.raises(InputError, match="layer 'utm' .*longitudes from 500000 to 501000: WGS 84 cannot be its CRS"):
        read_layer(path)
    assert read_layer(path, options=ReadOptions(crs="EPSG:32633")).crs == pyproj.CRS(32633)


FIJI = {
    "split": [shapely.MultiPolygon([shapely.box(179.9, -17.1, 180, -17), shapely.box(-180, -17.1, -179.8, -17)])],
    "beyond 180": [shapely.box(179.9, -17.1, 180.2, -17)],
    "below -180": [shapely.box(-180.1, -17.1, -179.8, -17)],
    "jump": [shapely.Polygon([(179.9, -17.1), (-179.8, -17.1), (-179.8, -17), (179.9, -17)])],
    "jump through 180": [
        shapely.Polygon([(179.9, -17.1), (180, -17.1), (-180, -17.1), (-179.8, -17.1), (-179.8, -17), (179.9, -17)])
    ],
    "0 to 360": [shapely.box(179.9, -17.1, 180.2, -17), shapely.box(359.9, -17.1, 360, -17)],
}


@pytest.mark.parametrize("form", FIJI)
def test_every_way_to_write_a_square_across_the_antimeridian_gives_the_same(tmp_path, form):
    layer = read_layer(write_vectors(tmp_path / "fiji.gpkg", FIJI[form], "EPSG:4326"))
    area = to_lonlat_geometries(layer)[0]
    assert shapely.equals_exact(shapely.normalize(area), shapely.normalize(FIJI["split"][0]), 1e-9)
    assert layer.unwrapped == form.startswith("jump") == ("short way" in "".join(layer.notes()))


@pytest.mark.parametrize("east", [180, 179.999])
def test_only_a_polygon_from_edge_to_edge_spans_the_globe(tmp_path, east):
    layer = read_layer(write_vectors(tmp_path / "world.gpkg", [shapely.box(-east, -60, east, 70)], "EPSG:4326"))
    expected = 360 * 130 if east == 180 else 0.002 * 130
    assert layer.geometries[0].area == pytest.approx(expected) and layer.unwrapped == (east != 180)


def test_lines_and_points_are_wrapped(tmp_path):
    line, point = shapely.LineString([(179.5, 0), (-179, 0)]), shapely.Point(359, 1)
    layer = read_layer(
        write_vectors(tmp_path / "mixed.gpkg", [line, point], "EPSG:4326"), options=ReadOptions(only_polygons=False)
    )
    assert layer.geometries[0].length == pytest.approx(1.5) and layer.geometries[1].x == -1


@pytest.mark.parametrize(("crs", "sign"), [(3413, 1), (3031, -1)])
def test_a_projected_layer_around_a_pole_keeps_its_hole(tmp_path, crs, sign):
    ring = shapely.Point(0, 0).buffer(900_000).difference(shapely.Point(0, 0).buffer(300_000))
    aside = shapely.box(-700_000, 1_000_000, -500_000, 1_100_000)
    layer = read_layer(write_vectors(tmp_path / "pole.gpkg", [ring, aside], f"EPSG:{crs}"))
    area = shapely.union_all(to_lonlat_geometries(layer))
    to_crs = pyproj.Transformer.from_crs(4326, crs, always_xy=True)
    rng = np.random.default_rng(9)
    points = np.column_stack([rng.uniform(-180, 180, 4000), sign * rng.uniform(78, 90, 4000)])
    placed = shapely.points(np.column_stack(to_crs.transform(*points.T)))
    truth = shapely.union(ring, aside)
    clear = shapely.distance(truth.boundary, placed) > 100
    inside = shapely.intersects_xy(area, *points.T) | shapely.intersects_xy(area, points[:, 0] + 360, points[:, 1])
    assert (inside == shapely.contains(truth, placed))[clear].all() and 500 < inside.sum() < 3500


def test_latitudes_beyond_the_poles_are_taken_for_swapped_axes(tmp_path):
    path = write_vectors(tmp_path / "sydney.gpkg", [shapely.box(-34, 151, -33.9, 151.1)], "EPSG:4326")
    with pytest.raises(InputError, match="layer 'sydney' .*latitudes from 151 to 151.1: its axes seem to be swapped"):
        read_layer(path)


ACROSS = [(179.997, -16.998), (-179.998, -16.998)]


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:4269", "EPSG:3857", "EPSG:32660", "EPSG:32701", "EPSG:3460"])
def test_areas_around_lines_and_points_across_the_antimeridian(tmp_path, crs):
    project = pyproj.Transformer.from_crs(4326, crs, always_xy=True).transform
    point, halves = (
        shapely.Point(project(179.9995, -17.002)),
        [(ACROSS[0], (180, -16.998)), ((-180, -16.998), ACROSS[1])],
    )
    lines = [shapely.LineString([project(*place) for place in half]) for half in halves]
    path = write_vectors(tmp_path / "roads.gpkg", [point, *lines], crs)
    areas = to_lonlat_geometries(read_layer(path, options=ReadOptions(buffer=100, only_polygons=False)))
    places = np.random.default_rng(2).uniform([179.995, -17.004], [180.005, -16.996], (2000, 2))
    metres = 111_320 * np.cos(np.deg2rad(17)), 110_650
    off_point = np.hypot((places[:, 0] - 179.9995) * metres[0], (places[:, 1] + 17.002) * metres[1])
    beside = np.maximum(np.maximum(179.997 - places[:, 0], places[:, 0] - 180.002), 0)
    off_line = np.hypot(beside * metres[0], (places[:, 1] + 16.998) * metres[1])
    distance = np.minimum(off_point, off_line)
    places[:, 0] = (places[:, 0] + 180) % 360 - 180
    inside = shapely.intersects_xy(shapely.union_all(areas), *places.T)
    sure = np.abs(distance - 100) > 2
    assert (inside == (distance < 100))[sure].all() and inside.any()


def test_web_mercator_beyond_180_degrees_lies_where_it_is_on_the_ground(tmp_path):
    half_turn = np.pi * 6_378_137
    path = write_vectors(
        tmp_path / "a.gpkg", [shapely.box(half_turn - 500, -2e6, half_turn + 700, -1.999e6)], "EPSG:3857"
    )
    (area,) = read_layer(path).geometries
    expected = [
        shapely.box(half_turn - 500, -2e6, half_turn, -1.999e6),
        shapely.box(-half_turn, -2e6, 700 - half_turn, -1.999e6),
    ]
    assert area.symmetric_difference(shapely.union_all(expected)).area < 1
