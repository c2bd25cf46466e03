"""Reading records into arrays, against the general decoder and records that another program wrote."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import segchips
from segchips.errors import RecordError
from segchips.records.conversion import convert
from segchips.records.dataset_files import read_info
from segchips.records.record_reader import Place, RecordReader, find_places
from segchips.records.tf_example import array_bytes, encode
from segchips.records.tfrecord import RecordWriter
from support.chips import records_config, write_chip_folders


def dataset(root, storage="array", compression=None, dtype="uint16", shape=(6, 5, 3)):
    arrays = write_chip_folders(root, ["a", "b", "c d"], shape, dtype)
    settings = records_config(storage, 2, compression, {"train": 1.0})
    convert(root / "images", root / "labels", root / "out", "parcels", settings, 0, 1)
    info = read_info(root / "out")
    return arrays, info, find_places(root / "out", info, ["train"])


@pytest.mark.parametrize(
    ("storage", "compression", "dtype"),
    [("array", None, "uint16"), ("array", "GZIP", "float32"), ("float", None, "int16"), ("encoded", None, "uint8")],
)
def test_arrays_hold_what_was_written(tmp_path, storage, compression, dtype):
    arrays, info, places = dataset(tmp_path, storage, compression, dtype)
    reader = pickle.loads(pickle.dumps(RecordReader(info)))
    images, labels = np.zeros((3, 3, 6, 5), dtype), np.zeros((3, 6, 5), "uint8")
    names = reader.read_all(places, {"image": np.moveaxis(images, 1, -1), "label": labels})
    for name, image, label in zip(names, images, labels, strict=True):
        expected = arrays[name.partition(".")[0]]
        np.testing.assert_array_equal(image, expected[0].transpose(2, 0, 1))
        np.testing.assert_array_equal(label, expected[1][..., 0])


def test_threads_read_side_by_side(tmp_path):
    _, info, places = dataset(tmp_path)
    reader = RecordReader(info)
    with ThreadPoolExecutor(8) as threads:
        for chip in threads.map(reader.read, places * 20):
            one = segchips.read(tmp_path / "out", chip["identifier"].partition(".")[0])
            assert all(np.array_equal(chip[key], one[key]) for key in ("image", "label"))


def write_record(path, features):
    with path.open("wb") as stream:
        return Place(path, *RecordWriter(stream).write(features))


def test_records_of_other_writers_are_read(tmp_path):
    arrays, info, _ = dataset(tmp_path)
    image, label = arrays["a"][0], arrays["a"][1][..., 0]
    values = {"image/image_data": array_bytes(image), "target/target_data": array_bytes(label), "identifier": "other"}
    parts = [encode({key: value}) for key, value in values.items()]
    joined = b"".join(bytes(piece) for pieces in reversed(parts) for piece in pieces)  # protocol buffers merge these
    for pieces in (encode(values), [joined]):
        chip = RecordReader(info).read(write_record(tmp_path / "other", pieces))
        assert chip["identifier"] == "other"
        np.testing.assert_array_equal(chip["image"], image, strict=True)
        np.testing.assert_array_equal(chip["label"], label, strict=True)


def test_what_does_not_fit_the_description_is_an_error(tmp_path):
    arrays, info, places = dataset(tmp_path)
    small = {"image/image_data": array_bytes(arrays["a"][0][:5]), "target/target_data": array_bytes(arrays["a"][1])}
    with pytest.raises(RecordError, match="does not match its description"):
        RecordReader(info).read(write_record(tmp_path / "small", encode(small | {"identifier": "a"})))
    shard = places[0].shard
    good = shard.read_bytes()
    shard.write_bytes(good[:40] + bytes([good[40] ^ 1]) + good[41:])
    for place in (places[0], places[0]._replace(length=10), places[0]._replace(offset=len(good))):
        with pytest.raises(RecordError, match=f"{shard.name} is damaged in the record at byte {place.offset}"):
            RecordReader(info).read(place)
