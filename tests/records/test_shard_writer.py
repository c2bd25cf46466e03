"""Shards and their index, against rasterio's pixels and TensorFlow's parser."""

import csv
import json

import pytest
import rasterio
import tensorflow as tf

from segchips.records.file_names import index_name, shard_name
from segchips.records.shard_index import read_index
from support.chips import TRANSFORM, random_pixels, write_chip
from support.tile_shards import (
    DAY,
    DTYPES,
    KEYS,
    assert_shard_fails,
    feature_text,
    parse_shard,
    write_tile_chips,
    write_tile_shard,
)


def test_names_are_those_of_tensorflow_datasets():
    assert shard_name("mumbai_2017", "train", 0, 12) == "mumbai_2017-train.tfrecord-00000-of-00012"
    assert index_name("mumbai_2017", "train", 11, 12) == "mumbai_2017-train.index-00011-of-00012.csv"


@pytest.mark.parametrize("compression", [None, "GZIP", "ZLIB"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_come_out_as_they_went_in(tmp_path, dtype, compression):
    images, labels = write_tile_chips(tmp_path, dtype)
    path, _ = write_tile_shard(tmp_path, compression=compression)
    found = parse_shard(path, compression)
    assert sorted(feature_text(record["identifier"]) for record in found) == sorted(KEYS)
    for record in found:
        key = feature_text(record["identifier"])
        data = record["image/image_data"].bytes_list.value[0]
        assert data == images[key].astype(images[key].dtype.newbyteorder("<")).tobytes()
        assert record["target/target_data"].bytes_list.value[0] == labels[key].tobytes()
        assert feature_text(record["image/dtype"]) == dtype
        assert feature_text(record["target/dtype"]) == "uint8"


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 5, 1), (4, 9, 3), (17, 16, 4), (33, 31, 13)])
@pytest.mark.parametrize(
    "options", [{}, {"tiled": True, "blockxsize": 16, "blockysize": 16}, {"interleave": "pixel"}, {"endianness": "big"}]
)
def test_every_shape_and_layout(tmp_path, shape, options):
    images, labels = write_tile_chips(tmp_path, "int16", shape, KEYS[:2], **options)
    for record in parse_shard(write_tile_shard(tmp_path, KEYS[:2])[0]):
        key = feature_text(record["identifier"])
        size = [record[f"image/{name}"].int64_list.value[0] for name in ("height", "width", "channels")]
        assert tuple(size) == shape
        assert [record[f"target/{name}"].int64_list.value[0] for name in ("height", "width")] == size[:2]
        assert record["image/image_data"].bytes_list.value[0] == images[key].astype("<i2").tobytes()


def test_georeference_and_split_lose_nothing(tmp_path):
    write_tile_chips(tmp_path)
    for record in parse_shard(write_tile_shard(tmp_path, split="val")[0]):
        assert feature_text(record["crs"]) == "EPSG:32633"
        assert tuple(map(float, feature_text(record["transform"]).split())) == TRANSFORM.to_gdal()
        assert feature_text(record["split"]) == "val"
        assert set(record) == {
            *(f"image/{name}" for name in ("image_data", "height", "width", "channels", "dtype")),
            *(f"target/{name}" for name in ("target_data", "height", "width", "dtype")),
            *("identifier", "crs", "transform", "split", "bands", "acquired"),
        }


@pytest.mark.parametrize("quick", [True, False])
def test_bands_and_acquisitions_are_those_of_the_chip(tmp_path, quick):
    write_tile_chips(tmp_path, keys=KEYS[:1])
    times = {"a": "2017-01-05T10:04:08Z", "b": "2016-12-26T10:04:11Z"}
    members = [{"id": name, "acquired": time, "share": 0.5} for name, time in times.items()]
    scenes = {"s2 <&>": members, "dem": [], "s1": members[:1]}
    tags, names = {"SCENES": json.dumps(scenes)}, ("B04", "a & b", "s1/VV")
    place = {} if quick else {"transform": TRANSFORM @ rasterio.Affine.rotation(3)}
    write_chip(
        tmp_path / "images" / f"{KEYS[0].replace(':', '#')}.tif",
        random_pixels("uint16", (6, 5, 3)),
        tags=tags,
        bands=names,
        **place,
    )
    (record,) = parse_shard(write_tile_shard(tmp_path, KEYS[:1])[0])
    assert json.loads(feature_text(record["bands"])) == list(names)
    assert json.loads(feature_text(record["acquired"])) == ["2016-12-26T10:04:11Z", "2017-01-05T10:04:08Z"]


def test_a_chip_without_names_and_scenes_has_empty_lists(tmp_path):
    write_tile_chips(tmp_path, keys=KEYS[:2], bands=None)
    for key, tags in ((KEYS[0], {"SCENES": "[no"}), (KEYS[1], {})):
        write_chip(tmp_path / "images" / f"{key.replace(':', '#')}.tif", random_pixels("uint16", (6, 5, 3)), tags=tags)
    for record in parse_shard(write_tile_shard(tmp_path, KEYS[:2])[0]):
        assert feature_text(record["bands"]) == feature_text(record["acquired"]) == "[]"


