"""tf.data datasets and parsers against the pixels that rasterio wrote."""

import io
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import segchips
from segchips.errors import InputError, LibraryError, RecordError, SegchipsError
from segchips.records.file_names import index_name, shard_name
from segchips.records.shard_index import read_index
from support.tile_shards import DTYPES, KEYS, describe_tile_shards, write_tile_chips, write_tile_shard


def dataset(root, dtype="uint16", shape=(6, 5, 3), storage="array", compression=None, **options):
    images, labels = write_tile_chips(root, dtype, shape, **options)
    indices = {
        "train": [
            write_tile_shard(root, keys, storage, compression, number=n, shards=3)[1]
            for n, keys in enumerate((KEYS[:2], [], KEYS[2:]))
        ],
        "val": [write_tile_shard(root, [], storage, compression, split="val")[1]],
    }
    return describe_tile_shards(root, indices, storage, compression), images, labels


def equal(directory, images, labels, dtype, shape):
    loaded = segchips.load(directory, "train")
    assert loaded.element_spec == {
        "image": tf.TensorSpec(shape, dtype),
        "label": tf.TensorSpec(shape[:2], "uint8"),
        "identifier": tf.TensorSpec((), tf.string),
    }
    found = list(loaded.as_numpy_iterator())
    assert sorted(record["identifier"].decode() for record in found) == sorted(KEYS)
    for record in found:
        key = record["identifier"].decode()
        np.testing.assert_array_equal(record["image"], images[key], strict=True)
        np.testing.assert_array_equal(record["label"], labels[key][..., 0], strict=True)


@pytest.mark.parametrize("storage", ["array", "encoded", "float"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_comes_back(tmp_path, dtype, storage):
    limit = 2**24 if storage == "float" else None
    equal(*dataset(tmp_path, dtype, storage=storage, limit=limit), dtype, (6, 5, 3))


FAST = [(None, "array"), ("GZIP", "encoded"), ("ZLIB", "float")]


@pytest.mark.parametrize(
    ("compression", "storage"),
    [
        pytest.param(*pair, marks=[] if pair in FAST else pytest.mark.slow)
        for pair in product([None, "GZIP", "ZLIB"], ["array", "encoded", "float"])
    ],
)
@pytest.mark.parametrize("shape", [(1, 1, 1), (17, 31, 13)])
def test_every_shape_and_compression_comes_back(tmp_path, shape, compression, storage):
    equal(*dataset(tmp_path, "float32", shape, storage, compression), "float32", shape)


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 5, 1), (17, 31, 3)])
@pytest.mark.parametrize("compression", [None, "GZIP"])
def test_pictures_come_back(tmp_path, shape, compression):
    equal(*dataset(tmp_path, "uint8", shape, "png", compression), "uint8", shape)


def test_jpegs_come_back_as_others_decode_them(tmp_path):
    directory, _, labels = dataset(tmp_path, "uint8", (33, 31, 3), "jpeg")
    raw = tf.data.TFRecordDataset(str(directory / shard_name("sample", "train", 2, 3)))
    files = {}
    for record in raw:
        features = tf.train.Example.FromString(record.numpy()).features.feature
        files[features["identifier"].bytes_list.value[0]] = features["image/image_data"].bytes_list.value[0]
    for record in segchips.load(directory, "train").as_numpy_iterator():
        np.testing.assert_array_equal(record["label"], labels[record["identifier"].decode()][..., 0], strict=True)
        if record["identifier"] in files:
            expected = np.array(Image.open(io.BytesIO(files.pop(record["identifier"]))))
            np.testing.assert_allclose(record["image"].astype(int), expected.astype(int), atol=2)
    assert not files


def records(directory, compression=None):
    paths = [str(directory / shard_name("sample", "train", number, 3)) for number in range(3)]
    return tf.data.TFRecordDataset(paths, compression)


PARSERS = [
    ("array", "uint8", segchips.parse_array, {}),
    ("array", "float64", segchips.parse_array, {"dtype": "float64"}),
    ("array", "uint32", segchips.parse_array, {"dtype": "uint32"}),
    ("float", "int16", segchips.parse_float, {}),
    ("png", "uint8", segchips.parse_picture, {}),
    ("encoded", "int16", segchips.parse_encoded, {"dtype": "int16"}),
    ("encoded", "uint16", segchips.parse_encoded_float, {}),
]


@pytest.mark.parametrize(("storage", "dtype", "parse", "options"), PARSERS)
@pytest.mark.parametrize("shape", [None, (6, 5, 3)])
def test_parsers_work_inside_a_pipeline(tmp_path, storage, dtype, parse, options, shape):
    directory, images, labels = dataset(tmp_path, dtype, storage=storage)
    options = options | ({"shape": shape} if shape else {})
    parsed = records(directory).map(lambda record: parse(record, **options), num_parallel_calls=2)
    image, label, identifier = parsed.element_spec
    assert image.shape.as_list() == list(shape or (None, None, None))
    assert label.shape.as_list() == list((shape or (None, None, None))[:2])
    assert identifier.shape.as_list() == []
    floats = parse in (segchips.parse_float, segchips.parse_encoded_float)
    count = 0
    for image, label, identifier in parsed.as_numpy_iterator():
        key, count = identifier.decode(), count + 1
        np.testing.assert_array_equal(image, images[key].astype("float32") if floats else images[key], strict=True)
        np.testing.assert_array_equal(label, labels[key][..., 0].astype("float32" if floats else "uint8"), strict=True)
    assert count == len(KEYS)


