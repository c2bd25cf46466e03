"""Shards as a tf.data.Dataset, and parsers of single records for other pipelines."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from segchips.records.chip_reader import decode_chip
from segchips.records.dataset_files import read_info, shard_paths
from segchips.records.dataset_info import ChipLayout, DatasetInfo, image_key, image_prefix, label_key, target_prefix
from segchips.records.normalisation import Normaliser
from segchips.records.record_encoding import by_step

if TYPE_CHECKING:
    from segchips.arrays import Pixels

Normalisers = dict[str, Normaliser]
Parsed = tuple[tf.Tensor, tf.Tensor, tf.Tensor]

Shape = tuple[int | None, int | None, int | None]
_ANY: Shape = (None, None, None)
_BATCH_BYTES = 4_000_000
_FILES = 8
_IMAGE, _LABEL, _IDENTIFIER = "image/image_data", "target/target_data", "identifier"
_SAME_BITS = {"uint32": "int32", "uint64": "int64"}


def _parse(record: tf.Tensor, data: Any, decode: Callable[[tf.Tensor, str], tf.Tensor], shape: Shape) -> Parsed:
    """Parse a record. `decode` decodes image and label; the recorded shape must match `shape`."""
    sizes = {"image": ("image/height", "image/width", "image/channels"), "label": ("target/height", "target/width")}
    spec = {key: tf.io.FixedLenFeature([], tf.int64) for keys in sizes.values() for key in keys}
    spec |= {_IMAGE: data, _LABEL: data, _IDENTIFIER: tf.io.FixedLenFeature([], tf.string)}
    features = tf.io.parse_single_example(record, spec)
    image, label = (
        tf.reshape(decode(features[key], kind), [features[size] for size in sizes[kind]])
        for key, kind in ((_IMAGE, "image"), (_LABEL, "label"))
    )
    return tf.ensure_shape(image, shape), tf.ensure_shape(label, shape[:2]), features[_IDENTIFIER]


def _raw(data: tf.Tensor, dtype: str) -> tf.Tensor:
    """Little-endian bytes as values; TensorFlow decodes unsigned 32 and 64 bits as signed ones only."""
    return tf.bitcast(tf.io.decode_raw(data, _SAME_BITS.get(dtype, dtype)), dtype)


def _string_feature() -> Any:
    return tf.io.FixedLenFeature([], tf.string)


def parse_array(record: tf.Tensor, dtype: str = "uint8", label_dtype: str = "uint8", shape: Shape = _ANY) -> Parsed:
    """Parse a record of storage `array`, for `Dataset.map`.

    Args:
        record: The serialized tf.train.Example.
        dtype: The dtype of the image.
        label_dtype: The dtype of the label.
        shape: Height, width and channels of the image, which makes the shapes of the tensors static.

    Returns:
        Image (height x width x channels), label (height x width) and identifier.
    """
    dtypes = {"image": dtype, "label": label_dtype}
    return _parse(record, _string_feature(), lambda data, kind: _raw(data, dtypes[kind]), shape)


def parse_float(record: tf.Tensor, shape: Shape = _ANY) -> Parsed:
    """Parse a record of storage `float` like `parse_array`; image and label are float32."""
    floats = tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True)
    return _parse(record, floats, lambda data, _: data, shape)


def parse_picture(record: tf.Tensor, shape: Shape = _ANY) -> Parsed:
    """Parse a record of 8-bit PNG or JPEG files like `parse_array`; palettes become colours."""
    return _parse(record, _string_feature(), lambda data, _: _decode_picture(data), shape)


def _decode_picture(data: tf.Tensor) -> tf.Tensor:
    exact = partial(tf.io.decode_jpeg, data, dct_method="INTEGER_ACCURATE")
    return tf.cond(tf.io.is_jpeg(data), exact, partial(tf.io.decode_image, data, expand_animations=False))


def parse_encoded(record: tf.Tensor, dtype: str, label_dtype: str = "uint8", shape: Shape = _ANY) -> Parsed:
    """Parse a record of storage `encoded`, of any raster format, like `parse_array`; dtypes are the files'."""
    dtypes = {"image": dtype, "label": label_dtype}
    return _parse(
        record, _string_feature(), lambda data, kind: tf.numpy_function(decode_chip, [data], dtypes[kind]), shape
    )


def parse_encoded_float(record: tf.Tensor, shape: Shape = _ANY) -> Parsed:
    """Parse a record of storage `encoded` whose dtypes are not known, or differ; image and label are float32."""

    def decode(content: bytes) -> "Pixels":
        return decode_chip(content).astype("float32")

    return _parse(record, _string_feature(), lambda data, _: tf.numpy_function(decode, [data], tf.float32), shape)


def _records(path: tf.Tensor, count: tf.Tensor, compression: str | None) -> tf.data.Dataset:
    """A shard's records, with the shard's path in place of each that cannot be read, which `_check_records` reports."""
    records = tf.data.TFRecordDataset(path, compression).ignore_errors()
    return records.concatenate(tf.data.Dataset.from_tensors(path).repeat()).take(count)


def _check_records(records: tf.Tensor) -> tf.Tensor:
    """Return the records, or fail with the path of a damaged shard: a record begins with a line feed, a path not."""
    paths, _ = tf.unique(tf.boolean_mask(records, tf.strings.substr(records, 0, 1) != "\n"))
    advice = tf.strings.reduce_join(paths, separator=", ") + " is damaged or cut off; segchips.verify tells where"
    with tf.control_dependencies([tf.debugging.Assert(tf.size(paths) == 0, [advice])]):
        return tf.identity(records)


