"""labels.py: chips against points in polygons and GDAL's burning of whole geometries; which tiles a feature changes."""

import math
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from earthdaily.earthone.geo import DLTile
from rasterio.features import rasterize, shapes
from rasterio.transform import Affine

from segchips.errors import InputError
from segchips.grids.tile import Tile
from segchips.labels import thinning
from segchips.labels.chip import make_label
from segchips.labels.features import LabelFeatures
from segchips.labels.lock import lock_labels, read_label_lock, write_label_lock
from segchips.labels.thinning import thin_geometries
from support.datasets import make_dataset, tile_at
from support.vectors import write_vectors

TILE = tile_at(32)
UTM = "EPSG:32633"


def features(path, background=255, all_touched=True, **layer):
    """The features of a config with one layer, or several."""
    layers = layer.pop("layers", None)
    block = {"background": background, "all_touched": all_touched, **layer, "path": str(path)}
    return LabelFeatures(make_dataset(labels={**block, "layers": layers} if layers else block).labels)


def burn(found, tile=TILE):
    return found.burn(tile, found.intersecting([tile])[0])


def blob(rng, x, y, radius, vertices=12):
    """A star-shaped polygon."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, vertices))
    reach = radius * rng.uniform(0.4, 1, vertices)
    return shapely.Polygon(np.column_stack([x + reach * np.cos(angles), y + reach * np.sin(angles)])).buffer(0)


def blobs(rng, tile, count, radius=120.0, vertices=12):
    """Star-shaped polygons around and across a tile, in its CRS."""
    west, south, east, north = tile.bounds
    places = rng.uniform((west - radius, south - radius), (east + radius, north + radius), (count, 2))
    return [blob(rng, x, y, radius * rng.uniform(0.3, 1), vertices) for x, y in places.tolist()]


@cache
def projection(source, target):
    return pyproj.Transformer.from_crs(source, target, always_xy=True).transform


def moved(geometry, source, target):
    """A geometry with its vertices in another CRS."""
    return shapely.transform(geometry, projection(source, target), interleaved=False)


def centre(tile, row, column):
    west, step, _, north, _, _ = tile.geotransform
    return west + (column + 0.5) * step, north - (row + 0.5) * step


def by_centre(tile, layers, background, near=1e-6):
    """The value of the last polygon over each centre, and whether no boundary is near; of (polygons, values, crs)."""
    size = tile.grid.size
    values, sure = np.full((size, size), background), np.ones((size, size), bool)
    places = [centre(tile, row, column) for row, column in np.ndindex(size, size)]
    for polygons, numbers, crs in layers:
        points = shapely.points([projection(tile.crs, crs)(*place) for place in places]).reshape(size, size)
        for polygon, number in zip(polygons, numbers, strict=True):
            values[shapely.contains(polygon, points)] = number
            sure &= shapely.distance(polygon.boundary, points) >= near
    return values, sure


# Which value a pixel gets.


@pytest.mark.parametrize("background", [255, 0, 7])
def test_the_last_feature_over_a_centre_wins(tmp_path, background):
    rng = np.random.default_rng(1)
    polygons = blobs(rng, TILE, 25)
    holes = shapely.box(*TILE.bounds).buffer(-30).difference(shapely.box(*TILE.core_bounds).buffer(-80))
    polygons.insert(3, holes)
    values = [value for value in rng.permutation(250).tolist() if value not in (background, 0)][: len(polygons)]
    path = write_vectors(tmp_path / "a.gpkg", polygons, UTM, number=values)
    pixels = burn(features(path, background, all_touched=False, attribute="number"))
    expected, sure = by_centre(TILE, [(polygons, values, UTM)], background)
    assert pixels.dtype == np.uint8 and sure.all()
    np.testing.assert_array_equal(pixels, expected)
    assert len(np.unique(pixels)) > 8 and background in pixels


def test_all_touched_burns_every_pixel_a_feature_overlaps(tmp_path):
    polygons = blobs(np.random.default_rng(2), TILE, 6, radius=60)
    values = list(range(1, len(polygons) + 1))
    path = write_vectors(tmp_path / "a.gpkg", polygons, UTM, number=values)
    pixels = burn(features(path, attribute="number"))
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
    polygons = [moved(polygon, tile.crs, crs) for polygon in blobs(np.random.default_rng(3), tile, 12)]
    values = list(range(1, 13))
    path = write_vectors(tmp_path / "a.gpkg", polygons, crs, number=values)
    pixels = burn(features(path, all_touched=False, attribute="number"), tile)
    # edges are straight in the layer's CRS; a long one is followed to a few centimetres
    expected, sure = by_centre(tile, [(polygons, values, crs)], 255, 2e-6 if crs == "EPSG:4326" else 0.1)
    assert sure.mean() > 0.97 and len(np.unique(pixels)) > 4
    np.testing.assert_array_equal(pixels[sure], expected[sure])


def test_several_layers_burn_in_their_order_whatever_their_files_and_crss(tmp_path):
    rng = np.random.default_rng(4)
    first, second, third = (blobs(rng, TILE, 5) for _ in range(3))
    second = [moved(polygon, UTM, "EPSG:4326") for polygon in second]
    one = write_vectors(tmp_path / "one.gpkg", first, UTM, layer="fields", kind=["a", "b", "a", "c", "b"])
    write_vectors(tmp_path / "one.gpkg", third, UTM, layer="roads", kind=["x"] * 5)
    two = write_vectors(tmp_path / "two.geojson", second, "EPSG:4326", number=[10, 11, 12, 13, 14])
    classes = {"a": 1, "b": None, "c": 3}
    found = features(
        one,
        all_touched=False,
        layers=[
            {"layer": "fields", "attribute": "kind", "classes": classes},
            {"path": two, "attribute": "number"},
            {"layer": "roads", "value": 99},
        ],
    )
    burned = [(polygon, value) for polygon, value in zip(first, (1, None, 1, 3, None), strict=True) if value]
    assert len(found) == len(burned) + 10
    layers = [
        ([polygon for polygon, _ in burned], [value for _, value in burned], UTM),
        (second, [10, 11, 12, 13, 14], "EPSG:4326"),
        (third, [99] * 5, UTM),
    ]
    expected, sure = by_centre(TILE, layers, 255, 1e-7)
    assert sure.mean() > 0.99
    np.testing.assert_array_equal(burn(found)[sure], expected[sure])


@pytest.mark.parametrize("suffix", ["gpkg", "shp", "geojson"])
def test_overlapping_features_burn_in_the_files_order(tmp_path, suffix):
    boxes = [shapely.box(*TILE.bounds).buffer(-10 * number) for number in (3, 0, 5, 1)]
    crs = UTM
    if suffix == "geojson":
        boxes, crs = [moved(box, UTM, "EPSG:4326") for box in boxes], "EPSG:4326"
    path = write_vectors(tmp_path / f"a.{suffix}", boxes, crs, number=[1, 2, 3, 4])
    pixels = burn(features(path, attribute="number", all_touched=False))
    assert pixels[0, 16] == 2 and pixels[16, 16] == 4 and set(np.unique(pixels)) == {2, 4}


def test_without_attribute_the_value_is_1_or_as_configured(tmp_path):
    path = write_vectors(tmp_path / "a.gpkg", [shapely.box(*TILE.core_bounds)], UTM, name=["x"])
    for value in (1, 200):
        pixels = burn(features(path, all_touched=False, **({} if value == 1 else {"value": value})))
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
        np.testing.assert_array_equal(burn(features(path, all_touched=all_touched)), expected)


def test_where_nothing_lies_there_is_background(tmp_path):
    path = write_vectors(tmp_path / "a.gpkg", [shapely.box(0, 0, 1, 1)], UTM)
    assert (burn(features(path, 42)) == 42).all()


def test_invalid_polygons_are_repaired_and_told(tmp_path):
    west, south, east, north = TILE.bounds
    bow = shapely.Polygon([(west, south), (east, north), (east, south), (west, north)])
    lost = shapely.LineString([(west, south), (east, north)])
    path = write_vectors(tmp_path / "a.gpkg", [bow, lost], UTM, number=[5, 6])
    found = features(path, attribute="number", all_touched=False)
    assert len(found) == 1 and len(found.notes) == 1
    assert "1 invalid polygons repaired, 1 features without polygon left out" in found.notes[0]
    pixels = burn(found)
    # of the bow-tie's four triangles, two are inside
    assert pixels[16, 2] == pixels[16, 29] == 5 and pixels[2, 16] == pixels[29, 16] == 255


# Values that cannot be burned.


def squares(count):
    x, y = TILE.bounds[:2]
    return [shapely.box(x + 20 * number, y, x + 20 * number + 10, y + 10) for number in range(count)]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1, 300, 2], r"1 feature \(FID 2: '300'\) has a value that is not a whole number from 0 to 255"),
        ([1, -1, 300], r"2 features \(FID 2: '-1', 3: '300'\) have a value that is not a whole number"),
        ([1.0, 2.5, 3.0], r"1 feature \(FID 2: '2\.5'\) has a value that is not a whole number"),
        ([1, 255, 2], r"1 feature \(FID 2: '255'\) has the value of the background; choose another labels\.background"),
        ([math.nan, 1.0, 2.0], r"1 feature \(FID 1: 'nan'\) has no value; give them one, remove them, or map '' in"),
        ([300] * 8, r"8 features \(FID 1: '300', 2: '300', 3: '300', 4: '300', 5: '300', \.\.\.\) have"),
        (
            ["water", "wood", "water"],
            r"attribute 'number' of layer 'a' of '.*a\.gpkg' holds text; .*\{water: 1, wood: 2\}",
        ),
        (["1", "2", "3"], "holds text; map it to numbers with labels.classes, such as {1: 1, 2: 2, 3: 3}"),
        (["water", None, "water"], r"1 feature \(FID 2: 'None'\) has no value"),
        (["water", "", "wood"], r"holds text; .*\{'': 1, water: 2, wood: 3\}"),
    ],
)
def test_values_that_cannot_be_burned_are_named(tmp_path, values, words):
    path = write_vectors(tmp_path / "a.gpkg", squares(len(values)), UTM, number=values)
    with pytest.raises(InputError, match=words) as caught:
        features(path, attribute="number")
    assert "attribute 'number' of layer 'a'" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "classes", "expected"),
    [
        (["water", "wood", "rock"], {"water": 1, "wood": 2, "rock": 1}, [1, 2, 1]),
        ([10, 20, 300], {10: 1, 20: 2, 300: 3}, [1, 2, 3]),
        ([10, 20, 300], {"10": 1, "20": 2, "300": 3}, [1, 2, 3]),
        ([1.0, 2.5, 3.0], {1: 7, 2.5: 8, 3: 9}, [7, 8, 9]),
        (["water", "wood", "rock"], {"water": 0, "wood": 255, "rock": 3}, [0, 255, 3]),
        (["water", "wood", "rock"], {"water": 4, "wood": None, "rock": None}, [4, 255, 255]),
        ([True, False, True], {True: 5, False: 6}, [5, 6, 5]),
        (["water", None, ""], {"water": 1, "": 2}, [1, 2, 2]),
        (["water", None, ""], {"water": 1, "": None}, [1, 255, 255]),
        ([1.0, math.nan, 2.0], {1: 1, 2: 2, "": None}, [1, 255, 2]),
    ],
)
def test_class_maps(tmp_path, values, classes, expected):
    """A class that is the background, or no class, is meant to be."""
    path = write_vectors(tmp_path / "a.gpkg", squares(3), UTM, number=values)
    found = features(path, attribute="number", classes=classes, all_touched=False)
    pixels = burn(found)
    assert [int(pixels[31, 2 * number]) for number in range(3)] == expected
    assert (
        len(found) == sum(classes_value is not None for classes_value in (list(classes.values()))) or len(expected) == 3
    )


def test_features_without_a_value_lend_their_class_no_name(tmp_path):
    path = write_vectors(tmp_path / "a.gpkg", squares(3), UTM, number=["water", None, ""])
    assert features(path, attribute="number", classes={"": 0, "water": 1, "other": 0}).config.names == {
        0: "other",
        1: "water",
    }


def test_a_value_that_the_class_map_lacks_is_named(tmp_path):
    path = write_vectors(tmp_path / "a.gpkg", squares(3), UTM, number=["water", "wood", "water"])
    with pytest.raises(
        InputError, match=r"1 feature \(FID 2: 'wood'\) has a value that labels\.classes does not map; .*null"
    ):
        features(path, attribute="number", classes={"water": 1})


def test_whole_numbers_of_any_type_are_values(tmp_path):
    for number, dtype in enumerate(("int16", "int32", "int64", "float32", "float64", "uint8")):
        path = write_vectors(tmp_path / f"{number}.gpkg", squares(3), UTM, number=np.array([0, 7, 254], dtype))
        pixels = burn(features(path, attribute="number", all_touched=False))
        assert [int(pixels[31, 2 * place]) for place in range(3)] == [0, 7, 254]


# Large polygons are thinned before they are burned; nobody may see it.


def whole(geometries, values, tile, all_touched, background=255):
    return rasterize(
        list(zip(geometries, values, strict=True)),
        out_shape=(tile.grid.size, tile.grid.size),
        transform=Affine.from_gdal(*tile.geotransform),
        fill=background,
        all_touched=all_touched,
        dtype="uint8",
    )


def spiky(rng, tile, vertices):
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
    polygons = [spiky(rng, TILE, int(vertices)) for vertices in rng.integers(260, 2500, 4)]
    values = [1, 2, 3, 4]
    path = write_vectors(tmp_path / "a.gpkg", polygons, UTM, number=values)
    found = features(path, attribute="number", all_touched=all_touched)
    for tile in (TILE, Tile(TILE.grid, 33, TILE.path + 1, TILE.row), Tile(TILE.grid, 33, TILE.path, TILE.row - 1)):
        np.testing.assert_array_equal(burn(found, tile), whole(polygons, values, tile, all_touched))


def traced(rng, step, share, tile=TILE, turned=0.0):
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
    polygons = traced(rng, step * 2**0.5 if turned else step, 0.56, turned=45.0 if turned else 0.0)
    seen = shapely.box(*TILE.bounds)
    large = [each for each in polygons if shapely.get_num_coordinates(each) > 20 and each.boundary.intersects(seen)]
    pairs = [shapely.MultiPolygon(pair) for pair in zip(large, large[1:], strict=False)]
    some = [*large[:16], *[pair for pair in pairs if pair.is_valid][:8]]
    some += list(shapely.orient_polygons(some, exterior_cw=True)) + list(shapely.orient_polygons(some))
    path = write_vectors(tmp_path / "a.gpkg", some, UTM)
    found = features(path, all_touched=all_touched)
    assert len(found) == len(some)
    different = 0
    for number in found.intersecting([TILE])[0]:
        expected = whole(some[number : number + 1], [1], TILE, all_touched)
        np.testing.assert_array_equal(found.burn(TILE, [number]), expected)
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
    """Without the corner by which GDAL tells it, what is left of this one would turn the other way."""
    monkeypatch.setattr(thinning, "MIN_VERTICES", 4)
    tile = tile_at(6, pad=0)
    west, south, _, _ = tile.bounds
    shape = shapely.transform(shapely.from_wkt(f"POLYGON (({WINDING}))"), lambda points: points * 10 + (west, south))
    shape = shapely.orient_polygons(shape, exterior_cw=clockwise)
    path = write_vectors(tmp_path / "a.gpkg", [shape], UTM)
    np.testing.assert_array_equal(burn(features(path, all_touched=False), tile), whole([shape], [1], tile, False))


def test_a_large_polygon_around_or_beside_the_tile(tmp_path):
    west, south, east, north = TILE.bounds
    around = shapely.box(west - 5000, south - 5000, east + 5000, north + 5000).segmentize(20)
    ring = around.difference(shapely.box(west - 15, south - 15, east + 15, north + 15).segmentize(1))
    path = write_vectors(tmp_path / "a.gpkg", [around, ring], UTM, number=[1, 2])
    for all_touched in (True, False):
        pixels = burn(features(path, attribute="number", all_touched=all_touched))
        assert (pixels == 1).all()


def test_of_what_an_intersection_leaves_only_the_areas_count(monkeypatch):
    monkeypatch.setattr(thinning, "MIN_VERTICES", 4)
    west, south, east, north = TILE.bounds
    area = shapely.box(west + 30, south + 30, east - 30, north - 30)
    line = shapely.LineString([(west, south), (west + 5, north), (east, north)])
    mixed = np.array([shapely.GeometryCollection([line, area]), shapely.GeometryCollection()])
    thinned = thin_geometries(mixed, TILE)
    assert thinned[0].equals(area) and thinned[1].is_empty


def test_large_polygons_of_another_crs_burn_as_whole_ones(tmp_path):
    rng = np.random.default_rng(9)
    polygons = [spiky(rng, TILE, 900) for _ in range(5)]
    there = [moved(polygon, UTM, "EPSG:4326") for polygon in polygons]
    path = write_vectors(tmp_path / "a.gpkg", there, "EPSG:4326", number=[1, 2, 3, 4, 5])
    back = [moved(polygon, "EPSG:4326", UTM) for polygon in there]
    for all_touched in (True, False):
        found = features(path, attribute="number", all_touched=all_touched)
        pixels, expected = burn(found), whole(back, [1, 2, 3, 4, 5], TILE, all_touched)
        assert (pixels != expected).mean() < 0.002


# Which tiles a feature touches.


def block(zone, path, row, count=5):
    return [Tile(TILE.grid, zone, path + column, row + line) for line in range(count) for column in range(count)]


def both_zones():
    """Tiles on both sides of the border between zones 32 and 33, at 12 degrees east."""
    across = projection("EPSG:4326", "EPSG:32632")(11.999, 45.8)
    beyond = projection("EPSG:4326", "EPSG:32633")(12.001, 45.8)
    return [
        tile
        for zone, (x, y) in ((32, across), (33, beyond))
        for tile in block(zone, math.floor((x - 500_000) / 280) - 2, math.floor(y / 280) - 2)
    ]


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32632", "EPSG:3035"])
def test_touching_equals_every_tile_with_every_feature(tmp_path, crs):
    tiles = both_zones()
    rng = np.random.default_rng(6)
    polygons = [moved(polygon, tile.crs, crs) for tile in tiles[::4] for polygon in blobs(rng, tile, 4, radius=200)]
    path = write_vectors(tmp_path / "a.gpkg", polygons, crs)
    found = features(path).intersecting(tiles)
    for tile, numbers in zip(tiles, found, strict=True):
        assert numbers == sorted(numbers)
        box = shapely.box(*tile.bounds)
        dense = shapely.segmentize(np.array(polygons), 1e-4 if crs == "EPSG:4326" else 10)
        there = [moved(polygon, crs, tile.crs) for polygon in dense]
        distance = [box.distance(polygon) - (box.intersection(polygon).area > 1) for polygon in there]
        # within a millimetre of the edge either answer is right
        assert (
            {n for n, gap in enumerate(distance) if gap < 0}
            <= set(numbers)
            <= {n for n, gap in enumerate(distance) if gap < 1e-3}
        )
    assert any(found) and {tile.zone for tile, numbers in zip(tiles, found, strict=True) if numbers} == {32, 33}


def test_no_tile_touches_anything_in_an_empty_place(tmp_path):
    path = write_vectors(tmp_path / "a.gpkg", [shapely.box(10, 10, 11, 11)], "EPSG:4326")
    assert features(path).intersecting([TILE]) == [[]] and features(path).intersecting([]) == []


# When a label chip has to be made again.


def edited_tiles(tmp_path, change, crs=UTM, **config):
    """The tiles whose digest an edit changes, and those whose padded box the edited polygon meets before or after."""
    tiles = block(33, TILE.path, TILE.row, 6)
    rng = np.random.default_rng(8)
    polygons = [polygon for tile in tiles[::3] for polygon in blobs(rng, tile, 3)]
    values = rng.integers(1, 200, len(polygons)).tolist()
    before = write_vectors(
        tmp_path / "before.gpkg", [moved(p, UTM, crs) for p in polygons], crs, layer="l", number=values
    )
    after_polygons, after_values, touched = change(list(polygons), list(values))
    after = write_vectors(
        tmp_path / "after.gpkg", [moved(p, UTM, crs) for p in after_polygons], crs, layer="l", number=after_values
    )
    config = {"attribute": "number", **config}
    old, new = (lock_labels(features(path, **config), tiles, "code").digests for path in (before, after))
    changed = {tile.key for tile in tiles if old[tile.key] != new[tile.key]}
    expected = {tile.key for tile in tiles if any(shapely.box(*tile.bounds).intersects(p) for p in touched)}
    return changed, expected, len(tiles)


def shift(polygons, values):
    old, new = polygons[10], shapely.affinity.translate(polygons[10], 350, -200)
    polygons[10] = new
    return polygons, values, [old, new]


def revalue(polygons, values):
    values[12] = 201
    return polygons, values, [polygons[12]]


def remove(polygons, values):
    gone = polygons.pop(5)
    values.pop(5)
    return polygons, values, [gone]


def add_first(polygons, values):
    fresh = shapely.affinity.translate(polygons[7], 50, 50)
    return [fresh, *polygons], [202, *values], [fresh]


def nudge(polygons, values):
    old, new = polygons[3], shapely.affinity.translate(polygons[3], 1e-3, 0)
    polygons[3] = new
    return polygons, values, [old, new]


@pytest.mark.parametrize("change", [shift, revalue, remove, add_first, nudge])
@pytest.mark.parametrize("crs", [UTM, "EPSG:4326"])
def test_an_edit_changes_exactly_the_tiles_it_touches(tmp_path, change, crs):
    changed, expected, count = edited_tiles(tmp_path, change, crs)
    assert changed == expected and 0 < len(changed) < count


def test_features_that_change_places_change_the_tiles_where_both_lie(tmp_path):
    def swap(polygons, values):
        polygons[0], polygons[1], values[0], values[1] = polygons[1], polygons[0], values[1], values[0]
        return polygons, values, []

    changed, _, count = edited_tiles(tmp_path, swap)
    tiles = block(33, TILE.path, TILE.row, 6)
    rng = np.random.default_rng(8)
    first, second = [polygon for tile in tiles[::3] for polygon in blobs(rng, tile, 3)][:2]
    boxes = {tile.key: shapely.box(*tile.bounds) for tile in tiles}
    both = {key for key, box in boxes.items() if box.intersects(first) and box.intersects(second)}
    assert changed == both and 0 < len(changed) < count


def test_an_edit_that_burns_the_same_changes_nothing(tmp_path):
    polygons = squares(4)
    one = write_vectors(tmp_path / "one.gpkg", polygons, UTM, kind=["a", "b", "a", "b"], note=["x"] * 4)
    two = write_vectors(tmp_path / "two.gpkg", polygons, UTM, kind=["b", "b", "b", "a"], note=["y"] * 4)
    three = write_vectors(tmp_path / "three.gpkg", polygons, UTM, layer="other", number=[1, 1, 1, 1])
    digests = [
        lock_labels(features(path, **config), [TILE], "code").digests[TILE.key]
        for path, config in (
            (one, {"attribute": "kind", "classes": {"a": 1, "b": 1}}),
            (two, {"attribute": "kind", "classes": {"a": 1, "b": 1}}),
            (two, {}),
            (three, {"attribute": "number"}),
        )
    ]
    assert len(set(digests)) == 1


def test_how_features_are_burned_changes_every_tile(tmp_path):
    path = write_vectors(tmp_path / "a.gpkg", squares(2), UTM)
    usual, other = features(path), [features(path, 0), features(path, all_touched=False), features(path, value=2)]
    far = tile_at(32, east=790)
    old = lock_labels(usual, [TILE, far], "code").digests
    for number, each in enumerate(other):
        new = lock_labels(each, [TILE, far], "code").digests
        assert new[TILE.key] != old[TILE.key]
        # no feature lies there, so its value does not matter
        assert (new[far.key] != old[far.key]) == (number < 2)


# The files.


def test_the_label_lock_comes_back_as_it_went(tmp_path):
    tiles = block(33, TILE.path, TILE.row, 3)
    path = write_vectors(tmp_path / "a.gpkg", blobs(np.random.default_rng(1), TILE, 9), UTM)
    lock = lock_labels(features(path), tiles, "code")
    write_label_lock(tmp_path / "labels.parquet", lock)
    write_label_lock(tmp_path / "again.parquet", lock)
    back = read_label_lock(tmp_path / "labels.parquet")
    assert dict(back.digests) == dict(lock.digests) and list(back.digests) == [tile.key for tile in tiles]
    assert {key: list(found) for key, found in back.feature_indices.items()} == dict(lock.feature_indices)
    assert (tmp_path / "labels.parquet").read_bytes() == (tmp_path / "again.parquet").read_bytes()


@pytest.mark.parametrize("key", [TILE.key, "60:2:10.0:33:-58:8465", "250:3:0.5:01:3:-7"])
def test_a_label_chip_is_a_chip_on_the_tiles_grid(tmp_path, key):
    tile = Tile.from_key(key)
    polygons = blobs(np.random.default_rng(1), tile, 9, radius=(tile.bounds[2] - tile.bounds[0]) / 2)
    path = write_vectors(tmp_path / "a.gpkg", polygons, tile.crs, number=list(range(1, 10)))
    found = features(path, 77, attribute="number")
    lock = lock_labels(found, [tile], "code")
    for name in ("one.tif", "two.tif"):
        make_label(found, tile, lock.feature_indices[tile.key], tmp_path / "chips" / name)
    real = DLTile.from_key(key)
    with rasterio.open(tmp_path / "chips" / "one.tif") as chip:
        assert chip.dtypes == ("uint8",) and chip.nodata == 77 and chip.tags()["TILE"] == key
        assert chip.transform.to_gdal() == pytest.approx(real.geotrans, rel=1e-15)
        assert chip.crs.to_epsg() == int(real.crs.removeprefix("EPSG:"))
        assert chip.shape == (real.tilesize + 2 * real.pad,) * 2
        np.testing.assert_array_equal(chip.read(1), whole(polygons, range(1, 10), tile, True, 77))
    assert (tmp_path / "chips" / "one.tif").read_bytes() == (tmp_path / "chips" / "two.tif").read_bytes()
    assert sorted(path.name for path in (tmp_path / "chips").iterdir()) == ["one.tif", "two.tif"]


def test_threads_burn_the_same(tmp_path):
    tiles = both_zones()
    rng = np.random.default_rng(6)
    polygons = [
        moved(polygon, tile.crs, "EPSG:4326") for tile in tiles for polygon in blobs(rng, tile, 3, vertices=400)
    ]
    path = write_vectors(tmp_path / "a.gpkg", polygons, "EPSG:4326", number=[1 + n % 200 for n in range(len(polygons))])
    alone = features(path, attribute="number")
    expected = [burn(alone, tile) for tile in tiles]
    shared = features(path, attribute="number")
    with ThreadPoolExecutor(4) as pool:
        for pixels, right in zip(pool.map(lambda tile: burn(shared, tile), tiles), expected, strict=True):
            np.testing.assert_array_equal(pixels, right)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
def test_a_feature_that_spans_the_globe_is_burned_where_the_tile_is(tmp_path, crs):
    tile = tile_at(size=32, zone=33)
    middle, south = moved(shapely.box(*tile.bounds).centroid, tile.crs, "EPSG:4326").coords[0]
    east = shapely.segmentize(shapely.box(middle, south - 20, 179, south + 20), 1)
    world = moved(shapely.segmentize(shapely.box(-179.9, -84, 179.9, 84), 1), "EPSG:4326", crs)
    path = write_vectors(tmp_path / "a.gpkg", [world, moved(east, "EPSG:4326", crs)], crs, number=[1, 2])
    pixels = burn(features(path, attribute="number", all_touched=False), tile)
    west, step, _, north, _, _ = tile.geotransform
    for row, column in np.ndindex(pixels.shape):
        centre = shapely.Point(west + (column + 0.5) * step, north - (row + 0.5) * step)
        lon = moved(centre, tile.crs, "EPSG:4326").x
        if abs(lon - middle) > 1e-7:
            assert pixels[row, column] == (2 if lon > middle else 1)


# Coverage.


def test_pixels_whose_middle_lies_outside_the_coverage_are_unknown(tmp_path):
    rng = np.random.default_rng(8)
    shapes, covered = blobs(rng, TILE, 9), blobs(rng, TILE, 4, radius=200.0)
    path = write_vectors(tmp_path / "labels.gpkg", shapes, UTM, value=[1 + n % 3 for n in range(9)])
    away = [moved(shapely.segmentize(shape, 20), UTM, "EPSG:3857") for shape in covered]
    write_vectors(tmp_path / "known.gpkg", away, "EPSG:3857")
    coverage = {"path": str(tmp_path / "known.gpkg")}
    plain, partly = features(path, attribute="value"), features(path, attribute="value", unknown=254, coverage=coverage)
    before, after = burn(plain), burn(partly)
    west, step, _, north, _, _ = TILE.geotransform
    inside = np.zeros((32, 32), bool)
    for row in range(32):
        for column in range(32):
            point = shapely.Point(west + (column + 0.5) * step, north - (row + 0.5) * step)
            inside[row, column] = any(shape.distance(point) == 0 for shape in covered)
    assert 0 < inside.sum() < inside.size
    assert (after == np.where(inside, before, 254)).all()
    lock = lock_labels(partly, [TILE], "code")
    assert (
        lock.covered_pixels[TILE.key] == inside.sum()
        and lock_labels(plain, [TILE], "code").covered_pixels[TILE.key] == 32 * 32
    )


def test_coverage_edited_elsewhere_changes_no_digest(tmp_path):
    west, south, east, north = TILE.bounds
    whole = shapely.box(west - 5000, south - 50, east + 50, north + 50)
    other = shapely.box(west - 9000, south - 70, east + 50, north + 50)
    half = shapely.box(west - 5000, south - 50, (west + east) / 2, north + 50)
    path = write_vectors(tmp_path / "labels.gpkg", [shapely.box(west, south, east, north)], UTM)
    digests = []
    for number, shape in enumerate((whole, other, half)):
        coverage = {"path": write_vectors(tmp_path / f"{number}.gpkg", [shape], UTM)}
        digests.append(lock_labels(features(path, unknown=254, coverage=coverage), [TILE], "code").digests[TILE.key])
    assert digests[0] == digests[1] == lock_labels(features(path), [TILE], "code").digests[TILE.key] != digests[2]
