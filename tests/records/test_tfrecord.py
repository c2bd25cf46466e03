"""Messages and TFRecord files against TensorFlow's own messages, writer and reader."""

import struct

import numpy as np
import pytest
import tensorflow as tf

from segchips.errors import RecordError
from segchips.records.tf_example import decode, encode
from segchips.records.tfrecord import RecordWriter, read_record, read_records

COMPRESSIONS = [None, "GZIP", "ZLIB"]


def tf_example(features):
    kinds = {
        bytes: lambda value: {"bytes_list": tf.train.BytesList(value=[value])},
        str: lambda value: {"bytes_list": tf.train.BytesList(value=[value.encode()])},
        int: lambda value: {"int64_list": tf.train.Int64List(value=[value])},
        np.ndarray: lambda value: {"float_list": tf.train.FloatList(value=value.ravel().tolist())},
    }
    feature = {key: tf.train.Feature(**kinds[type(value)](value)) for key, value in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString(deterministic=True)


FEATURES = [
    {"identifier": "60:2:10.0:33:-58:8465"},
    {"b": b"", "a": b"\x00\xff" * 70, "height": 0, "width": 127, "channels": 128, "large": 2**40, "negative": -3},
    {
        "image/image_data": np.random.default_rng(0).normal(size=(5, 7, 3)).astype("float32"),
        "š": "š",
        "long": b"x" * 70_000,
    },
    {"nan": np.array([np.nan, np.inf, -0.0, 1e-40], "float32")},
    {},
]


@pytest.mark.parametrize("features", FEATURES)
def test_messages_equal_those_of_tensorflow(features):
    assert b"".join(encode(features)) == tf_example(features)


@pytest.mark.parametrize("features", FEATURES[:4])
def test_messages_of_tensorflow_decode_to_what_went_in(features):
    decoded = decode(tf_example(features))
    assert decoded.keys() == features.keys()
    for key, value in features.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(decoded[key], value.ravel())
        elif isinstance(value, int):
            assert np.int64(np.uint64(decoded[key])) == value
        else:
            assert bytes(decoded[key]) == (value.encode() if isinstance(value, str) else value)


@pytest.mark.parametrize("payload", [b"\x0a", b"\x0a\x05abc", b"abc", b"\xff" * 12, b"".join(encode({"a": 1}))[:-1]])
def test_other_bytes_are_no_record(payload):
    with pytest.raises(RecordError, match="tf.train.Example"):
        decode(payload)


def payloads():
    rng = np.random.default_rng(1)
    return [rng.bytes(size) + b"again and again " * 99 for size in (0, 1, 13, 5000, 70_000)] + [b""]


def write(path, compression):
    with path.open("wb") as stream:
        writer = RecordWriter(stream, compression)
        places = [writer.write([payload[:9], payload[9:]]) for payload in payloads()]
        writer.finish()
    return places


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_tensorflow_reads_what_we_write(tmp_path, compression):
    path = tmp_path / "shard"
    write(path, compression)
    assert [record.numpy() for record in tf.data.TFRecordDataset(str(path), compression)] == payloads()
    assert list(read_records(path, compression)) == payloads()


def test_uncompressed_files_equal_those_of_tensorflow(tmp_path):
    write(tmp_path / "ours", None)
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for payload in payloads():
            writer.write(payload)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_we_read_what_tensorflow_compresses(tmp_path, compression):
    path = str(tmp_path / "theirs")
    with tf.io.TFRecordWriter(path, compression) as writer:
        for payload in payloads():
            writer.write(payload)
    assert list(read_records(tmp_path / "theirs", compression)) == payloads()


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_each_record_can_be_read_alone(tmp_path, compression):
    path = tmp_path / "shard"
    places = write(path, compression)
    for (offset, length), payload in reversed(list(zip(places, payloads(), strict=True))):
        assert read_record(path, offset, length, compression) == payload


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_an_empty_file_has_no_records(tmp_path, compression):
    with (tmp_path / "shard").open("wb") as stream:
        RecordWriter(stream, compression).finish()
    assert list(read_records(tmp_path / "shard", compression)) == []
    assert list(tf.data.TFRecordDataset(str(tmp_path / "shard"), compression)) == []


def test_a_flipped_bit_is_named_wherever_it_lies(tmp_path):
    path = tmp_path / "shard"
    places = write(path, None)
    good = path.read_bytes()
    for number, (offset, length) in enumerate(places):
        for at in (offset, offset + 9, offset + length // 2, offset + length - 1):
            path.write_bytes(good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :])
            with pytest.raises(
                RecordError, match=rf"shard is damaged \(checksum\) in record {number} at byte {offset};"
            ):
                list(read_records(path))
            with pytest.raises(RecordError, match=f"shard is damaged in the record at byte {offset}"):
                read_record(path, offset, length)


def test_a_cut_file_is_named_wherever_it_ends(tmp_path):
    path = tmp_path / "shard"
    places = write(path, None)
    good = path.read_bytes()
    for number, (offset, length) in enumerate(places):
        for end in (offset + 5, offset + 12, offset + length - 1):
            path.write_bytes(good[:end])
            with pytest.raises(RecordError, match=f"shard is cut off in record {number} at byte {offset};"):
                list(read_records(path))
            with pytest.raises(RecordError, match="shard"):
                read_record(path, offset, length)
    path.write_bytes(b"")
    with pytest.raises(RecordError, match="ends before"):
        read_record(path, *places[0])


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_damage_to_a_compressed_file_is_named(tmp_path, compression):
    path = tmp_path / "shard"
    places = write(path, compression)
    good = path.read_bytes()
    for end in (len(good) - 1, places[3][0], places[2][0] + 3, 1):
        path.write_bytes(good[:end])
        with pytest.raises(RecordError, match="shard is cut off in record"):
            list(read_records(path, compression))
    for at in (0, places[4][0] + 2, places[4][0] + 500, len(good) - 2):
        path.write_bytes(good[:at] + bytes([good[at] ^ 16]) + good[at + 1 :])
        with pytest.raises(RecordError, match="shard is (damaged|cut off)"):
            list(read_records(path, compression))


def test_a_file_that_is_no_tfrecord_is_damaged_at_byte_0(tmp_path):
    (tmp_path / "shard").write_bytes(struct.pack("<Q", 2**60) + b"no TFRecord at all")
    with pytest.raises(RecordError, match="record 0 at byte 0"):
        list(read_records(tmp_path / "shard"))
