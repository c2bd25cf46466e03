"""Measurements in standard deviations, beside a target of classes, against NumPy over all chips."""

import numpy as np
import pytest

import segchips
from segchips.errors import InputError
from segchips.records.dataset_description import describe_dataset
from segchips.records.file_names import index_name, shard_name
from segchips.records.shard_writer import write_shard
from support.chips import write_chip
from support.tile_shards import KEYS, one_split_config, write_tile_chips


@pytest.fixture(scope="module", params=["array", "encoded"])
def shards(request, tmp_path_factory):
    """Shards with the targets cover and height, and the heights of each chip."""
    root, config = tmp_path_factory.mktemp(request.param), one_split_config(request.param)
    write_tile_chips(root, "uint8")
    heights = {}
    for number, key in enumerate(KEYS):
        heights[key] = np.random.default_rng(number).normal(300, 20, (6, 5)).astype("float32")
        heights[key][number % 6, :number] = np.nan
        write_chip(root / "height" / f"{key.replace(':', '#')}.tif", heights[key][..., None], nodata=np.nan)
    paths = root / "out" / shard_name("a", "train", 0, 1), root / "out" / index_name("a", "train", 0, 1)
    targets = {"cover": root / "labels", "height": root / "height"}
    write_shard(*paths, KEYS, {"": root / "images"}, targets, "train", config, [0.0], unknown=[None, None])
    name = f"{KEYS[0].replace(':', '#')}.tif"
    chips = {target: folder / name for target, folder in targets.items()}
    describe_dataset(
        root / "out", "a", config, {"train": [paths[1]]}, {"": root / "images" / name}, chips, [255, None],
        [None, None], ["classes", "continuous"],
    )  # fmt: skip
    return root / "out", heights


def expected(heights):
    every = np.concatenate([one[~np.isnan(one)] for one in heights.values()]).astype("float64")
    return {key: (one - every.mean()) / every.std() for key, one in heights.items()}


def check(shards, chips):
    directory, heights = shards
    scaled, seen = expected(heights), 0
    for chip in chips:
        key = chip["identifier"] if isinstance(chip["identifier"], str) else chip["identifier"].decode()
        height = np.asarray(chip["height"])
        assert height.dtype == np.float32 and np.asarray(chip["cover"]).dtype == np.uint8
        np.testing.assert_allclose(height, scaled[key], atol=1e-5)
        seen += 1
    assert seen == len(KEYS)


@pytest.mark.parametrize("kind", ["Chips", "ChipStream"])
def test_pytorch(shards, kind):
    pytest.importorskip("torch")
    check(shards, getattr(segchips, kind)(shards[0], "train", normalise_labels=True))


@pytest.mark.parametrize("batch", [None, 2])
def test_tensorflow(shards, batch):
    loaded = segchips.load(shards[0], "train", batch=batch, normalise_labels="train")
    check(shards, (loaded.unbatch() if batch else loaded).as_numpy_iterator())


def test_what_has_no_measurements_is_named(tmp_path, shards):
    from support.tile_shards import describe_tile_shards, write_tile_shard

    write_tile_chips(tmp_path)
    directory = describe_tile_shards(tmp_path, {"train": [write_tile_shard(tmp_path)[1]]})
    with pytest.raises(InputError, match="no target of kind 'continuous'; remove normalise_labels"):
        segchips.load(directory, "train", normalise_labels=True)
    with pytest.raises(InputError, match="no split 'test' to normalise by; name one with normalise_labels: train"):
        segchips.load(shards[0], "train", normalise_labels="test")
