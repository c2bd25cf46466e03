"""Every storage of records, and labels that become unknown, against other decoders."""

import io
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import tensorflow_datasets as tfds
from PIL import Image

from segchips.records.dataset_description import describe_dataset
from segchips.records.dataset_files import read_info
from segchips.records.file_names import counts_path, index_name, shard_name
from segchips.records.part_counts import PartCounts
from segchips.records.record_decoding import decode_example
from segchips.records.shard_writer import write_shard
from segchips.records.tfrecord import read_records
from support.chips import write_chip
from support.tile_shards import (
    KEYS,
    assert_shard_fails,
    describe_tile_shards,
    feature_text,
    one_split_config,
    parse_shard,
    write_tile_chips,
    write_tile_shard,
)


@pytest.mark.parametrize("driver", ["GTiff", "PNG"])
def test_encoded_records_hold_the_files(tmp_path, driver):
    write_tile_chips(tmp_path, "uint8", driver=driver, **({"compress": None} if driver == "PNG" else {}))
    for record in parse_shard(write_tile_shard(tmp_path, storage="encoded")[0]):
        name = feature_text(record["identifier"]).replace(":", "#") + ".tif"
        assert record["image/image_data"].bytes_list.value[0] == (tmp_path / "images" / name).read_bytes()
        assert record["target/target_data"].bytes_list.value[0] == (tmp_path / "labels" / name).read_bytes()
        assert record["image/channels"].int64_list.value[0] == 3


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "float32"])
def test_float_storage_holds_the_values(tmp_path, dtype):
    images, labels = write_tile_chips(tmp_path, dtype)
    path, index = write_tile_shard(tmp_path, storage="float")
    for record in parse_shard(path):
        key = feature_text(record["identifier"])
        np.testing.assert_array_equal(record["image/image_data"].float_list.value, images[key].ravel())
        np.testing.assert_array_equal(record["target/target_data"].float_list.value, labels[key].ravel())
    builder = tfds.builder_from_directory(str(describe_tile_shards(tmp_path, {"train": [index]}, "float")))
    for record in builder.as_dataset(split="train").as_numpy_iterator():
        key = record["identifier"].decode()
        np.testing.assert_array_equal(record["image"]["image_data"], images[key].astype("float32"), strict=True)
        np.testing.assert_array_equal(
            record["target"]["target_data"], labels[key][..., 0].astype("float32"), strict=True
        )


@pytest.mark.parametrize(
    ("dtype", "value", "fits"),
    [
        ("int32", 2**24, 1),
        ("int32", 2**24 + 1, 0),
        ("float64", 0.5, 1),
        ("float64", 0.1, 0),
        ("float64", np.nan, 1),
        ("float64", -np.inf, 1),
        ("uint32", 2**32 - 1, 0),
        ("int64", -(2**24), 1),
        ("int64", -(2**24) - 1, 0),
        ("uint64", 2**64 - 1, 0),
        ("float64", 1e300, 0),
    ],
)
def test_float_storage_loses_nothing_silently(tmp_path, dtype, value, fits):
    write_tile_chips(tmp_path, "uint8", keys=KEYS[:1])
    write_chip(tmp_path / "images" / f"{KEYS[0].replace(':', '#')}.tif", np.full((6, 5, 3), value, dtype))
    if fits:
        record = parse_shard(write_tile_shard(tmp_path, KEYS[:1], "float")[0])[0]
        np.testing.assert_array_equal(record["image/image_data"].float_list.value, np.full(90, value, dtype))
    else:
        assert_shard_fails(
            tmp_path, f"has {dtype} values that float32 cannot hold; use storage array", keys=KEYS[:1], storage="float"
        )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("storage", ["png", "jpeg"])
def test_pictures_are_what_others_decode(tmp_path, storage, channels):
    images, labels = write_tile_chips(tmp_path, "uint8", (40, 31, channels))
    for key, image in images.items():
        image[:] = np.arange(31)[None, :, None] * 4 + np.arange(channels)
        write_chip(tmp_path / "images" / f"{key.replace(':', '#')}.tif", image)
    path, index = write_tile_shard(tmp_path, storage=storage)
    for record in parse_shard(path):
        key = feature_text(record["identifier"])
        image, label = (
            Image.open(io.BytesIO(record[name].bytes_list.value[0]))
            for name in ("image/image_data", "target/target_data")
        )
        assert (image.format, label.format) == (storage.upper(), "PNG")
        np.testing.assert_array_equal(np.array(label), labels[key][..., 0], strict=True)
        np.testing.assert_allclose(
            np.array(image).reshape(40, 31, channels), images[key], atol=6 if storage == "jpeg" else 0
        )
    builder = tfds.builder_from_directory(str(describe_tile_shards(tmp_path, {"train": [index]}, storage)))
    for record in builder.as_dataset(split="train").as_numpy_iterator():
        key = record["identifier"].decode()
        np.testing.assert_allclose(record["image"]["image_data"], images[key], atol=6 if storage == "jpeg" else 0)
        np.testing.assert_array_equal(record["target"]["target_data"], labels[key], strict=True)


