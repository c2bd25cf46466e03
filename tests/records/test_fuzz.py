"""Damaged files of every kind: an error for users that names the file, or what was written; no crash, hang or lie."""

import json
import random
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from google_crc32c import value as crc32c

from segchips.errors import InputError, RecordError, SegchipsError
from segchips.records.dataset_description import describe_dataset
from segchips.records.dataset_files import read_info
from segchips.records.file_names import index_name, index_path, shard_name
from segchips.records.record_decoding import decode_example, read
from segchips.records.shard_index import read_index
from segchips.records.shard_writer import write_shard
from segchips.records.tf_example import decode
from segchips.records.tfrecord import read_record, read_records
from segchips.scenes.lock import read_lock, write_lock
from segchips.scenes.model import Band, Scene
from segchips.scenes.pinning import SceneLock
from segchips.training.verification import verify
from support.chips import records_config, write_chip
from support.datasets import parse_utc

SEED, ROUNDS = 1701, 250
KEYS = [f"60:2:10.0:33:{path}:8465" for path in range(4)]


def damaged(draws, content):
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


def made(folder, compression, storage="array"):
    """A small dataset of one shard."""
    for number, key in enumerate(KEYS):
        rng, name = np.random.default_rng(number), f"{key.replace(':', '#')}.tif"
        write_chip(folder / "images" / name, rng.integers(0, 9, (6, 5, 3)).astype("uint8"))
        write_chip(folder / "labels" / name, rng.integers(0, 3, (6, 5, 1)).astype("uint8"), nodata=255)
    out, how = folder / "tfrecords", records_config(storage, 1, compression, {"train": 1.0})
    shard, index = out / shard_name("d", "train", 0, 1), out / index_name("d", "train", 0, 1)
    write_shard(shard, index, KEYS, folder / "images", folder / "labels", "train", how, 0.0)
    name = f"{KEYS[0].replace(':', '#')}.tif"
    describe_dataset(out, "d", how, {"train": [index]}, folder / "images" / name, folder / "labels" / name, 255)
    return shard


@pytest.mark.parametrize("compression", [None, "GZIP", "ZLIB"])
def test_a_damaged_shard_gives_the_records_before_the_damage_or_an_error(tmp_path, compression):
    shard, draws = made(tmp_path, compression), random.Random(SEED)
    right, content = list(read_records(shard, compression)), shard.read_bytes()
    places = [(entry.offset, entry.length) for entry in read_index(index_path(shard))]
    for _ in range(ROUNDS):
        shard.write_bytes(damaged(draws, content))
        found = []
        try:
            for record in read_records(shard, compression):
                found.append(record)
        except RecordError as error:
            assert str(shard) in str(error)
            assert found == right[: len(found)]
        else:
            assert all(record in right for record in found)
        for place, record in zip(places, right, strict=True):
            with suppress(RecordError):
                assert read_record(shard, *place, compression) == record
        assert shard.read_bytes() == content or verify(shard.parent) or found == right


@pytest.mark.parametrize("storage", ["array", "float", "encoded", "png"])
def test_a_record_that_lies_with_a_right_checksum_is_as_described_or_an_error(tmp_path, storage):
    shard, draws = made(tmp_path, None, storage), random.Random(SEED)
    info, (payload, *_) = read_info(shard.parent), list(read_records(shard))
    for _ in range(ROUNDS):
        try:
            example = decode_example(damaged(draws, payload), info)
        except SegchipsError as error:
            assert "\n" not in str(error)
        else:
            assert (example["image"].shape, example["image"].dtype) == ((6, 5, 3), np.uint8)
            assert (example["label"].shape, example["label"].dtype) == ((6, 5), np.uint8)


def framed(size, payload):
    def masked(data):
        crc = crc32c(data)
        return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)

    head = struct.pack("<Q", size)
    return head + masked(head) + payload + masked(payload)


