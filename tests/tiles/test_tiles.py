"""tiles.py against the client library's DLTile, and against points projected by PROJ."""

import hashlib
import json
import time
import warnings

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio.raw
import pyproj
import pytest
import shapely
from earthdaily.earthone.core.common.dltile import Tile as ClientTile
from earthdaily.earthone.core.common.dltile.utils import utm_box_to_lonlat
from earthdaily.earthone.core.common.dltile.utm import utm_to_lonlat
from earthdaily.earthone.geo import DLTile

from segchips.config.model import LabelLayer, LabelsConfig, TFRecordsConfig, TilesConfig
from segchips.errors import ConfigError, InputError
from segchips.grids.cover import all_blocks, block_boxes, cover_area
from segchips.grids.outlines import footprints
from segchips.grids.tile import POLE, Grid, Tile
from segchips.grids.utm import to_lonlat
from segchips.tiles.area import aoi_layers, find_tiles, read_tile_keys
from segchips.tiles.assignment import shard_of, split_of
from segchips.tiles.manifest import read_manifest, write_manifest
from segchips.vectors.antimeridian import to_lonlat_geometries
from segchips.vectors.layers import read_layer

GRID = Grid(64, 2, 10)
TFRECORDS = TFRecordsConfig("array", 4, None, {"train": 0.8, "val": 0.1, "test": 0.1})
GLOBE = shapely.box(-180, -90, 180, 90)


