"""Small files to damage, and damaged copies of them."""

import json

import numpy as np

from segchips.records.dataset_description import describe_dataset
from segchips.records.file_names import index_name, shard_name
from segchips.records.shard_writer import write_shard
from segchips.scenes.model import Band, Scene
from segchips.scenes.pinning import SceneLock
from support.chips import records_config, write_chip
from support.datasets import parse_utc

SEED, ROUNDS = 1701, 250
KEYS = [f"60:2:10.0:33:{path}:8465" for path in range(4)]


def damaged_copy(draws, content):
    """The bytes with some changed, cut, doubled, zeroed or put in the wrong place."""
    data = bytearray(content)
    for _ in range(draws.choice([1, 1, 1, 2, 5])):
        at = draws.randrange(len(data) or 1)
        end = min(len(data), at + draws.choice([1, 4, 16, 200]))
        kind = draws.randrange(6)
        if not data:
            break
        if kind == 0:
            data[at] ^= 1 << draws.randrange(8)
        elif kind == 1:
            data[at] = draws.choice([0, 1, 127, 128, 255])
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            del data[at:end]
        elif kind == 4:
            data[at:at] = data[at:end]
        else:
            data[at:end] = draws.randbytes(end - at)
    return bytes(data)


def write_small_dataset(folder, compression, storage="array"):
    """A small dataset of one shard."""
    for number, key in enumerate(KEYS):
        rng, name = np.random.default_rng(number), f"{key.replace(':', '#')}.tif"
        write_chip(folder / "images" / name, rng.integers(0, 9, (6, 5, 3)).astype("uint8"))
        write_chip(folder / "labels" / name, rng.integers(0, 3, (6, 5, 1)).astype("uint8"), nodata=255)
    out, how = folder / "tfrecords", records_config(storage, 1, compression, {"train": 1.0})
    shard, index = out / shard_name("d", "train", 0, 1), out / index_name("d", "train", 0, 1)
    write_shard(shard, index, KEYS, {"": folder / "images"}, {"": folder / "labels"}, "train", how, [0.0])
    name = f"{KEYS[0].replace(':', '#')}.tif"
    image, label = {"": folder / "images" / name}, {"": folder / "labels" / name}
    describe_dataset(out, "d", how, {"train": [index]}, image, label, [255])
    return shard


def small_scene_lock():
    assets = {"B1": [("B1", Band("https://e.com/a.tif", 1, 0.0, 0.0001, -0.1))]}
    scenes = [
        Scene(
            "s2", f"scene{number}", parse_utc(f"2017-07-{number + 1:02}T10:00:00Z"), number / 40, assets, b"\x01" * 93
        )
        for number in range(25)
    ]
    tiles = {f"60:2:10.0:33:{path}:8465": tuple(range(path % 7, 25, 5)) for path in range(60)} | {"bare": ()}
    return SceneLock.of(json.dumps({"catalog": "catalog.json"}), tuple(scenes), tiles)