@pytest.mark.parametrize("compression", [None, "GZIP"])
def test_the_index_accounts_for_every_tile(tmp_path, compression):
    write_tile_chips(tmp_path)
    path, index = write_tile_shard(tmp_path, min_valid=0.5, compression=compression)
    with index.open() as stream:
        rows = {row["tile"]: row for row in csv.DictReader(stream)}
    assert list(rows[KEYS[0]]) == ["tile", "state", "reason", "valid", "offset", "length", "acquired", "scenes"]
    assert set(rows) == set(KEYS)
    for seed, key in enumerate(KEYS):
        assert rows[key]["state"] == ("made" if seed >= 2 else "below min_valid")
        assert float(rows[key]["valid"]) == seed / 4
    assert rows[KEYS[1]]["reason"] == "0.25 of the pixels are valid, min_valid is 0.5"
    assert rows[KEYS[1]]["offset"] == rows[KEYS[1]]["length"] == ""
    assert rows[KEYS[3]]["acquired"] == f"{DAY} 2017-01-03T10:00:00Z"
    assert json.loads(rows[KEYS[3]]["scenes"]) == [["s2", "b 3"], ["s2", "a"]]
    made = [entry.tile for entry in read_index(index) if entry.state == "made"]
    assert made == [feature_text(record["identifier"]) for record in parse_shard(path, compression)]


def test_the_index_finds_each_record_in_the_file(tmp_path):
    write_tile_chips(tmp_path)
    path, index = write_tile_shard(tmp_path)
    for entry in read_index(index):
        payload = path.read_bytes()[entry.offset + 12 : entry.offset + entry.length - 4]
        assert feature_text(tf.train.Example.FromString(payload).features.feature["identifier"]) == entry.tile


def test_order_depends_on_the_tiles_alone(tmp_path):
    write_tile_chips(tmp_path)
    path, index = write_tile_shard(tmp_path)
    first = path.read_bytes(), index.read_bytes()
    assert write_tile_shard(tmp_path, KEYS[::-1])[0].read_bytes() == first[0]
    assert index.read_bytes() == first[1]
    assert [entry.tile for entry in read_index(index)] not in (sorted(KEYS), sorted(KEYS, reverse=True))
    write_tile_shard(tmp_path, KEYS[:3])
    assert [e.tile for e in read_index(index)] == [
        line.split(",")[0] for line in first[1].decode().splitlines() if line.split(",")[0] in KEYS[:3]
    ]


@pytest.mark.parametrize("storage", ["array", "encoded"])
def test_a_chip_that_cannot_be_one_is_named(tmp_path, storage):
    write_tile_chips(tmp_path)
    image, label = (tmp_path / kind / f"{KEYS[2].replace(':', '#')}.tif" for kind in ("images", "labels"))
    good = image.read_bytes(), label.read_bytes()
    for path, content, what in (
        (image, b"", "is empty"),
        (label, b"no image", "cannot be read"),
        (image, good[0][:60], "cannot be read"),
    ):
        path.write_bytes(content)
        assert_shard_fails(tmp_path, f"{path.parent.name}/{path.name} {what}", storage=storage)
        image.write_bytes(good[0]), label.write_bytes(good[1])
    image.unlink()
    assert_shard_fails(tmp_path, f"images/{image.name} cannot be read", storage=storage)
    image.write_bytes(good[0])
    write_chip(label, random_pixels("uint8", (5, 6, 1), 0))
    assert_shard_fails(
        tmp_path,
        f"{label.name} is 6 x 5 pixels with 1 band of uint8; the label of .*{image.name} has 1 band of 5 x 6",
        storage=storage,
    )
    write_chip(label, random_pixels("uint8", (6, 5, 3), 0))
    assert_shard_fails(tmp_path, f"{label.name} is 5 x 6 pixels with 3 bands", storage=storage)
    label.write_bytes(good[1])
    write_chip(image, random_pixels("int16", (6, 5, 3), 0))
    assert_shard_fails(tmp_path, "int16.*uint16|uint16.*int16", storage=storage)


def test_pixels_cut_off_are_named(tmp_path):
    write_tile_chips(tmp_path, shape=(64, 64, 3))
    path = tmp_path / "images" / f"{KEYS[1].replace(':', '#')}.tif"
    path.write_bytes(path.read_bytes()[:15_000])
    assert_shard_fails(tmp_path, f"{path.name} cannot be read as a raster")


def test_min_valid_needs_the_tag(tmp_path):
    write_tile_chips(tmp_path)
    write_chip(tmp_path / "images" / f"{KEYS[1].replace(':', '#')}.tif", random_pixels("uint16", (6, 5, 3), 0))
    assert_shard_fails(tmp_path, "no tag VALID", min_valid=0.1)
    write_tile_shard(tmp_path, min_valid=0.0)