def client_keys(aoi, grid):
    """What the client library makes of a well-behaved shape."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape = shapely.segmentize(aoi, 0.05)
        return DLTile.from_shape(shape, grid.resolution, grid.tilesize, grid.pad, keys_only=True)


def core_lonlat(tile):
    client = ClientTile.from_key(tile.key)
    return utm_box_to_lonlat(client.utm_polygon_unpadded, client.zone)


def blob(rng, lon, lat, radius, vertices=20):
    angle = np.sort(rng.uniform(0, 2 * np.pi, vertices))
    reach = radius * rng.uniform(0.3, 1, vertices)
    ring = np.column_stack([lon + reach * np.cos(angle) / np.cos(np.radians(lat)), lat + reach * np.sin(angle)])
    return shapely.make_valid(shapely.Polygon(ring), method="structure", keep_collapsed=False)


def country(vertices, lon, lat, radius):
    """A ring as crinkled as a coast."""
    rng = np.random.default_rng(3)
    angle = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    waves = np.arange(1, vertices // 4)
    spectrum = rng.normal(size=waves.size) / waves**1.3 * np.exp(2j * np.pi * rng.random(waves.size))
    coast = np.fft.irfft(np.concatenate([[0], spectrum, np.zeros(vertices // 2 - waves.size)]), vertices)
    reach = radius * (1 + 0.35 * coast / np.abs(coast).max())
    return shapely.Polygon(
        np.column_stack([lon + reach * np.cos(angle) / np.cos(np.radians(lat)), lat + reach * np.sin(angle)])
    )


def grid_for(rng, aoi, count):
    """A grid of odd numbers that cuts an area into about `count` tiles."""
    middle = np.radians(aoi.centroid.y)
    size, pad = int(rng.integers(20, 300)), int(rng.integers(0, 8))
    return Grid(size, pad, round(float(np.sqrt(aoi.area * 1.236e10 * np.cos(middle) / count)) / (size - 2 * pad), 6))


def points_in(aoi, count, seed=0):
    rng = np.random.default_rng(seed)
    west, south, east, north = aoi.bounds
    points = np.column_stack([rng.uniform(west, east, count), rng.uniform(south, north, count)])
    return points[shapely.contains_xy(aoi, points)]


def tile_at(grid, lon, lat):
    """The zone, path and row of the core box that holds a point, by PROJ's UTM."""
    zone = int((lon + 180) // 6) + 1
    east, north = pyproj.Transformer.from_crs(4326, 32600 + zone, always_xy=True).transform(lon, lat)
    return zone, int((east - 500_000) // grid.core), int(north // grid.core)


def assert_covers(tiles, aoi, grid, count=1000):
    """Each sampled point of the area lies in the core box of one of the tiles, and each tile's core meets the area."""
    held = {(tile.zone, tile.path, tile.row) for tile in tiles}
    points = points_in(aoi, count)
    assert len(points) > 10
    assert [point for point in points if tile_at(grid, *point) not in held] == []
    shapely.prepare(aoi)
    assert [tile.key for tile in tiles if not aoi.intersects(core_lonlat(tile))] == []


def places():
    """Middle and radius of areas in both hemispheres, inside zones and across their borders."""
    rng = np.random.default_rng(11)
    for index in range(60):
        lon = rng.uniform(-174, 174) if index % 2 else 6 * rng.integers(-28, 29) + rng.normal() * 0.05
        yield index, float(lon), rng.uniform(-78, 78), 10 ** rng.uniform(-2, -0.1)


@pytest.mark.parametrize(("seed", "lon", "lat", "radius"), list(places()))
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


def test_own_utm_is_the_clients_bit_for_bit():
    rng = np.random.default_rng(2)
    for zone in range(6, 56):
        points = np.column_stack([rng.uniform(166_000, 834_000, 500), rng.uniform(-9.3e6, 9.3e6, 500)])
        lon, lat = to_lonlat(points[:, 0], points[:, 1], zone)
        assert (np.column_stack([lon, lat]) == utm_to_lonlat(points, zone)).all()


@pytest.mark.parametrize(("lat", "size"), [(2, 100_000), (-50, 40_000), (84, 60_000)])
def test_a_blocks_box_holds_all_of_the_block(lat, size):
    blocks = all_blocks(size)
    blocks = blocks[np.abs(blocks[:, 1] * size / 111_000 - lat) < 5]
    boxes = block_boxes(blocks, 33, 8, size / 8)
    inner = np.random.default_rng(0).uniform(0, 1, (200, 2))
    for block, box in zip(blocks, boxes, strict=True):
        utm = (block + inner) * size + [500_000, 0]
        lon, lat = utm_to_lonlat(utm, 33).T
        assert shapely.covers(box, shapely.points(lon, lat)).all()


def test_tiles_come_by_zone_then_from_north_to_south_then_from_west_to_east():
    tiles = cover_area(shapely.box(11.95, -0.05, 12.05, 0.05), GRID)
    order = [(tile.zone, -tile.row, tile.path) for tile in tiles]
    assert order == sorted(order) and {tile.zone for tile in tiles} == {32, 33}


def test_each_tile_meets_the_area_and_each_point_of_the_area_has_a_tile():
    for seed, (lon, lat) in enumerate([(14.5, 46), (-70, -33), (18, 60), (-0.01, 0.01)]):
        aoi = blob(np.random.default_rng(seed), lon, lat, 0.1)
        assert_covers(cover_area(aoi, GRID), aoi, GRID)


# The five ways in which DLTile loses tiles or fails.


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
    held = {(tile.zone, tile.path, tile.row) for tile in tiles}
    assert [p for p in points_in(aoi, 2000) if tile_at(grid, *p) not in held] == []
    assert {tile.zone for tile in tiles} == set(range(1, 61))
    assert all(tile.core_bounds[1] < POLE and tile.core_bounds[3] > -POLE for tile in tiles)


def test_the_whole_globe_in_tiles_larger_than_a_block():
    grid = Grid(2000, 0, 100)
    held = {(tile.zone, tile.path, tile.row) for tile in cover_area(GLOBE, grid)}
    points = points_in(shapely.box(-180, -80, 180, 80), 2000)
    assert sum(tile_at(grid, *point) not in held for point in points) == 0


def test_overlapping_parts_have_the_tiles_of_their_union():
    rng = np.random.default_rng(5)
    parts = np.array([blob(rng, *middle, 0.05) for middle in rng.normal([12, 45], 0.05, (30, 2))])
    assert {tile.key for tile in cover_area(parts, GRID)} == set(client_keys(shapely.union_all(parts), GRID))


def test_a_country_of_many_vertices_takes_seconds():
    aoi = country(20_000, 15, 48, 0.95)
    start = time.perf_counter()
    tiles = cover_area(aoi, GRID)
    seconds = time.perf_counter() - start
    assert len(tiles) > 100_000 and seconds < 5
    held = {(tile.zone, tile.path, tile.row) for tile in tiles}
    assert [point for point in points_in(aoi, 3000) if tile_at(GRID, *point) not in held] == []
    area = shapely.transform(
        aoi, pyproj.Transformer.from_crs(4326, 3035, always_xy=True).transform, interleaved=False
    ).area
    assert len(tiles) * GRID.core**2 < 1.1 * area


def test_thousands_of_scattered_parts_take_seconds():
    rng = np.random.default_rng(6)
    parts = np.array([blob(rng, *middle, 0.002) for middle in rng.uniform([12.5, 43], [17.5, 49], (3000, 2))])
    grid = Grid(64, 2, 1)
    start = time.perf_counter()
    tiles = cover_area(parts, grid)
    assert time.perf_counter() - start < 10
    few = cover_area(parts[:20], grid)
    assert {tile.key for tile in few} == {key for part in parts[:20] for key in client_keys(part, grid)}
    assert set(few) <= set(tiles)


def test_more_tiles_than_anyone_can_mean_are_refused_before_they_fill_the_memory():
    with pytest.raises(InputError, match="more than 5,000,000 tiles of 6 m"):
        cover_area(GLOBE, Grid(64, 2, 0.1))


def test_a_resolution_that_no_key_can_hold_is_refused():
    with pytest.raises(ConfigError, match="six decimals"):
        cover_area(shapely.box(14, 46, 14.1, 46.1), Grid(64, 2, 1 / 3))


# Where the area comes from.


def write(path, geometries, crs="EPSG:4326"):
    wkb = shapely.to_wkb(np.array(geometries, dtype=object))
    pyogrio.raw.write(path, wkb, [np.arange(len(wkb))], ["v"], geometry_type="Unknown", crs=crs)
    return str(path)


def config(aoi=None, layer=None, keys=None):
    return TilesConfig(64, 2, 10, aoi, layer, keys)


def labels(*paths):
    return LabelsConfig(tuple(LabelLayer(path, None, None, 1, None) for path in paths), 255, True)


def test_the_aoi_comes_before_the_labels(tmp_path):
    aoi = write(tmp_path / "aoi.gpkg", [shapely.box(14, 46, 14.02, 46.02)])
    label = write(tmp_path / "labels.gpkg", [shapely.box(20, 46, 20.02, 46.02)])
    layers = aoi_layers(config(aoi), labels(label))
    assert [layer.path for layer in layers] == [aoi]
    assert find_tiles(config(aoi), layers) == cover_area(shapely.box(14, 46, 14.02, 46.02), GRID)


def test_without_an_aoi_the_features_of_all_label_layers_say_where(tmp_path):
    squares = [shapely.box(14, 46, 14.02, 46.02), shapely.box(-60, -30, -59.98, -29.98)]
    moved = shapely.transform(
        squares[1], pyproj.Transformer.from_crs(4326, 32621, always_xy=True).transform, interleaved=False
    )
    paths = [write(tmp_path / "a.gpkg", squares[:1]), write(tmp_path / "b.gpkg", [moved], crs="EPSG:32621")]
    tiles = find_tiles(config(), aoi_layers(config(), labels(*paths)))
    assert {tile.zone for tile in tiles} == {33, 21}
    assert {tile.key for tile in tiles if tile.zone == 33} == set(client_keys(squares[0], GRID))
    held = {(tile.zone, tile.path, tile.row) for tile in tiles}
    inner = points_in(shapely.box(-59.9999, -29.9999, -59.9801, -29.9801), 500)
    assert [point for point in inner if tile_at(GRID, *point) not in held] == []


def test_keys_need_no_layer():
    wanted = config(
        keys=("60:2:10.0:33:-58:8465", "60:2:10.0:32:5:9", "60:2:10.0:33:-58:8466", "60:2:10.0:33:-58:8465")
    )
    assert aoi_layers(wanted, labels("nope.gpkg")) == []
    assert [tile.key for tile in find_tiles(wanted, [])] == [
        "60:2:10.0:32:5:9",
        "60:2:10.0:33:-58:8466",
        "60:2:10.0:33:-58:8465",
    ]


def test_a_projected_layer_across_the_antimeridian_is_not_the_rest_of_the_globe(tmp_path):
    square = shapely.box(500_000 - 30_000, -2_000_000, 500_000 + 30_000, -1_970_000)
    pacific = pyproj.CRS("+proj=tmerc +lon_0=180 +k=0.9996 +x_0=500000 +datum=WGS84 +units=m")
    layer = read_layer(write(tmp_path / "fiji.gpkg", [square], crs=pacific.to_wkt()))
    tiles = cover_area(to_lonlat_geometries(layer), GRID)
    assert {tile.zone for tile in tiles} == {1, 60}
    assert len(tiles) == pytest.approx(60_000 * 30_000 / GRID.core**2, rel=0.1)
    held = {(tile.zone, tile.path, tile.row) for tile in tiles}
    inner = np.random.default_rng(1).uniform([470_001, -1_999_999], [529_999, -1_970_001], (1000, 2))
    lonlats = np.column_stack(pyproj.Transformer.from_crs(pacific, 4326, always_xy=True).transform(*inner.T))
    assert [point for point in lonlats if tile_at(GRID, *point) not in held] == []


def test_metres_taken_for_degrees_name_the_layer(tmp_path):
    layer = read_layer(write(tmp_path / "utm.gpkg", [shapely.box(500_000, 5_100_000, 501_000, 5_101_000)]))
    with pytest.raises(InputError, match="layer 'utm' .*longitudes from 500000 to 501000: WGS 84 cannot be its CRS"):
        to_lonlat_geometries(layer)


@pytest.mark.parametrize(("crs", "sign"), [(3413, 1), (3031, -1)])
def test_a_projected_layer_around_a_pole_is_all_of_it_and_its_hole_none(tmp_path, crs, sign):
    ring = shapely.Point(0, 0).buffer(900_000).difference(shapely.Point(0, 0).buffer(300_000))
    aside = shapely.box(-700_000, 1_000_000, -500_000, 1_100_000)
    layer = read_layer(write(tmp_path / "pole.gpkg", [ring, aside], crs=f"EPSG:{crs}"))
    area = shapely.union_all(to_lonlat_geometries(layer))
    to_crs = pyproj.Transformer.from_crs(4326, crs, always_xy=True)
    rng = np.random.default_rng(9)
    points = np.column_stack([rng.uniform(-180, 180, 4000), sign * rng.uniform(78, 90, 4000)])
    placed = shapely.points(np.column_stack(to_crs.transform(*points.T)))
    truth = shapely.union(ring, aside)
    clear = shapely.distance(truth.boundary, placed) > 100
    inside = shapely.intersects_xy(area, *points.T) | shapely.intersects_xy(area, points[:, 0] + 360, points[:, 1])
    assert (inside == shapely.contains(truth, placed))[clear].all() and 500 < inside.sum() < 3500


# Keys.


def test_keys_come_from_a_file_of_lines_a_csv_or_a_manifest(tmp_path):
    keys = ["60:2:10.0:33:-58:8465", "60:2:10.0:32:5:9"]
    (tmp_path / "keys.txt").write_text(f"\ufeff{keys[0]}\r\n\r\n  {keys[1].replace(':', '#')}  \n{keys[0]}\n")
    (tmp_path / "keys.csv").write_text(f"state,key\nmade,{keys[0]}\nfailed,{keys[1]}\n")
    write_manifest(tmp_path / "tiles.parquet", [Tile.from_key(key) for key in keys], TFRECORDS)
    for name in ("keys.txt", "keys.csv", "tiles.parquet"):
        assert [tile.key for tile in read_tile_keys(str(tmp_path / name), GRID)] == keys


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("60:2:20.0:33:0:0", ["resolution 20.0", "resolution 10"]),
        ("60:3:10.0:33:0:0", ["size 66, pad 3", "size 64, pad 2"]),
        ("256:2:10.0:33:0:0", ["size 260", "size 64"]),
        ("60:2:10.0:33:0:99999999", ["outside UTM zone 33"]),
        ("60:2:10.0:33:-58000:0", ["outside UTM zone 33"]),
        ("60:2:10.0:33:0:0x", ["tile key"]),
    ],
)
def test_a_key_that_cannot_be_meant_is_named(tmp_path, key, words):
    path = tmp_path / "keys.txt"
    path.write_text(f"60:2:10.0:33:0:0\n{key}\n")
    for source, name in ((str(path), str(path)), (("60:2:10.0:33:0:0", key), "tiles.keys")):
        with pytest.raises(InputError) as caught:
            read_tile_keys(source, GRID)
        for word in (key, name, *words):
            assert word in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("nope.txt", None),
        ("empty.txt", b"\n"),
        ("x.txt", b"\xff\xfe\x00"),
        ("no.csv", b"tile\na\n"),
        ("no.parquet", b"PAR1"),
    ],
)
def test_a_file_without_keys_is_named(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        read_tile_keys(str(tmp_path / name), GRID)


# Splits and shards.


def test_splits_have_their_shares_and_shards_are_even():
    keys = [f"60:2:10.0:33:{path}:{row}" for path in range(100) for row in range(100)]
    drawn = [split_of(key, {"train": 8, "val": 1, "test": 1}) for key in keys]
    for split, share in (("train", 0.8), ("val", 0.1), ("test", 0.1)):
        assert abs(drawn.count(split) / 10_000 - share) < 4 * np.sqrt(share * (1 - share) / 10_000)
    counts = np.bincount([shard_of(key, 7) for key in keys], minlength=7)
    assert len(counts) == 7 and np.abs(counts - 10_000 / 7).max() < 4 * np.sqrt(10_000 / 7)
    train = np.bincount([shard_of(key, 7) for key, split in zip(keys, drawn, strict=True) if split == "train"])
    assert np.abs(train - train.mean()).max() < 4 * np.sqrt(train.mean())


def test_a_tiles_split_is_where_its_hash_falls_among_the_shares_in_their_order():
    for path in range(200):
        key = f"60:2:10.0:33:{path}:1"
        at = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8, salt=b"split").digest(), "little") / 2**64
        assert split_of(key, {"a": 2, "none": 0, "b": 1, "c": 1}) == ("a" if at < 0.5 else "b" if at < 0.75 else "c")
        assert split_of(key, {"only": 0.3, "none": 0}) == "only"


