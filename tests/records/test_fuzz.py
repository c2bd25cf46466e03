"""Damaged shards and descriptions: an error that names the file, or what was written; never a crash or a hang."""

import json
import random
import struct
from contextlib import suppress

import numpy as np
import pytest
from google_crc32c import value as crc32c

from segchips.errors import RecordError, SegchipsError
from segchips.records.dataset_files import read_info
from segchips.records.file_names import index_path
from segchips.records.record_decoding import decode_example, read
from segchips.records.shard_index import read_index
from segchips.records.tf_example import decode
from segchips.records.tfrecord import read_record, read_records
from segchips.training.verification import verify
from support.fuzz_inputs import KEYS, ROUNDS, SEED, damaged_copy, write_small_dataset


@pytest.mark.parametrize("compression", [None, "GZIP", "ZLIB"])
def test_a_damaged_shard_gives_the_records_before_the_damage_or_an_error(tmp_path, compression):
    shard, draws = write_small_dataset(tmp_path, compression), random.Random(SEED)
    right, content = list(read_records(shard, compression)), shard.read_bytes()
    places = [(entry.offset, entry.length) for entry in read_index(index_path(shard))]
    for _ in range(ROUNDS):
        shard.write_bytes(damaged_copy(draws, content))
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
def test_a_wrong_record_with_a_right_checksum_is_an_error(tmp_path, storage):
    shard, draws = write_small_dataset(tmp_path, None, storage), random.Random(SEED)
    info, (payload, *_) = read_info(shard.parent), list(read_records(shard))
    for _ in range(ROUNDS):
        try:
            example = decode_example(damaged_copy(draws, payload), info)
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
    shard, draws = write_small_dataset(tmp_path, None), random.Random(SEED)
    path = index_path(shard) if name == "index" else shard.parent / name
    content = path.read_bytes()
    right = [read(shard.parent, key)["image"].tobytes() for key in KEYS]
    for _ in range(ROUNDS):
        path.write_bytes(damaged_copy(draws, content))
        for key, pixels in zip(KEYS, right, strict=True):
            try:
                assert read(shard.parent, key)["image"].tobytes() == pixels
            except SegchipsError as error:
                assert "\n" not in str(error)


JUNK = [None, "", "x", -1, 10**30, 1.5, True, [], {}, [[]], "nan", "object", [-1, 3], ["a"], [2**40] * 3]


@pytest.mark.parametrize("name", ["dataset_info.json", "metadata.json"])
def test_a_description_of_other_values_is_an_error_or_describes(tmp_path, name):
    shard, draws = write_small_dataset(tmp_path, None), random.Random(SEED)
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