def _features(info: DatasetInfo) -> dict[str, tuple[str, ChipLayout]]:
    """By record key of images and labels: their name in what is read, and their layout."""
    images = {f"{image_prefix(name)}/image_data": (image_key(name), layout) for name, layout in info.images.items()}
    labels = {f"{target_prefix(name)}/target_data": (label_key(name), layout) for name, layout in info.labels.items()}
    return images | labels


def _parse_batch(batch: tf.Tensor, info: DatasetInfo, normalisers: Normalisers) -> dict[str, tf.Tensor]:
    """Parse a batch of records of storage `array` or `float` at once, which is much faster than one by one."""
    keys, floats = _features(info), info.storage == "float"
    data = {
        key: tf.io.FixedLenFeature(layout.shape, tf.float32) if floats else _string_feature()
        for key, (_, layout) in keys.items()
    }
    features = tf.io.parse_example(_check_records(batch), data | {_IDENTIFIER: _string_feature()})

    def decode(data: tf.Tensor, layout: ChipLayout) -> tf.Tensor:
        return tf.cast(data, layout.dtype) if floats else tf.reshape(_raw(data, layout.dtype), (-1, *layout.shape))

    chips = {name: decode(features[key], layout) for key, (name, layout) in keys.items()}
    return _normalise_images(chips, normalisers) | {_IDENTIFIER: features[_IDENTIFIER]}


def _normalise_images(chips: dict[str, tf.Tensor], normalisers: Normalisers) -> dict[str, tf.Tensor]:
    return chips | {image_key(layer): _normalised(chips[image_key(layer)], one) for layer, one in normalisers.items()}


def _normalised(image: tf.Tensor, normaliser: Normaliser) -> tf.Tensor:
    """Normalise as `Normaliser.apply` does."""
    values = tf.cast(image, normaliser.float_type(image.dtype.as_numpy_dtype))
    valid = tf.math.is_finite(values)
    if normaliser.nodata is not None:
        valid &= values != tf.constant(normaliser.nodata, values.dtype)
    scaled = (values - tf.constant(normaliser.mean, values.dtype)) / tf.constant(normaliser.std, values.dtype)
    return tf.where(valid, tf.cast(scaled, tf.float32), 0.0)


def _parse_file(record: tf.Tensor, info: DatasetInfo, normalisers: Normalisers) -> dict[str, tf.Tensor]:
    """Parse a record that stores files."""
    keys = _features(info)
    spec = {key: _string_feature() for key in (*keys, _IDENTIFIER)}
    features = tf.io.parse_single_example(_check_records([record])[0], spec)
    chips = {}
    for key, (name, layout) in keys.items():
        if info.storage == "encoded":
            pixels = tf.numpy_function(partial(_decode_file, layout=layout), [features[key]], layout.dtype)
        else:
            pixels = _decode_picture(features[key])
        chips[name] = tf.ensure_shape(tf.reshape(pixels, layout.shape), layout.shape)
    return _normalise_images(chips, normalisers) | {_IDENTIFIER: features[_IDENTIFIER]}


def _decode_file(content: bytes, layout: ChipLayout) -> "Pixels":
    """Decode a chip file, the bands of a time series as steps x height x width x channels."""
    pixels = decode_chip(content)
    return by_step(pixels, layout.shape[0]) if len(layout.shape) == 4 else pixels


def load(directory: str | Path, split: str, batch: int | None = None, normalise: bool | str = False) -> tf.data.Dataset:
    """Load a split as a tf.data.Dataset in a fixed order.

    Args:
        directory: The directory of the shards.
        split: The name of the split.
        batch: The number of chips in a batch, which is faster than `Dataset.batch` afterwards; None for single chips.
        normalise: Whether images become float32, (value - mean) / std of their band where valid and 0 elsewhere, by
            the statistics of split "train"; or the name of the split whose statistics to use.

    Returns:
        Dicts of image (height x width x channels, of a time series steps x height x width x channels), label (height x
        width) and identifier, in the chips' dtypes, with static shapes. Named layers and targets have their names in
        place of image and label.

    Raises:
        InputError: The dataset or split does not exist.
        RecordError: A shard is missing.
    """
    info = read_info(Path(directory))
    normalisers = Normaliser.from_statistics(Path(directory), normalise) if normalise else {}
    paths = shard_paths(Path(directory), info, split)
    counts = tf.constant(info.splits[split], tf.int64)
    parallel = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}
    shards = tf.data.Dataset.from_tensor_slices(([str(path) for path in paths], counts))
    records = shards.interleave(partial(_records, compression=info.compression), _FILES, **parallel)
    if info.storage in ("array", "float"):
        batches = records.batch(batch or max(1, _BATCH_BYTES // info.pixel_bytes))
        chips = batches.map(partial(_parse_batch, info=info, normalisers=normalisers), **parallel)
        chips = chips if batch else chips.unbatch()
    else:
        chips = records.map(partial(_parse_file, info=info, normalisers=normalisers), **parallel)
        chips = chips.batch(batch) if batch else chips
    return chips.apply(tf.data.experimental.assert_cardinality(-(-sum(counts.numpy()) // (batch or 1))))