def test_parsers_refuse_another_dtype_or_shape(tmp_path):
    directory, *_ = dataset(tmp_path, "uint16", storage="encoded")
    for options in ({"dtype": "uint8"}, {"dtype": "uint16", "shape": (5, 6, 3)}):
        with pytest.raises(tf.errors.InvalidArgumentError):
            list(records(directory).map(lambda record, options=options: segchips.parse_encoded(record, **options)))


def test_big_endian_chips_come_back(tmp_path):
    equal(*dataset(tmp_path, "int16", endianness="big"), "int16", (6, 5, 3))
    equal(*dataset(tmp_path, "float64", storage="encoded", endianness="big"), "float64", (6, 5, 3))


def test_order_is_the_same_every_time_and_batches_are_static(tmp_path):
    directory, *_ = dataset(tmp_path)
    runs = [
        [record["identifier"] for record in segchips.load(directory, "train").as_numpy_iterator()] for _ in range(3)
    ]
    assert runs[0] == runs[1] == runs[2]
    batches = segchips.load(directory, "train").shuffle(5).repeat().batch(2, drop_remainder=True)
    assert batches.element_spec["image"].shape == (2, 6, 5, 3)
    assert next(iter(batches))["label"].shape == (2, 6, 5)


@pytest.mark.parametrize("storage", ["array", "float", "encoded"])
@pytest.mark.parametrize("batch", [1, 3, 40])
def test_batches_hold_the_same_chips_in_the_same_order(tmp_path, storage, batch):
    directory, *_ = dataset(tmp_path, storage=storage)
    single = list(segchips.load(directory, "train").as_numpy_iterator())
    batches = segchips.load(directory, "train", batch)
    assert batches.element_spec["image"].shape.as_list() == [None, 6, 5, 3]
    assert len(batches) == len(list(batches)) == -(-len(KEYS) // batch)
    sizes = [len(each["identifier"]) for each in batches]
    assert sizes[:-1] == [batch] * (len(sizes) - 1)
    for key in ("image", "label", "identifier"):
        together = np.concatenate([each[key] for each in batches.as_numpy_iterator()])
        np.testing.assert_array_equal(together, np.stack([each[key] for each in single]))


def test_an_empty_split_is_empty(tmp_path):
    directory, *_ = dataset(tmp_path)
    assert list(segchips.load(directory, "val")) == []
    assert segchips.load(directory, "val").element_spec["image"].shape == (6, 5, 3)


def test_what_is_missing_is_named(tmp_path):
    directory, *_ = dataset(tmp_path)
    with pytest.raises(InputError, match=r"dataset_info.json cannot be read \(No such file or directory\)"):
        segchips.load(tmp_path / "nowhere", "train")
    with pytest.raises(InputError, match="no split 'test'; it has train, val"):
        segchips.load(directory, "test")
    (directory / shard_name("sample", "train", 1, 3)).unlink()
    with pytest.raises(RecordError, match="sample-train.tfrecord-00001-of-00003 is missing"):
        segchips.load(directory, "train")
    (directory / "metadata.json").write_text("{}")
    with pytest.raises(InputError, match="segchips did not write"):
        segchips.load(directory, "train")
    (directory / "metadata.json").write_text("{")
    with pytest.raises(InputError, match="metadata.json is not valid"):
        segchips.load(directory, "train")


@pytest.mark.parametrize(("storage", "compression"), [("array", None), ("float", "ZLIB"), ("encoded", None)])
def test_a_damaged_shard_is_named(tmp_path, storage, compression):
    directory, *_ = dataset(tmp_path, storage=storage, compression=compression)
    path = directory / shard_name("sample", "train", 2, 3)
    good = path.read_bytes()
    flipped = good[:400] + bytes([good[400] ^ 1]) + good[401:]
    second = read_index(directory / index_name("sample", "train", 2, 3))[1].offset
    for content in (flipped, good[:-1] if compression is None else good[:-30], good[:second], b""):
        path.write_bytes(content)
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"{path.name} .* segchips.verify"):
            list(segchips.load(directory, "train"))


def test_importing_segchips_costs_nothing():
    code = (
        "import sys, segchips; print(sorted({'numpy', 'rasterio', 'tensorflow', 'google_crc32c'} & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


@pytest.mark.parametrize(("library", "name"), [("tensorflow", "load"), ("torch", "Chips")])
def test_a_library_that_is_missing_is_named(library, name):
    code = f"import sys; sys.modules['{library}'] = None; import segchips; segchips.{name}"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    message = f"segchips.{name} needs {library}, which is not installed: pip install {library}"
    assert found.stderr.splitlines()[-1] == f"segchips.errors.LibraryError: {message}"
    assert issubclass(LibraryError, SegchipsError)
    assert issubclass(LibraryError, ImportError)


def test_segchips_has_no_other_names():
    with pytest.raises(AttributeError, match="no attribute 'loader'"):
        segchips.loader  # noqa: B018
    assert index_name("sample", "train", 0, 1).endswith(".csv")


@pytest.mark.parametrize("options", [{}, {"cache": True}, {"batch": 2}, {"batch": 2, "cache": True}])
def test_shuffled_epochs_hold_every_chip_once_in_an_order_of_the_seed(tmp_path, options):
    directory, images, _ = dataset(tmp_path)

    def epochs(seed):
        loaded, orders = segchips.load(directory, "train", shuffle=True, seed=seed, **options), []
        for _ in range(4):
            chips = list((loaded.unbatch() if "batch" in options else loaded).as_numpy_iterator())
            orders.append([chip["identifier"].decode() for chip in chips])
            for chip in chips:
                np.testing.assert_array_equal(chip["image"], images[chip["identifier"].decode()])
        return orders

    first = epochs(1)
    assert all(sorted(order) == sorted(KEYS) for order in first)
    assert len({tuple(order) for order in first}) > 1 and epochs(1) == first != epochs(2)
