"""A sound dataset has no faults, and each kind of damage is named."""

import json
import re

import pytest

from segchips.errors import InputError
from segchips.records.conversion import convert
from segchips.records.file_names import index_name, shard_name
from segchips.records.tf_example import decode, encode
from segchips.records.tfrecord import RecordWriter, read_records
from segchips.training.verification import verify
from support.chips import random_pixels, records_config, write_chip, write_chip_folders


def dataset(root, storage="array", compression=None):
    write_chip_folders(root, [f"c{number}" for number in range(8)])
    settings = records_config(storage, 2, compression, {"train": 1.0})
    convert(root / "images", root / "labels", root / "out", "parcels", settings, 0, 1)
    return root / "out"


def rewrite(directory, change, compression=None, shard=0):
    """Write a shard again with its records changed: `change` gets and gives a list of features."""
    path = directory / shard_name("parcels", "train", shard, 2)
    records = [dict(decode(payload)) for payload in read_records(path, compression)]
    for record in records:
        for key, value in record.items():
            record[key] = bytes(value) if isinstance(value, memoryview) else value
    with path.open("wb") as stream:
        writer = RecordWriter(stream, compression)
        for record in change(records):
            writer.write(encode(record))
        writer.finish()
    return path


def with_key(key, value):
    return lambda records: [{**record, key: value} if number == 1 else record for number, record in enumerate(records)]


@pytest.mark.parametrize("storage", ["array", "float", "encoded", "png", "jpeg"])
@pytest.mark.parametrize("compression", [None, "GZIP", "ZLIB"])
def test_a_sound_dataset_has_no_faults(tmp_path, storage, compression):
    assert verify(dataset(tmp_path, storage, compression)) == []


@pytest.mark.parametrize("compression", [None, "GZIP"])
def test_damaged_and_missing_files_are_named(tmp_path, compression):
    directory = dataset(tmp_path, compression=compression)
    first, second = (directory / shard_name("parcels", "train", number, 2) for number in range(2))
    good = first.read_bytes()
    first.write_bytes(good[:300] + bytes([good[300] ^ 1]) + good[301:])
    (fault,) = verify(directory)
    assert fault.startswith(f"{first} is damaged")
    first.write_bytes(good[:-40])
    (fault,) = verify(directory)
    assert fault.startswith(f"{first} is cut off in record")
    first.write_bytes(good)
    assert verify(directory) == []
    second.unlink()
    assert verify(directory) == [f"{second} is missing"]
    index = directory / index_name("parcels", "train", 0, 2)
    index.unlink()
    assert verify(directory) == [f"{index} is missing", f"{second} is missing"]
    extra = directory / shard_name("parcels", "train", 2, 3)
    extra.write_bytes(b"")
    (directory / f".{extra.name}.made_from").write_bytes(b"")  # hidden files are the workflow's own
    assert verify(directory)[2:] == [f"{extra} is not a shard of this dataset"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("image/height", 9, "image/height is 9, not 8"),
        ("image/dtype", "uint16", "image/dtype is uint16, not uint8"),
        ("target/width", 8, "target/width is 8, not 9"),
        ("split", "val", "split is val, not train"),
        ("identifier", "other.tif||", r"identifier is other.tif\|\|, the index says c"),
        ("image/image_data", bytes(5), "does not match its description: cannot reshape"),
        ("target/target_data", 7, "does not match its description"),
    ],
)
def test_records_that_differ_from_their_description_are_named(tmp_path, key, value, message):
    directory = dataset(tmp_path)
    path = rewrite(directory, with_key(key, value))
    faults = verify(directory)
    assert any(fault.startswith(f"{path}, record 1: ") for fault in faults)
    assert any(re.search(message, fault) for fault in faults)


@pytest.mark.parametrize("storage", ["encoded", "png"])
def test_pixels_of_another_kind_are_named(tmp_path, storage):
    directory = dataset(tmp_path, storage)
    rewrite(directory, with_key("image/image_data", b"no image at all"))
    assert any(
        "record 1: a record of dataset parcels does not match its description" in fault for fault in verify(directory)
    )


def test_files_of_another_dtype_are_named(tmp_path):
    directory = dataset(tmp_path, "encoded")
    write_chip(tmp_path / "other.tif", random_pixels("int8", (8, 9, 3)))
    rewrite(directory, with_key("image/image_data", (tmp_path / "other.tif").read_bytes()))
    assert any("does not match its description: dtype int8, not uint8" in fault for fault in verify(directory))


@pytest.mark.parametrize("compression", [None, "ZLIB"])
def test_wrong_counts_and_places_are_named(tmp_path, compression):
    directory = dataset(tmp_path, compression=compression)
    path = rewrite(directory, lambda records: records[:-1], compression)
    count = len(list(read_records(path, compression)))
    assert f"{path} has {count} records, its index {count + 1}, dataset_info.json says {count + 1}" in verify(directory)
    directory = dataset(tmp_path, compression=compression)
    path = rewrite(directory, lambda records: records[::-1], compression)
    assert any(fault.startswith(f"{path}, record 0: ") and "the index says" in fault for fault in verify(directory))
    directory = dataset(tmp_path, compression=compression)
    index = directory / index_name("parcels", "train", 0, 2)
    lines = index.read_text().splitlines()
    offset = lines[2].split(",")[4]
    lines[2] = lines[2].replace(f",{offset},", f",{int(offset) + 1},")
    index.write_text("\n".join([*lines, ""]))
    (fault,) = verify(directory)
    assert fault.startswith(f"{directory / shard_name('parcels', 'train', 0, 2)}, record 1: ")


def test_a_chip_that_comes_twice_is_named(tmp_path):
    directory = dataset(tmp_path)
    for kind in (shard_name, index_name):
        first, second = (directory / kind("parcels", "train", number, 2) for number in range(2))
        second.write_bytes(first.read_bytes())
    info = json.loads((directory / "dataset_info.json").read_text())
    info["splits"][0]["shardLengths"] = [info["splits"][0]["shardLengths"][0]] * 2
    (directory / "dataset_info.json").write_text(json.dumps(info))
    faults = verify(directory)
    assert faults
    assert all(fault.endswith("is in 2 records") for fault in faults)


def test_a_folder_that_is_no_dataset_is_named(tmp_path):
    with pytest.raises(InputError, match="dataset_info.json cannot be read"):
        verify(tmp_path)