def test_quality_is_that_of_the_config(tmp_path):
    write_tile_chips(tmp_path, "uint8", (64, 64, 3))
    sizes = []
    for quality in (20, 60, 95):
        write_shard(
            tmp_path / "s",
            tmp_path / "i",
            KEYS,
            {"": tmp_path / "images"},
            {"": tmp_path / "labels"},
            "train",
            replace(one_split_config("jpeg"), quality=quality),
            [0.0],
        )
        sizes.append((tmp_path / "s").stat().st_size)
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2] * 0.7


@pytest.mark.parametrize(("dtype", "channels"), [("uint16", 3), ("uint8", 4), ("uint8", 2), ("float32", 1)])
@pytest.mark.parametrize("storage", ["png", "jpeg"])
def test_what_is_no_picture_is_named(tmp_path, storage, dtype, channels):
    write_tile_chips(tmp_path, dtype, (6, 5, channels))
    assert_shard_fails(
        tmp_path, f"images/60#2.*band.* of {dtype}; storage {storage} takes 1 or 3 bands of uint8", storage=storage
    )


def chips_with_holes(root, dtype):
    """Image chips with nodata in some bands, their labels, and where (height x width) an image shows less than all."""
    rng, holes = np.random.default_rng(2), {}
    for number, key in enumerate(KEYS):
        image = rng.integers(1, 200, (6, 5, 3)).astype(dtype)
        empty = rng.random(image.shape) < (0, 0.1, 0.4, 1)[number % 4]
        image[empty] = np.nan if dtype == "float32" else 0
        holes[key] = empty.any(axis=2)
        valid = {"VALID": repr(float(1 - holes[key].mean()))}
        name = f"{key.replace(':', '#')}.tif"
        write_chip(root / "images" / name, image, nodata=np.nan if dtype == "float32" else 0, tags=valid)
        write_chip(
            root / "labels" / name, rng.integers(0, 4, (6, 5, 1), dtype=np.uint8), nodata=255, tags={"TILE": key}
        )
    return holes


@pytest.mark.parametrize(
    ("storage", "dtype"),
    [("array", "uint16"), ("array", "float32"), ("float", "uint16"), ("encoded", "uint16"), ("png", "uint8")],
)
@pytest.mark.parametrize("unknown", [254, None])
def test_labels_are_unknown_where_a_band_of_the_image_has_no_value(tmp_path, storage, dtype, unknown):
    holes = chips_with_holes(tmp_path, dtype)
    assert any(hole.any() for hole in holes.values()) and not all(hole.any() for hole in holes.values())
    names = [tmp_path / name("parcels", "train", 0, 1) for name in (shard_name, index_name)]
    folders, config = ({"": tmp_path / "images"}, {"": tmp_path / "labels"}), one_split_config(storage)
    write_shard(*names, KEYS, *folders, "train", config, [0.0], unknown=[unknown])
    indices = {"train": [names[1]]}
    example = f"{KEYS[0].replace(':', '#')}.tif"
    chips = {"": tmp_path / "images" / example}, {"": tmp_path / "labels" / example}
    describe_dataset(tmp_path, "parcels", config, indices, *chips, [255], [unknown])
    info = read_info(tmp_path)
    assert (info.unknown[""], info.label.nodata) == (unknown, 255)
    total = np.zeros(256, int)
    for payload in read_records(names[0]):
        found = decode_example(payload, info)
        key = found["identifier"]
        with rasterio.open(tmp_path / "labels" / f"{key.replace(':', '#')}.tif") as chip:
            wanted = np.where(holes[key], 254, chip.read(1)) if unknown else chip.read(1)
        np.testing.assert_array_equal(found["label"], wanted)
        total += np.bincount(wanted.ravel(), minlength=256)
    assert total.sum() == 30 * len(KEYS)
    assert PartCounts.read(counts_path(names[1]), [""], [""]).of_target("")[""].pixels_by_class == {
        value: total[value] for value in np.flatnonzero(total)
    }
