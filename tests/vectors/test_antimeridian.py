"""Layers across the antimeridian and around the poles, against points projected by PROJ."""

import numpy as np
import pyproj
import pytest
import shapely

from segchips.errors import InputError
from segchips.grids.cover import cover_area
from segchips.vectors.antimeridian import to_lonlat_geometries
from segchips.vectors.layers import read_layer
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
    layer = read_layer(
        write_vectors(tmp_path / "utm.gpkg", [shapely.box(500_000, 5_100_000, 501_000, 5_101_000)], "EPSG:4326")
    )
    with pytest.raises(InputError, match="layer 'utm' .*longitudes from 500000 to 501000: WGS 84 cannot be its CRS"):
        to_lonlat_geometries(layer)


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
