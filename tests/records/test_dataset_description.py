"""The files that describe shards, as TensorFlow Datasets reads them."""

import json

import numpy as np
import pytest
import tensorflow_datasets as tfds

from segchips.errors import InputError
from segchips.records.file_names import shard_name
from support.tile_shards import KEYS, describe_tile_shards, write_tile_chips, write_tile_shard


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int32", "int64", "float32", "float64"])
def test_tensorflow_datasets_opens_arrays(tmp_path, dtype):
    images, labels = write_tile_chips(tmp_path, dtype)
    indices = {
        "train": [
            write_tile_shard(tmp_path, keys, number=n, shards=3)[1] for n, keys in enumerate((KEYS[:2], [], KEYS[2:]))
        ],
        "val": [write_tile_shard(tmp_path, [], split="val")[1]],
    }
    builder = tfds.builder_from_directory(str(describe_tile_shards(tmp_path, indices)))
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
    images, _ = write_tile_chips(tmp_path, dtype)
    builder = tfds.builder_from_directory(
        str(describe_tile_shards(tmp_path, {"train": [write_tile_shard(tmp_path, storage=storage)[1]]}, storage))
    )
    for record in builder.as_dataset(split="train").as_numpy_iterator():
        key = record["identifier"].decode()
        path = tmp_path / "images" / f"{key.replace(':', '#')}.tif"
        assert record["image"]["image_data"] == (images[key].tobytes() if storage == "array" else path.read_bytes())


def test_descriptions_are_json_without_nan(tmp_path):
    write_tile_chips(tmp_path, "float32", nodata=float("nan"))
    directory = describe_tile_shards(tmp_path, {"train": [write_tile_shard(tmp_path)[1]]})
    for name in ("features", "dataset_info", "metadata"):
        json.loads((directory / f"{name}.json").read_text(), parse_constant=lambda constant: pytest.fail(constant))


def test_shards_whose_chips_differ_are_named(tmp_path):
    write_tile_chips(tmp_path, "uint16", keys=KEYS[:2])
    first = write_tile_shard(tmp_path, KEYS[:2], number=0, shards=2)[1]
    write_tile_chips(tmp_path, "uint8", keys=KEYS[2:])
    second = write_tile_shard(tmp_path, KEYS[2:], number=1, shards=2)[1]
    message = "is 5 x 6 pixels with 3 bands of uint8, others 5 x 6 pixels with 3 bands of uint16"
    with pytest.raises(InputError, match=f"tile 60:2:10.0:33:.* {message}"):
        describe_tile_shards(tmp_path, {"train": [first, second]})