# The manifest and the footprints.


def test_the_manifest_is_geoparquet_with_every_tiles_row(tmp_path):
    tiles = cover_area(blob(np.random.default_rng(1), 12, 45, 0.05), GRID)
    path = tmp_path / "results" / "tiles.parquet"
    write_manifest(path, tiles, TFRECORDS)
    frame = geopandas.read_parquet(path)
    assert list(frame.columns) == ["key", "split", "shard", "state", "geometry"] and frame.crs == "EPSG:4326"
    assert frame.key.tolist() == [tile.key for tile in tiles]
    assert frame.split.tolist() == [split_of(tile.key, TFRECORDS.splits) for tile in tiles]
    assert frame.shard.tolist() == [shard_of(tile.key, 4) for tile in tiles]
    assert set(frame.state) == {"planned"}
    expected = [ClientTile.from_key(tile.key).polygon_unpadded for tile in tiles]
    assert shapely.equals_exact(frame.geometry.values, expected, tolerance=0, normalize=True).all()
    rows = read_manifest(path)
    assert [(row.key, row.split, row.shard) for row in rows] == list(
        zip(frame.key, frame.split, frame.shard, strict=True)
    )


def test_the_manifest_says_what_geoparquet_asks_for(tmp_path):
    write_manifest(tmp_path / "tiles.parquet", cover_area(shapely.box(14, 46, 14.02, 46.02), GRID), TFRECORDS)
    file = pq.ParquetFile(tmp_path / "tiles.parquet")
    geo = json.loads(file.schema_arrow.metadata[b"geo"])
    column = geo["columns"]["geometry"]
    assert (geo["version"], geo["primary_column"], column["encoding"]) == ("1.1.0", "geometry", "WKB")
    assert column["geometry_types"] == ["Polygon"] and pyproj.CRS(column["crs"]) == pyproj.CRS(4326)
    wkb = file.read()["geometry"].to_pylist()
    assert column["bbox"] == list(shapely.total_bounds(shapely.from_wkb(wkb)))
    types = [pa.string(), pa.string(), pa.int32(), pa.string(), pa.binary()]
    assert file.schema_arrow.types == types
    assert {file.metadata.row_group(0).column(i).compression for i in range(5)} == {"ZSTD"}


