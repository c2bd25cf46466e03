"""shards.py and description.py against rasterio's pixels, TensorFlow's parser and TensorFlow Datasets."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from segchips.config.tfrecords import TFRecordsConfig
from segchips.errors import InputError
from segchips.records.dataset_description import describe_dataset
from segchips.records.dataset_files import read_info
from segchips.records.file_names import counts_path, index_name, shard_name
from segchips.records.pixel_counts import PixelCounts
from segchips.records.record_decoding import decode_example
from segchips.records.shard_index import read_index
from segchips.records.shard_writer import write_shard
from segchips.records.tfrecord import read_records
from support.chips import TRANSFORM, random_pixels, write_chip

KEYS = [f"60:2:10.0:33:{path}:{row}" for path, row in ((-58, 8465), (-57, 8465), (0, 0), (3, -12), (4, 7))]
DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "uint64", "float32", "float64"]


def config(storage="array", compression=None):
    return TFRecordsConfig(storage, 1, compression, {"train": 1.0})


DAY = "2017-01-02T10:00:00Z"


def folder(root, dtype="uint16", shape=(6, 5, 3), keys=KEYS, **options):
    images, labels, limit = {}, {}, options.pop("limit", None)
    for seed, key in enumerate(keys):
        name = f"{key.replace(':', '#')}.tif"
        used = {"s2": [{"id": f"b {seed}", "acquired": "2017-01-03T10:00:00Z"}, {"id": "a", "acquired": DAY}]}
        tags = {"VALID": f"{seed / 4}", "SCENES": json.dumps(used)}
        images[key], labels[key] = (
            random_pixels(dtype, shape, seed, limit),
            random_pixels("uint8", (*shape[:2], 1), 100 + seed),
        )
        bands = [f"band{number}" for number in range(shape[2])]
        write_chip(root / "images" / name, images[key], **{"compress": "lzw", "tags": tags, "bands": bands} | options)
        write_chip(root / "labels" / name, labels[key], nodata=255)
    return images, labels


def shard(root, keys=KEYS, storage="array", compression=None, min_valid=0.0, split="train", number=0, shards=1):
    out = root / "tfrecords"
    paths = out / shard_name("sample", split, number, shards), out / index_name("sample", split, number, shards)
    write_shard(*paths, keys, root / "images", root / "labels", split, config(storage, compression), min_valid)
    return paths


def describe(root, indices, storage="array", compression=None):
    name = f"{KEYS[0].replace(':', '#')}.tif"
    describe_dataset(
        root / "tfrecords",
        "sample",
        config(storage, compression),
        indices,
        root / "images" / name,
        root / "labels" / name,
        255,
    )
    return root / "tfrecords"


def examples(path, compression=None):
    return [
        tf.train.Example.FromString(record.numpy()).features.feature
        for record in tf.data.TFRecordDataset(str(path), compression)
    ]


def text(feature):
    return feature.bytes_list.value[0].decode()


def test_names_are_those_of_tensorflow_datasets():
    assert shard_name("mumbai_2017", "train", 0, 12) == "mumbai_2017-train.tfrecord-00000-of-00012"
    assert index_name("mumbai_2017", "train", 11, 12) == "mumbai_2017-train.index-00011-of-00012.csv"


@pytest.mark.parametrize("compression", [None, "GZIP", "ZLIB"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_come_out_as_they_went_in(tmp_path, dtype, compression):
    images, labels = folder(tmp_path, dtype)
    path, _ = shard(tmp_path, compression=compression)
    found = examples(path, compression)
    assert sorted(text(record["identifier"]) for record in found) == sorted(KEYS)
    for record in found:
        key = text(record["identifier"])
        data = record["image/image_data"].bytes_list.value[0]
        assert data == images[key].astype(images[key].dtype.newbyteorder("<")).tobytes()
        assert record["target/target_data"].bytes_list.value[0] == labels[key].tobytes()
        assert text(record["image/dtype"]) == dtype
        assert text(record["target/dtype"]) == "uint8"


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 5, 1), (4, 9, 3), (17, 16, 4), (33, 31, 13)])
@pytest.mark.parametrize(
    "options", [{}, {"tiled": True, "blockxsize": 16, "blockysize": 16}, {"interleave": "pixel"}, {"endianness": "big"}]
)
def test_every_shape_and_layout(tmp_path, shape, options):
    images, labels = folder(tmp_path, "int16", shape, KEYS[:2], **options)
    for record in examples(shard(tmp_path, KEYS[:2])[0]):
        key = text(record["identifier"])
        size = [record[f"image/{name}"].int64_list.value[0] for name in ("height", "width", "channels")]
        assert tuple(size) == shape
        assert [record[f"target/{name}"].int64_list.value[0] for name in ("height", "width")] == size[:2]
        assert record["image/image_data"].bytes_list.value[0] == images[key].astype("<i2").tobytes()


def test_georeference_and_split_lose_nothing(tmp_path):
    folder(tmp_path)
    for record in examples(shard(tmp_path, split="val")[0]):
        assert text(record["crs"]) == "EPSG:32633"
        assert tuple(map(float, text(record["transform"]).split())) == TRANSFORM.to_gdal()
        assert text(record["split"]) == "val"
        assert set(record) == {
            *(f"image/{name}" for name in ("image_data", "height", "width", "channels", "dtype")),
            *(f"target/{name}" for name in ("target_data", "height", "width", "dtype")),
            *("identifier", "crs", "transform", "split", "bands", "acquired"),
        }


@pytest.mark.parametrize("quick", [True, False])
def test_bands_and_acquisitions_are_those_of_the_chip(tmp_path, quick):
    folder(tmp_path, keys=KEYS[:1])
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
    (record,) = examples(shard(tmp_path, KEYS[:1])[0])
    assert json.loads(text(record["bands"])) == list(names)
    assert json.loads(text(record["acquired"])) == ["2016-12-26T10:04:11Z", "2017-01-05T10:04:08Z"]


def test_a_chip_without_names_and_scenes_has_empty_lists(tmp_path):
    folder(tmp_path, keys=KEYS[:2], bands=None)
    for key, tags in ((KEYS[0], {"SCENES": "[no"}), (KEYS[1], {})):
        write_chip(tmp_path / "images" / f"{key.replace(':', '#')}.tif", random_pixels("uint16", (6, 5, 3)), tags=tags)
    for record in examples(shard(tmp_path, KEYS[:2])[0]):
        assert text(record["bands"]) == text(record["acquired"]) == "[]"


@pytest.mark.parametrize("driver", ["GTiff", "PNG"])
def test_encoded_records_hold_the_files(tmp_path, driver):
    folder(tmp_path, "uint8", driver=driver, **({"compress": None} if driver == "PNG" else {}))
    for record in examples(shard(tmp_path, storage="encoded")[0]):
        name = text(record["identifier"]).replace(":", "#") + ".tif"
        assert record["image/image_data"].bytes_list.value[0] == (tmp_path / "images" / name).read_bytes()
        assert record["target/target_data"].bytes_list.value[0] == (tmp_path / "labels" / name).read_bytes()
        assert record["image/channels"].int64_list.value[0] == 3


@pytest.mark.parametrize("compression", [None, "GZIP"])
def test_the_index_accounts_for_every_tile(tmp_path, compression):
    folder(tmp_path)
    path, index = shard(tmp_path, min_valid=0.5, compression=compression)
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
    assert made == [text(record["identifier"]) for record in examples(path, compression)]


def test_the_index_finds_each_record_in_the_file(tmp_path):
    folder(tmp_path)
    path, index = shard(tmp_path)
    for entry in read_index(index):
        payload = path.read_bytes()[entry.offset + 12 : entry.offset + entry.length - 4]
        assert text(tf.train.Example.FromString(payload).features.feature["identifier"]) == entry.tile


def test_order_depends_on_the_tiles_alone(tmp_path):
    folder(tmp_path)
    path, index = shard(tmp_path)
    first = path.read_bytes(), index.read_bytes()
    assert shard(tmp_path, KEYS[::-1])[0].read_bytes() == first[0]
    assert index.read_bytes() == first[1]
    assert [entry.tile for entry in read_index(index)] not in (sorted(KEYS), sorted(KEYS, reverse=True))
    shard(tmp_path, KEYS[:3])
    assert [e.tile for e in read_index(index)] == [
        line.split(",")[0] for line in first[1].decode().splitlines() if line.split(",")[0] in KEYS[:3]
    ]


def fails(root, message, **options):
    with pytest.raises(InputError, match=message):
        shard(root, **options)
    assert not list((root / "tfrecords").iterdir())


@pytest.mark.parametrize("storage", ["array", "encoded"])
def test_a_chip_that_cannot_be_one_is_named(tmp_path, storage):
    folder(tmp_path)
    image, label = (tmp_path / kind / f"{KEYS[2].replace(':', '#')}.tif" for kind in ("images", "labels"))
    good = image.read_bytes(), label.read_bytes()
    for path, content, what in (
        (image, b"", "is empty"),
        (label, b"no image", "cannot be read"),
        (image, good[0][:60], "cannot be read"),
    ):
        path.write_bytes(content)
        fails(tmp_path, f"{path.parent.name}/{path.name} {what}", storage=storage)
        image.write_bytes(good[0]), label.write_bytes(good[1])
    image.unlink()
    fails(tmp_path, f"images/{image.name} cannot be read", storage=storage)
    image.write_bytes(good[0])
    write_chip(label, random_pixels("uint8", (5, 6, 1), 0))
    fails(
        tmp_path,
        f"{label.name} is 6 x 5 pixels with 1 band of uint8; the label of .*{image.name} has 1 band of 5 x 6",
        storage=storage,
    )
    write_chip(label, random_pixels("uint8", (6, 5, 3), 0))
    fails(tmp_path, f"{label.name} is 5 x 6 pixels with 3 bands", storage=storage)
    label.write_bytes(good[1])
    write_chip(image, random_pixels("int16", (6, 5, 3), 0))
    fails(tmp_path, "int16.*uint16|uint16.*int16", storage=storage)


def test_pixels_cut_off_are_named(tmp_path):
    folder(tmp_path, shape=(64, 64, 3))
    path = tmp_path / "images" / f"{KEYS[1].replace(':', '#')}.tif"
    path.write_bytes(path.read_bytes()[:15_000])
    fails(tmp_path, f"{path.name} cannot be read as a raster")


def test_min_valid_needs_the_tag(tmp_path):
    folder(tmp_path)
    write_chip(tmp_path / "images" / f"{KEYS[1].replace(':', '#')}.tif", random_pixels("uint16", (6, 5, 3), 0))
    fails(tmp_path, "no tag VALID", min_valid=0.1)
    shard(tmp_path, min_valid=0.0)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int32", "int64", "float32", "float64"])
def test_tensorflow_datasets_opens_arrays(tmp_path, dtype):
    images, labels = folder(tmp_path, dtype)
    indices = {
        "train": [shard(tmp_path, keys, number=n, shards=3)[1] for n, keys in enumerate((KEYS[:2], [], KEYS[2:]))],
        "val": [shard(tmp_path, [], split="val")[1]],
    }
    builder = tfds.builder_from_directory(str(describe(tmp_path, indices)))
    assert {name: split.shard_lengths for name, split in builder.info.splits.items()} == {
        "train": [2, 0, 3],
        "val": [0],
    }
    assert builder.info.splits["train"].num_bytes == sum(
        index.with_name(shard_name("sample", "train", n, 3)).stat().st_size for n, index in enumerate(indices["train"])
    )
    found = list(builder.as_dataset(split="train").as_numpy_iterator())
    assert sorted(record["identifier"].decode() for record in found) == sorted(KEYS)
    for record in found:
        key = record["identifier"].decode()
        assert record["image"]["image_data"].dtype == dtype
        np.testing.assert_array_equal(record["image"]["image_data"], images[key])
        np.testing.assert_array_equal(record["target"]["target_data"], labels[key][..., 0])
        assert record["image"]["channels"] == 3
    metadata = builder.info.metadata
    assert metadata["image"]["bands"] == ["band0", "band1", "band2"]
    assert metadata["label"]["nodata"] == 255


@pytest.mark.parametrize(("storage", "dtype"), [("array", "uint32"), ("array", "uint64"), ("encoded", "uint16")])
def test_tensorflow_datasets_gives_the_bytes_of_what_it_cannot_decode(tmp_path, storage, dtype):
    images, _ = folder(tmp_path, dtype)
    builder = tfds.builder_from_directory(
        str(describe(tmp_path, {"train": [shard(tmp_path, storage=storage)[1]]}, storage))
    )
    for record in builder.as_dataset(split="train").as_numpy_iterator():
        key = record["identifier"].decode()
        path = tmp_path / "images" / f"{key.replace(':', '#')}.tif"
        assert record["image"]["image_data"] == (images[key].tobytes() if storage == "array" else path.read_bytes())


def test_descriptions_are_json_without_nan(tmp_path):
    folder(tmp_path, "float32", nodata=float("nan"))
    directory = describe(tmp_path, {"train": [shard(tmp_path)[1]]})
    for name in ("features", "dataset_info", "metadata"):
        json.loads((directory / f"{name}.json").read_text(), parse_constant=lambda constant: pytest.fail(constant))


def test_shards_whose_chips_differ_are_named(tmp_path):
    folder(tmp_path, "uint16", keys=KEYS[:2])
    first = shard(tmp_path, KEYS[:2], number=0, shards=2)[1]
    folder(tmp_path, "uint8", keys=KEYS[2:])
    second = shard(tmp_path, KEYS[2:], number=1, shards=2)[1]
    message = "is 5 x 6 pixels with 3 bands of uint8, others 5 x 6 pixels with 3 bands of uint16"
    with pytest.raises(InputError, match=f"tile 60:2:10.0:33:.* {message}"):
        describe(tmp_path, {"train": [first, second]})


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "float32"])
def test_float_storage_holds_the_values(tmp_path, dtype):
    images, labels = folder(tmp_path, dtype)
    path, index = shard(tmp_path, storage="float")
    for record in examples(path):
        key = text(record["identifier"])
        np.testing.assert_array_equal(record["image/image_data"].float_list.value, images[key].ravel())
        np.testing.assert_array_equal(record["target/target_data"].float_list.value, labels[key].ravel())
    builder = tfds.builder_from_directory(str(describe(tmp_path, {"train": [index]}, "float")))
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
    folder(tmp_path, "uint8", keys=KEYS[:1])
    write_chip(tmp_path / "images" / f"{KEYS[0].replace(':', '#')}.tif", np.full((6, 5, 3), value, dtype))
    if fits:
        record = examples(shard(tmp_path, KEYS[:1], "float")[0])[0]
        np.testing.assert_array_equal(record["image/image_data"].float_list.value, np.full(90, value, dtype))
    else:
        fails(
            tmp_path, f"has {dtype} values that float32 cannot hold; use storage array", keys=KEYS[:1], storage="float"
        )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("storage", ["png", "jpeg"])
def test_pictures_are_what_others_decode(tmp_path, storage, channels):
    images, labels = folder(tmp_path, "uint8", (40, 31, channels))
    for key, image in images.items():
        image[:] = np.arange(31)[None, :, None] * 4 + np.arange(channels)
        write_chip(tmp_path / "images" / f"{key.replace(':', '#')}.tif", image)
    path, index = shard(tmp_path, storage=storage)
    for record in examples(path):
        key = text(record["identifier"])
        image, label = (
            Image.open(io.BytesIO(record[name].bytes_list.value[0]))
            for name in ("image/image_data", "target/target_data")
        )
        assert (image.format, label.format) == (storage.upper(), "PNG")
        np.testing.assert_array_equal(np.array(label), labels[key][..., 0], strict=True)
        np.testing.assert_allclose(
            np.array(image).reshape(40, 31, channels), images[key], atol=6 if storage == "jpeg" else 0
        )
    builder = tfds.builder_from_directory(str(describe(tmp_path, {"train": [index]}, storage)))
    for record in builder.as_dataset(split="train").as_numpy_iterator():
        key = record["identifier"].decode()
        np.testing.assert_allclose(record["image"]["image_data"], images[key], atol=6 if storage == "jpeg" else 0)
        np.testing.assert_array_equal(record["target"]["target_data"], labels[key], strict=True)


def test_quality_is_that_of_the_config(tmp_path):
    folder(tmp_path, "uint8", (64, 64, 3))
    sizes = []
    for quality in (20, 60, 95):
        write_shard(
            tmp_path / "s",
            tmp_path / "i",
            KEYS,
            tmp_path / "images",
            tmp_path / "labels",
            "train",
            replace(config("jpeg"), quality=quality),
            0.0,
        )
        sizes.append((tmp_path / "s").stat().st_size)
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2] * 0.7


@pytest.mark.parametrize(("dtype", "channels"), [("uint16", 3), ("uint8", 4), ("uint8", 2), ("float32", 1)])
@pytest.mark.parametrize("storage", ["png", "jpeg"])
def test_what_is_no_picture_is_named(tmp_path, storage, dtype, channels):
    folder(tmp_path, dtype, (6, 5, channels))
    fails(tmp_path, f"images/60#2.*band.* of {dtype}; storage {storage} takes 1 or 3 bands of uint8", storage=storage)


# Unknown labels.


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
    write_shard(*names, KEYS, tmp_path / "images", tmp_path / "labels", "train", config(storage), 0.0, unknown=unknown)
    indices = {"train": [names[1]]}
    example = f"{KEYS[0].replace(':', '#')}.tif"
    chips = tmp_path / "images" / example, tmp_path / "labels" / example
    describe_dataset(tmp_path, "parcels", config(storage), indices, *chips, 255, unknown)
    info = read_info(tmp_path)
    assert (info.unknown, info.label.nodata) == (unknown, 255)
    total = np.zeros(256, int)
    for payload in read_records(names[0]):
        found = decode_example(payload, info)
        key = found["identifier"]
        with rasterio.open(tmp_path / "labels" / f"{key.replace(':', '#')}.tif") as chip:
            wanted = np.where(holes[key], 254, chip.read(1)) if unknown else chip.read(1)
        np.testing.assert_array_equal(found["label"], wanted)
        total += np.bincount(wanted.ravel(), minlength=256)
    assert total.sum() == 30 * len(KEYS)
    assert PixelCounts.read(counts_path(names[1])).pixels_by_class == {
        value: total[value] for value in np.flatnonzero(total)
    }
