"""Features against points in polygons: which value each pixel gets, and which tiles a feature intersects."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyproj
import pytest
import shapely

from segchips.errors import InputError
from segchips.grids.tile import Tile
from support.datasets import tile_at
from support.label_features import (
    TILE,
    UTM,
    burn_tile,
    cached_projection,
    read_features,
    reproject,
    star_polygons,
    tiles_of_two_zones,
    values_by_centre,
)
from support.vectors import write_vectors


@pytest.mark.parametrize("background", [255, 0, 7])
def test_the_last_feature_over_a_centre_wins(tmp_path, background):
    rng = np.random.default_rng(1)
    polygons = star_polygons(rng, TILE, 25)
    holes = shapely.box(*TILE.bounds).buffer(-30).difference(shapely.box(*TILE.core_bounds).buffer(-80))
    polygons.insert(3, holes)
    values = [value for value in rng.permutation(250).tolist() if value not in (background, 0)][: len(polygons)]
    path = write_vectors(tmp_path / "a.gpkg", polygons, UTM, number=values)
    pixels = burn_tile(read_features(path, background, all_touched=False, attribute="number"))
    expected, sure = values_by_centre(TILE, [(polygons, values, UTM)], background)
    assert pixels.dtype == np.uint8 and sure.all()
    np.testing.assert_array_equal(pixels, expected)
    assert len(np.unique(pixels)) > 8 and background in pixels


def test_all_touched_burns_every_pixel_a_feature_overlaps(tmp_path):
    polygons = star_polygons(np.random.default_rng(2), TILE, 6, radius=60)
    values = list(range(1, len(polygons) + 1))
    path = write_vectors(tmp_path / "a.gpkg", polygons, UTM, number=values)
    pixels = burn_tile(read_features(path, attribute="number"))
    west, step, _, north, _, _ = TILE.geotransform
    for row, column in np.ndindex(pixels.shape):
        box = shapely.box(
            west + column * step, north - (row + 1) * step, west + (column + 1) * step, north - row * step
        )
        over = [value for polygon, value in zip(polygons, values, strict=True) if polygon.intersection(box).area > 1e-9]
        assert pixels[row, column] == (over[-1] if over else 255)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3035", "EPSG:32632", "EPSG:3857", "EPSG:32733"])
@pytest.mark.parametrize("key", [TILE.key, "28:2:10.0:32:-290:18300"])
def test_layers_in_other_crss_lie_where_they_are_on_the_ground(tmp_path, crs, key):
    tile = Tile.from_key(key)
    polygons = [reproject(polygon, tile.crs, crs) for polygon in star_polygons(np.random.default_rng(3), tile, 12)]
    values = list(range(1, 13))
    path = write_vectors(tmp_path / "a.gpkg", polygons, crs, number=values)
    pixels = burn_tile(read_features(path, all_touched=False, attribute="number"), tile)
    # edges are straight in the layer's CRS; a long one is followed to a few centimetres
    expected, sure = values_by_centre(tile, [(polygons, values, crs)], 255, 2e-6 if crs == "EPSG:4326" else 0.1)
    assert sure.mean() > 0.97 and len(np.unique(pixels)) > 4
    np.testing.assert_array_equal(pixels[sure], expected[sure])


def test_several_layers_burn_in_their_order_whatever_their_files_and_crss(tmp_path):
    rng = np.random.default_rng(4)
    first, second, third = (star_polygons(rng, TILE, 5) for _ in range(3))
    second = [reproject(polygon, UTM, "EPSG:4326") for polygon in second]
    one = write_vectors(tmp_path / "one.gpkg", first, UTM, layer="fields", kind=["a", "b", "a", "c", "b"])
    write_vectors(tmp_path / "one.gpkg", third, UTM, layer="roads", kind=["x"] * 5)
    two = write_vectors(tmp_path / "two.geojson", second, "EPSG:4326", number=[10, 11, 12, 13, 14])
    classes = {"a": 1, "b": None, "c": 3}
    features = read_features(
        one,
        all_touched=False,
        layers=[
            {"layer": "fields", "attribute": "kind", "classes": classes},
            {"path": two, "attribute": "number"},
            {"layer": "roads", "value": 99},
        ],
    )
    burned = [(polygon, value) for polygon, value in zip(first, (1, None, 1, 3, None), strict=True) if value]
    assert len(features) == len(burned) + 10
    layers = [
        ([polygon for polygon, _ in burned], [value for _, value in burned], UTM),
        (second, [10, 11, 12, 13, 14], "EPSG:4326"),
        (third, [99] * 5, UTM),
    ]
    expected, sure = values_by_centre(TILE, layers, 255, 1e-7)
    assert sure.mean() > 0.99
    np.testing.assert_array_equal(burn_tile(features)[sure], expected[sure])


@pytest.mark.parametrize("suffix", ["gpkg", "shp", "geojson"])
def test_overlapping_features_burn_in_the_files_order(tmp_path, suffix):
    boxes = [shapely.box(*TILE.bounds).buffer(-10 * number) for number in (3, 0, 5, 1)]
    crs = UTM
    if suffix == "geojson":
        boxes, crs = [reproject(box, UTM, "EPSG:4326") for box in boxes], "EPSG:4326"
    path = write_vectors(tmp_path / f"a.{suffix}", boxes, crs, number=[1, 2, 3, 4])
    pixels = burn_tile(read_features(path, attribute="number", all_touched=False))
    assert pixels[0, 16] == 2 and pixels[16, 16] == 4 and set(np.unique(pixels)) == {2, 4}


def test_without_attribute_the_value_is_1_or_as_configured(tmp_path):
    path = write_vectors(tmp_path / "a.gpkg", [shapely.box(*TILE.core_bounds)], UTM, name=["x"])
    for value in (1, 200):
        pixels = burn_tile(read_features(path, all_touched=False, **({} if value == 1 else {"value": value})))
        expected = np.full((32, 32), 255)
        expected[2:30, 2:30] = value
        np.testing.assert_array_equal(pixels, expected)


def test_features_that_reach_into_the_padding_alone_are_burned(tmp_path):
    west, south, east, north = TILE.bounds
    corner = shapely.box(west - 100, north - 13, west + 13, north + 100)
    path = write_vectors(tmp_path / "a.gpkg", [corner], UTM)
    for all_touched, reach in ((False, 1), (True, 2)):
        expected = np.full((32, 32), 255)
        expected[:reach, :reach] = 1
        np.testing.assert_array_equal(burn_tile(read_features(path, all_touched=all_touched)), expected)


def test_tiles_without_features_are_background(tmp_path):
    path = write_vectors(tmp_path / "a.gpkg", [shapely.box(0, 0, 1, 1)], UTM)
    assert (burn_tile(read_features(path, 42)) == 42).all()


def test_invalid_polygons_are_repaired_and_noted(tmp_path):
    west, south, east, north = TILE.bounds
    bow = shapely.Polygon([(west, south), (east, north), (east, south), (west, north)])
    flat = shapely.Polygon([(west, south), (east, north), (east, north)])
    path = write_vectors(tmp_path / "a.gpkg", [bow, flat, None, None], UTM, number=[5, 6, 7, 8])
    features = read_features(path, attribute="number", all_touched=False)
    assert len(features) == 1 and len(features.notes) == 1
    left_out = "1 features without polygon left out, 2 features without geometry left out"
    assert f"1 invalid polygons repaired, {left_out}" in features.notes[0]
    pixels = burn_tile(features)
    # of the bow-tie's four triangles, two are inside
    assert pixels[16, 2] == pixels[16, 29] == 5 and pixels[2, 16] == pixels[29, 16] == 255


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32632", "EPSG:3035"])
def test_intersecting_features_equal_those_of_every_pair_compared(tmp_path, crs):
    tiles = tiles_of_two_zones()
    rng = np.random.default_rng(6)
    polygons = [
        reproject(polygon, tile.crs, crs) for tile in tiles[::4] for polygon in star_polygons(rng, tile, 4, radius=200)
    ]
    path = write_vectors(tmp_path / "a.gpkg", polygons, crs)
    numbers_by_tile = read_features(path).intersecting(tiles)
    for tile, numbers in zip(tiles, numbers_by_tile, strict=True):
        assert numbers == sorted(numbers)
        box = shapely.box(*tile.bounds)
        dense = shapely.segmentize(np.array(polygons), 1e-4 if crs == "EPSG:4326" else 10)
        there = [reproject(polygon, crs, tile.crs) for polygon in dense]
        distance = [box.distance(polygon) - (box.intersection(polygon).area > 1) for polygon in there]
        # within a millimetre of the edge either answer is right
        assert (
            {n for n, gap in enumerate(distance) if gap < 0}
            <= set(numbers)
            <= {n for n, gap in enumerate(distance) if gap < 1e-3}
        )
    assert any(numbers_by_tile) and {
        tile.zone for tile, numbers in zip(tiles, numbers_by_tile, strict=True) if numbers
    } == {32, 33}


def test_tiles_far_from_all_features_have_none(tmp_path):
    path = write_vectors(tmp_path / "a.gpkg", [shapely.box(10, 10, 11, 11)], "EPSG:4326")
    assert read_features(path).intersecting([TILE]) == [[]] and read_features(path).intersecting([]) == []


def test_threads_burn_the_same(tmp_path):
    tiles = tiles_of_two_zones()
    rng = np.random.default_rng(6)
    polygons = [
        reproject(polygon, tile.crs, "EPSG:4326")
        for tile in tiles
        for polygon in star_polygons(rng, tile, 3, vertices=400)
    ]
    path = write_vectors(tmp_path / "a.gpkg", polygons, "EPSG:4326", number=[1 + n % 200 for n in range(len(polygons))])
    alone = read_features(path, attribute="number")
    expected = [burn_tile(alone, tile) for tile in tiles]
    shared = read_features(path, attribute="number")
    with ThreadPoolExecutor(4) as pool:
        for pixels, right in zip(pool.map(lambda tile: burn_tile(shared, tile), tiles), expected, strict=True):
            np.testing.assert_array_equal(pixels, right)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
def test_a_feature_that_spans_the_globe_is_burned_where_the_tile_is(tmp_path, crs):
    tile = tile_at(size=32, zone=33)
    middle, south = reproject(shapely.box(*tile.bounds).centroid, tile.crs, "EPSG:4326").coords[0]
    east = shapely.segmentize(shapely.box(middle, south - 20, 179, south + 20), 1)
    world = reproject(shapely.segmentize(shapely.box(-179.9, -84, 179.9, 84), 1), "EPSG:4326", crs)
    path = write_vectors(tmp_path / "a.gpkg", [world, reproject(east, "EPSG:4326", crs)], crs, number=[1, 2])
    pixels = burn_tile(read_features(path, attribute="number", all_touched=False), tile)
    west, step, _, north, _, _ = tile.geotransform
    for row, column in np.ndindex(pixels.shape):
        centre = shapely.Point(west + (column + 0.5) * step, north - (row + 0.5) * step)
        lon = reproject(centre, tile.crs, "EPSG:4326").x
        if abs(lon - middle) > 1e-7:
            assert pixels[row, column] == (2 if lon > middle else 1)


def touching(tile, geometry):
    """Pixels that a geometry runs through, by their boxes: sure where it does more than touch their boundary."""
    west, step, _, north, _, _ = tile.geotransform
    rows, columns = np.indices((tile.grid.size, tile.grid.size))
    x, y = west + columns * step, north - rows * step
    inside = shapely.intersects(shapely.box(x + 1e-6, y - step + 1e-6, x + step - 1e-6, y - 1e-6), geometry)
    near = shapely.intersects(shapely.box(x - 1e-6, y - step - 1e-6, x + step + 1e-6, y + 1e-6), geometry)
    return inside, inside == near


@pytest.mark.parametrize("crs", [UTM, "EPSG:4326"])
def test_lines_burn_every_pixel_that_they_touch_and_points_their_own(tmp_path, crs):
    rng, (west, south, east, north) = np.random.default_rng(8), TILE.bounds
    shapes = [shapely.LineString(rng.uniform((west, south), (east, north), (4, 2))) for _ in range(3)]
    shapes += [shapely.Point(*rng.uniform((west, south), (east, north))) for _ in range(5)]
    shapes.insert(2, shapely.box(west + 51, south + 52, west + 153, south + 154))
    path = write_vectors(tmp_path / "a.gpkg", [reproject(s, UTM, crs) for s in shapes], crs, number=list(range(1, 10)))
    features = read_features(path, attribute="number", all_touched=False)
    expected, sure = values_by_centre(TILE, [([shapes[2]], [3], UTM)], 255)
    for number, shape in enumerate(shapes, 1):
        if number != 3:
            inside, certain = touching(TILE, shape)
            expected[inside & ((expected == 255) | (expected < number))] = number
            sure &= certain
    pixels = burn_tile(features)
    assert sure.mean() > 0.95 and len(np.unique(pixels)) == 10
    np.testing.assert_array_equal(pixels[sure], expected[sure])
    assert "mixes 1 polygons, 3 lines, 5 points" in " ".join(features.notes)
    (note,) = read_features(path, buffer=20).notes
    assert note.endswith("mixes 1 polygons, 3 lines, 5 points; all are burned, lines and points with their buffer")


def test_a_buffer_that_has_no_effect_is_said(tmp_path):
    path = write_vectors(tmp_path / "a.gpkg", [shapely.box(*TILE.bounds)], UTM)
    (note,) = read_features(path, buffer=20).notes
    assert note.endswith("has only polygons, and labels.buffer is for lines and points; remove the key")
    assert read_features(path).notes == []


@pytest.mark.parametrize("crs", [UTM, "EPSG:4326", "EPSG:3857", "EPSG:3035"])
@pytest.mark.parametrize("buffer", [47.5, "reach"])
def test_buffers_are_metres_on_the_ground(tmp_path, crs, buffer):
    tile, rng = tile_at(32, zone=33, east=340), np.random.default_rng(9)
    west, south, east, north = tile.bounds
    points = rng.uniform((west, south), (east, north), (3, 2))
    line = shapely.LineString([(west - 40_000, south + 30), (west + 100, south + 160), (west + 100, north + 90_000)])
    shapes = [*shapely.points(points), line]
    reach = [47.5] * 4 if buffer == 47.5 else [20.0, 35.5, 60.25, 15.0]
    there = [reproject(shapely.segmentize(shape, 200), tile.crs, crs) for shape in shapes]
    path = write_vectors(tmp_path / "a.gpkg", there, crs, reach=reach)
    pixels = burn_tile(read_features(path, all_touched=False, buffer=buffer), tile)
    geod, to_lonlat = pyproj.Geod(ellps="WGS84"), cached_projection(tile.crs, "EPSG:4326")
    step = tile.grid.resolution
    for row, column in np.ndindex(pixels.shape):
        x, y = west + (column + 0.5) * step, north - (row + 0.5) * step
        nearest = [shapely.ops.nearest_points(shape, shapely.Point(x, y))[0] for shape in shapes]
        metres = [geod.inv(*to_lonlat(x, y), *to_lonlat(p.x, p.y))[2] for p in nearest]
        gaps = np.array(metres) - reach
        if np.abs(gaps).min() > 0.15:
            assert pixels[row, column] == (1 if gaps.min() < 0 else 255)


def test_a_buffer_attribute_without_metres_is_named(tmp_path):
    path = write_vectors(tmp_path / "a.gpkg", [shapely.Point(0, 0)] * 3, UTM, reach=[3.0, -1.0, None], name=["a"] * 3)
    with pytest.raises(InputError, match=r"'reach' .* no metres .* for 2 points or lines \(FID 2: -1, 3: no value\)"):
        read_features(path, buffer="reach")
    with pytest.raises(InputError, match="attribute 'name' .*holds text; labels.buffer needs metres"):
        read_features(path, buffer="name")
    with pytest.raises(InputError, match="no attribute 'rech'.*did you mean 'reach'"):
        read_features(path, buffer="rech")