def test_the_manifest_is_the_same_bytes_from_the_same_tiles(tmp_path):
    tiles = cover_area(shapely.box(14, 46, 14.1, 46.1), GRID)
    for name in ("a", "b"):
        write_manifest(tmp_path / name, tiles, TFRECORDS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_is_no_manifest_is_named(tmp_path):
    pq.write_table(pa.table({"key": ["a"]}), tmp_path / "other.parquet")
    for name in ("nope.parquet", "other.parquet"):
        with pytest.raises(InputError, match=name):
            read_manifest(tmp_path / name)


def test_tiles_on_the_antimeridian_are_split_there(tmp_path):
    tiles = cover_area(shapely.box(179.9, -17, 180.1, -16.9), GRID)
    write_manifest(tmp_path / "tiles.parquet", tiles, TFRECORDS)
    frame = geopandas.read_parquet(tmp_path / "tiles.parquet")
    for geometry in (frame.geometry.values, footprints(tiles)):
        assert shapely.is_valid(geometry).all() and (np.abs(shapely.bounds(geometry)) <= 180).all()
        assert {shape.geom_type for shape in geometry} == {"Polygon", "MultiPolygon"}
        parts = shapely.get_parts(geometry)
        assert (np.ptp(shapely.bounds(parts)[:, [0, 2]], axis=1) < 0.1).all()


@pytest.mark.parametrize(("grid", "tolerance"), [(GRID, 0.05), (Grid(2048, 24, 10), 3), (Grid(1000, 10, 100), 3)])
def test_a_footprint_holds_the_padded_box_and_little_more(grid, tolerance):
    tiles = (
        cover_area(shapely.box(17.9, 68, 17.95, 68.01), grid)[:20]
        + cover_area(shapely.box(0, -40, 0.05, -39.9), grid)[:20]
    )
    assert {tile.zone for tile in tiles} >= {33, 31}
    for tile, outline in zip(tiles, footprints(tiles), strict=True):
        to_utm = pyproj.Transformer.from_crs(4326, 32600 + tile.zone, always_xy=True).transform
        back = shapely.transform(shapely.segmentize(outline, 0.001), to_utm, interleaved=False)
        box = shapely.box(*tile.bounds)
        assert shapely.hausdorff_distance(back, box) < tolerance
        assert shapely.is_valid(outline)


def test_a_footprint_over_a_pole_reaches_round_it():
    (outline,) = footprints([Tile(Grid(64, 0, 1000), 33, 0, int(POLE // 64_000))])
    assert outline.bounds[0] == -180 and outline.bounds[2] == 180 and outline.bounds[3] == 90
    assert outline.bounds[1] == pytest.approx(utm_to_lonlat(np.array([[564_000, 157 * 64_000.0]]), 33)[0, 1])
