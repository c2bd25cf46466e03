"""Thinned geometries against GDAL's burning of whole ones."""

import numpy as np
import pytest
import shapely
from rasterio.features import shapes
from rasterio.transform import Affine

from segchips.grids.tile import Tile
from segchips.labels import thinning
from segchips.labels.thinning import thin_geometries
from support.datasets import tile_at
from support.label_features import TILE, UTM, burn_tile, rasterize_whole, read_features, reproject
from support.vectors import write_vectors


def spiky_polygon(rng, tile, vertices):
    """A polygon of many vertices, much larger than the tile, whose boundary crosses it often; some with holes."""
    west, south, east, north = tile.bounds
    x, y = rng.uniform((west, south), (east, north))
    span = east - west
    angles = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    reach = span * rng.uniform(0.05, rng.uniform(0.5, 4), vertices)
    outer = shapely.Polygon(np.column_stack([x + reach * np.cos(angles), y + reach * np.sin(angles)]))
    hole = shapely.Point(x + 7.7, y - 3.3).buffer(span * 0.03, quad_segs=80)
    return shapely.make_valid(outer.difference(hole), method="structure", keep_collapsed=False)


@pytest.mark.parametrize("all_touched", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_a_thinned_polygon_burns_as_a_whole_one(tmp_path, seed, all_touched):
    rng = np.random.default_rng(seed)
    polygons = [spiky_polygon(rng, TILE, int(vertices)) for vertices in rng.integers(260, 2500, 4)]
    values = [1, 2, 3, 4]
    path = write_vectors(tmp_path / "a.gpkg", polygons, UTM, number=values)
    features = read_features(path, attribute="number", all_touched=all_touched)
    for tile in (TILE, Tile(TILE.grid, 33, TILE.path + 1, TILE.row), Tile(TILE.grid, 33, TILE.path, TILE.row - 1)):
        np.testing.assert_array_equal(burn_tile(features, tile), rasterize_whole(polygons, values, tile, all_touched))


def traced_polygons(rng, step, share, tile=TILE, turned=0.0):
    """Polygons around the cells of a random grid: edges along the tile's pixel edges, or through its pixel centres."""
    west, _, _, north = tile.bounds
    count = int(800 / step)
    cells = (rng.random((count, count)) < share).astype("uint8") + 1
    origin = Affine.translation(west - 255, north + 255) @ Affine.rotation(turned) @ Affine.scale(step, -step)
    return [shapely.geometry.shape(shape) for shape, _ in shapes(cells, transform=origin)]


@pytest.mark.parametrize("all_touched", [True, False])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("step", [2.5, 10.0, 30.0])
def test_polygons_traced_from_pixels_burn_as_whole_ones(tmp_path, monkeypatch, step, all_touched, turned):
    """Where an edge runs through a pixel's centre, GDAL decides by its direction and its last digit."""
    monkeypatch.setattr(thinning, "MIN_VERTICES", 20)
    rng = np.random.default_rng(int(step * 10))
    polygons = traced_polygons(rng, step * 2**0.5 if turned else step, 0.56, turned=45.0 if turned else 0.0)
    seen = shapely.box(*TILE.bounds)
    large = [
        polygon
        for polygon in polygons
        if shapely.get_num_coordinates(polygon) > 20 and polygon.boundary.intersects(seen)
    ]
    pairs = [shapely.MultiPolygon(pair) for pair in zip(large, large[1:], strict=False)]
    some = [*large[:16], *[pair for pair in pairs if pair.is_valid][:8]]
    some += list(shapely.orient_polygons(some, exterior_cw=True)) + list(shapely.orient_polygons(some))
    path = write_vectors(tmp_path / "a.gpkg", some, UTM)
    features = read_features(path, all_touched=all_touched)
    assert len(features) == len(some)
    different = 0
    for number in features.intersecting([TILE])[0]:
        expected = rasterize_whole(some[number : number + 1], [1], TILE, all_touched)
        np.testing.assert_array_equal(features.burn(TILE, [number]), expected)
        different += 0 < (expected == 1).sum() < expected.size
    assert different >= 8


WINDING = """
    3.5 8.5, 3.5 6.5, 1.5 6.5, 1.5 2.5, -4.5 2.5, -4.5 4.5, -6.5 4.5, -6.5 2.5, -8.5 2.5, -8.5 0.5, -10.5 0.5,
    -10.5 -5.5, -8.5 -5.5, -8.5 -3.5, -6.5 -3.5, -6.5 -5.5, -4.5 -5.5, -4.5 0.5, 3.5 0.5, 3.5 -5.5, 1.5 -5.5,
    1.5 -1.5, -2.5 -1.5, -2.5 -5.5, -0.5 -5.5, -0.5 -7.5, 5.5 -7.5, 5.5 -1.5, 7.5 -1.5, 7.5 -3.5, 9.5 -3.5,
    9.5 -5.5, 11.5 -5.5, 11.5 -9.5, 9.5 -9.5, 9.5 -11.5, 13.5 -11.5, 13.5 -9.5, 15.5 -9.5, 15.5 -7.5, 17.5 -7.5,
    17.5 4.5, 15.5 4.5, 15.5 6.5, 7.5 6.5, 7.5 8.5, 3.5 8.5
"""


@pytest.mark.parametrize("clockwise", [True, False])
def test_a_ring_that_winds_off_the_tile_keeps_its_direction(tmp_path, monkeypatch, clockwise):
    """Without the corner from which GDAL derives it, the thinned ring would have the opposite direction."""
    monkeypatch.setattr(thinning, "MIN_VERTICES", 4)
    tile = tile_at(6, pad=0)
    west, south, _, _ = tile.bounds
    shape = shapely.transform(shapely.from_wkt(f"POLYGON (({WINDING}))"), lambda points: points * 10 + (west, south))
    shape = shapely.orient_polygons(shape, exterior_cw=clockwise)
    path = write_vectors(tmp_path / "a.gpkg", [shape], UTM)
    np.testing.assert_array_equal(
        burn_tile(read_features(path, all_touched=False), tile), rasterize_whole([shape], [1], tile, False)
    )


def test_a_large_polygon_around_or_beside_the_tile(tmp_path):
    west, south, east, north = TILE.bounds
    around = shapely.box(west - 5000, south - 5000, east + 5000, north + 5000).segmentize(20)
    ring = around.difference(shapely.box(west - 15, south - 15, east + 15, north + 15).segmentize(1))
    path = write_vectors(tmp_path / "a.gpkg", [around, ring], UTM, number=[1, 2])
    for all_touched in (True, False):
        pixels = burn_tile(read_features(path, attribute="number", all_touched=all_touched))
        assert (pixels == 1).all()


def test_only_polygons_of_collections_are_kept(monkeypatch):
    monkeypatch.setattr(thinning, "MIN_VERTICES", 4)
    west, south, east, north = TILE.bounds
    area = shapely.box(west + 30, south + 30, east - 30, north - 30)
    line = shapely.LineString([(west, south), (west + 5, north), (east, north)])
    mixed = np.array([shapely.GeometryCollection([line, area]), shapely.GeometryCollection()])
    thinned = thin_geometries(mixed, TILE)
    assert thinned[0].equals(area) and thinned[1].is_empty


def test_large_polygons_of_another_crs_burn_as_whole_ones(tmp_path):
    rng = np.random.default_rng(9)
    polygons = [spiky_polygon(rng, TILE, 900) for _ in range(5)]
    there = [reproject(polygon, UTM, "EPSG:4326") for polygon in polygons]
    path = write_vectors(tmp_path / "a.gpkg", there, "EPSG:4326", number=[1, 2, 3, 4, 5])
    back = [reproject(polygon, "EPSG:4326", UTM) for polygon in there]
    for all_touched in (True, False):
        features = read_features(path, attribute="number", all_touched=all_touched)
        pixels, expected = burn_tile(features), rasterize_whole(back, [1, 2, 3, 4, 5], TILE, all_touched)
        assert (pixels != expected).mean() < 0.002