@pytest.mark.parametrize("size", [2**40, 2**62, 2**63, 2**64 - 1])
@pytest.mark.parametrize("compression", [None, "GZIP"])
def test_a_record_of_impossible_size_is_an_error(tmp_path, size, compression):
    import gzip

    content = framed(size, b"short")
    (tmp_path / "shard").write_bytes(gzip.compress(content) if compression else content)
    with pytest.raises(RecordError):
        list(read_records(tmp_path / "shard", compression))


def test_a_number_without_end_takes_no_time():
    with pytest.raises(RecordError):
        decode(b"\xff" * 5_000_000)


@pytest.mark.parametrize("name", ["index", "dataset_info.json", "metadata.json"])
def test_a_damaged_description_is_an_error_or_describes(tmp_path, name):
    shard, draws = made(tmp_path, None), random.Random(SEED)
    path = index_path(shard) if name == "index" else shard.parent / name
    content = path.read_bytes()
    right = [read(shard.parent, key)["image"].tobytes() for key in KEYS]
    for _ in range(ROUNDS):
        path.write_bytes(damaged(draws, content))
        for key, pixels in zip(KEYS, right, strict=True):
            try:
                assert read(shard.parent, key)["image"].tobytes() == pixels
            except SegchipsError as error:
                assert "\n" not in str(error)


JUNK = [None, "", "x", -1, 10**30, 1.5, True, [], {}, [[]], "nan", "object", [-1, 3], ["a"], [2**40] * 3]


@pytest.mark.parametrize("name", ["dataset_info.json", "metadata.json"])
def test_a_description_of_other_values_is_an_error_or_describes(tmp_path, name):
    shard, draws = made(tmp_path, None), random.Random(SEED)
    path = shard.parent / name
    content = json.loads(path.read_text())
    for _ in range(ROUNDS):
        changed = json.loads(json.dumps(content))
        place, last, key = changed, None, None
        while isinstance(place, dict | list) and place and (last is None or draws.random() < 0.7):
            key = draws.choice(list(place) if isinstance(place, dict) else range(len(place)))
            last, place = place, place[key]
        last[key] = draws.choice(JUNK)
        path.write_text(json.dumps(changed))
        try:
            example = read(shard.parent, KEYS[0])
            info = read_info(shard.parent)
            assert example["image"].shape == info.image.shape and example["image"].dtype == info.image.dtype
        except SegchipsError as error:
            assert "\n" not in str(error)


def lock():
    assets = {"B1": [("B1", Band("https://e.com/a.tif", 1, 0.0, 0.0001, -0.1))]}
    scenes = [
        Scene(
            "s2", f"scene{number}", parse_utc(f"2017-07-{number + 1:02}T10:00:00Z"), number / 40, assets, b"\x01" * 93
        )
        for number in range(25)
    ]
    tiles = {f"60:2:10.0:33:{path}:8465": tuple(range(path % 7, 25, 5)) for path in range(60)} | {"bare": ()}
    return SceneLock(json.dumps({"catalog": "catalog.json"}), tuple(scenes), tiles)


def test_a_damaged_scene_lock_is_an_error_or_says_what_it_said(tmp_path):
    path, draws = tmp_path / "scenes.parquet", random.Random(SEED)
    write_lock(path, lock())
    right, content = read_lock(path), path.read_bytes()
    outcomes = {"named": 0, "same": 0}
    for _ in range(3 * ROUNDS):
        path.write_bytes(damaged(draws, content))
        try:
            found = read_lock(path)
        except InputError as error:
            assert str(error).startswith(f"{path}: not a scene lock") and "\n" not in str(error)
            outcomes["named"] += 1
        else:
            assert found == right and [s.footprint for s in found.scenes] == [s.footprint for s in right.scenes]
            outcomes["same"] += 1
    assert outcomes["named"] > ROUNDS


def test_a_scene_lock_that_somebody_has_edited_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "scenes.parquet"
    write_lock(path, lock())
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    with pytest.raises(InputError, match="not a scene lock"):
        read_lock(path)
