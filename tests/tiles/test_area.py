"""Where the tiles of a dataset come from: an AOI, label layers, or listed keys."""

import pyproj
import pytest
import shapely

from segchips.config.labels import LabelLayer, LabelsConfig
from segchips.config.tiles import TilesConfig
from segchips.errors import InputError
from segchips.grids.cover import cover_area
from segchips.grids.tile import Tile
from segchips.tiles.area import aoi_layers, find_tiles, read_tile_keys
from segchips.tiles.manifest import write_manifest
from support.areas import GRID, client_keys, points_in, tile_at
from support.assignments import assign_by_key
from support.vectors import write_vectors


def tiles_config(aoi=None, layer=None, keys=None):
    return TilesConfig(64, 2, 10, aoi, layer, keys)


def labels_config(*paths):
    return LabelsConfig(tuple(LabelLayer(path, None, None, 1, None) for path in paths), 255, True)


def test_the_aoi_comes_before_the_labels(tmp_path):
    aoi = write_vectors(tmp_path / "aoi.gpkg", [shapely.box(14, 46, 14.02, 46.02)], "EPSG:4326")
    label = write_vectors(tmp_path / "labels.gpkg", [shapely.box(20, 46, 20.02, 46.02)], "EPSG:4326")
    layers = aoi_layers(tiles_config(aoi), labels_config(label))
    assert [layer.path for layer in layers] == [aoi]
    assert find_tiles(tiles_config(aoi), layers) == cover_area(shapely.box(14, 46, 14.02, 46.02), GRID)


def test_without_an_aoi_the_features_of_all_label_layers_say_where(tmp_path):
    squares = [shapely.box(14, 46, 14.02, 46.02), shapely.box(-60, -30, -59.98, -29.98)]
    moved = shapely.transform(
        squares[1], pyproj.Transformer.from_crs(4326, 32621, always_xy=True).transform, interleaved=False
    )
    paths = [
        write_vectors(tmp_path / "a.gpkg", squares[:1], "EPSG:4326"),
        write_vectors(tmp_path / "b.gpkg", [moved], "EPSG:32621"),
    ]
    tiles = find_tiles(tiles_config(), aoi_layers(tiles_config(), labels_config(*paths)))
    assert {tile.zone for tile in tiles} == {33, 21}
    assert {tile.key for tile in tiles if tile.zone == 33} == set(client_keys(squares[0], GRID))
    indices = {(tile.zone, tile.path, tile.row) for tile in tiles}
    inner = points_in(shapely.box(-59.9999, -29.9999, -59.9801, -29.9801), 500)
    assert [point for point in inner if tile_at(GRID, *point) not in indices] == []


def test_keys_need_no_layer():
    listed = tiles_config(
        keys=("60:2:10.0:33:-58:8465", "60:2:10.0:32:5:9", "60:2:10.0:33:-58:8466", "60:2:10.0:33:-58:8465")
    )
    assert aoi_layers(listed, labels_config("nope.gpkg")) == []
    assert [tile.key for tile in find_tiles(listed, [])] == [
        "60:2:10.0:32:5:9",
        "60:2:10.0:33:-58:8466",
        "60:2:10.0:33:-58:8465",
    ]


def test_keys_come_from_a_file_of_lines_a_csv_or_a_manifest(tmp_path):
    keys = ["60:2:10.0:33:-58:8465", "60:2:10.0:32:5:9"]
    (tmp_path / "keys.txt").write_text(f"\ufeff{keys[0]}\r\n\r\n  {keys[1].replace(':', '#')}  \n{keys[0]}\n")
    (tmp_path / "keys.csv").write_text(f"state,key\nmade,{keys[0]}\nfailed,{keys[1]}\n")
    write_manifest(tmp_path / "tiles.parquet", assign_by_key([Tile.from_key(key) for key in keys]))
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
