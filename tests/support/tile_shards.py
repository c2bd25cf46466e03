"""Shards of tiles with random chips, and their records as TensorFlow parses them."""

import json

import pytest
import tensorflow as tf

from segchips.config.tfrecords import TFRecordsConfig
from segchips.errors import InputError
from segchips.records.dataset_description import describe_dataset
from segchips.records.file_names import index_name, shard_name
from segchips.records.shard_writer import write_shard
from support.chips import random_pixels, write_chip

KEYS = [f"60:2:10.0:33:{path}:{row}" for path, row in ((-58, 8465), (-57, 8465), (0, 0), (3, -12), (4, 7))]
DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "uint64", "float32", "float64"]
DAY = "2017-01-02T10:00:00Z"


def one_split_config(storage="array", compression=None):
    """One shard in one split."""
    return TFRecordsConfig(storage, 1, compression, {"train": 1.0})


def write_tile_chips(root, dtype="uint16", shape=(6, 5, 3), keys=KEYS, **options):
    """Write image and label chips of tiles; returns the pixels of each by key."""
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


def write_tile_shard(
    root, keys=KEYS, storage="array", compression=None, min_valid=0.0, split="train", number=0, shards=1
):
    """Write a shard of tiles; returns its path and that of its index."""
    out = root / "tfrecords"
    paths = out / shard_name("sample", split, number, shards), out / index_name("sample", split, number, shards)
    write_shard(
        *paths,
        keys,
        {"": root / "images"},
        {"": root / "labels"},
        split,
        one_split_config(storage, compression),
        [min_valid],
    )
    return paths


def describe_tile_shards(root, indices, storage="array", compression=None):
    """Describe shards that `write_tile_shard` wrote; returns their directory."""
    name = f"{KEYS[0].replace(':', '#')}.tif"
    describe_dataset(
        root / "tfrecords",
        "sample",
        one_split_config(storage, compression),
        indices,
        {"": root / "images" / name},
        {"": root / "labels" / name},
        [255],
    )
    return root / "tfrecords"


def parse_shard(path, compression=None):
    """The features of each record, parsed by TensorFlow."""
    return [
        tf.train.Example.FromString(record.numpy()).features.feature
        for record in tf.data.TFRecordDataset(str(path), compression)
    ]


def feature_text(feature):
    """The text of a feature."""
    return feature.bytes_list.value[0].decode()


def assert_shard_fails(root, message, **options):
    """Check that no shard is written, for an InputError with this message."""
    with pytest.raises(InputError, match=message):
        write_tile_shard(root, **options)
    assert not list((root / "tfrecords").iterdir())
