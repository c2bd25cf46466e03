"""Shards as a tf.data.Dataset, and parsers of single records for other pipelines."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from segchips.errors import InputError
from segchips.records.chip_reader import decode_chip
from segchips.records.dataset_files import read_info, shard_paths
from segchips.records.dataset_info import ChipLayout, DatasetInfo, image_key, image_prefix, label_key, target_prefix
from segchips.records.file_names import index_path
from segchips.records.normalisation import MeasurementScale, Normaliser
from segchips.records.record_encoding import by_step
from segchips.records.shard_index import read_index
from segchips.records.statistics import statistics
from segchips.records.storage import RemotePath, dataset_path
from segchips.records.tfrecord import read_record
from segchips.tiles.assignment import MADE

if TYPE_CHECKING:
    from segchips.arrays import Pixels

Normalisers = dict[str, Normaliser]
Parsed = tuple[tf.Tensor, tf.Tensor, tf.Tensor]

Shape = tuple[int | None, int | None, int | None]
_ANY: Shape = (None, None, None)
_BATCH_BYTES = 4_000_000
_SHUFFLE_BYTES = 256_000_000
_REQUESTS = 16
"""Records of an object store that are read at once."""
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


def _normalise_labels(chips: dict[str, tf.Tensor], scales: Mapping[str, MeasurementScale]) -> dict[str, tf.Tensor]:
    """Normalise as `MeasurementScale.apply` does."""
    labels = {target: tf.cast(chips[label_key(target)], tf.float64) for target in scales}
    scaled = {target: (labels[target] - scale.mean) / scale.std for target, scale in scales.items()}
    return chips | {label_key(target): tf.cast(label, tf.float32) for target, label in scaled.items()}


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


def _remote_records(paths: Sequence[Path], info: DatasetInfo, shuffle: bool, seed: int | None) -> tf.data.Dataset:
    """The records of shards in an object store, each read by its range."""
    entries = [
        (number, entry.offset or 0, entry.length or 0)
        for number, path in enumerate(paths)
        for entry in read_index(index_path(path))
        if entry.state == MADE
    ]

    def read(number: int, offset: int, length: int) -> bytes:
        return read_record(paths[int(number)], int(offset), int(length), info.compression)

    places = tf.data.Dataset.from_tensor_slices(np.array(entries, np.int64).reshape(-1, 3))
    if shuffle:
        places = places.shuffle(max(1, len(entries)), seed=seed)

    def fetch(place: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.numpy_function(read, tf.unstack(place, 3), tf.string), ())

    return places.map(fetch, num_parallel_calls=_REQUESTS, deterministic=not shuffle)


def _local_records(paths: Sequence[Path], info: DatasetInfo, counts: tf.Tensor, seed: int | None) -> tf.data.Dataset:
    shards = tf.data.Dataset.from_tensor_slices(([str(path) for path in paths], counts))
    if seed is not None:
        shards = shards.shuffle(max(1, len(paths)), seed=seed)
    parallel = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}
    return shards.interleave(partial(_records, compression=info.compression), _FILES, **parallel)


def _class_weights(directory: str | Path, info: DatasetInfo, split: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function of labels that returns the weight of each pixel's class in a split."""
    classes = statistics(directory)[split].classes
    if classes is None or np.dtype(info.label.dtype).kind == "f":
        raise InputError(f"{directory} has no classes, so there are no weights; remove weights")
    ignored = set(info.unknown.values())
    values = [value for value in classes if value is not None and value not in ignored]
    keys = tf.constant(values, tf.int64)
    weights = tf.constant([classes[value].weight_with_background or 0.0 for value in values], tf.float32)
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, weights), 0.0)
    return lambda label: table.lookup(tf.cast(label, tf.int64))


def load(
    directory: str | Path,
    split: str,
    batch: int | None = None,
    normalise: bool | str = False,
    shuffle: bool = False,
    seed: int | None = None,
    cache: bool = False,
    weights: bool | str = False,
    normalise_labels: bool | str = False,
) -> tf.data.Dataset:
    """Load a split as a tf.data.Dataset, in a fixed order unless `shuffle` is set.

    Args:
        directory: The directory of the shards, or its address (s3, gs, https).
        split: The name of the split.
        batch: The number of chips in a batch, which is faster than `Dataset.batch` afterwards; None for single chips.
        normalise: Whether images become float32, (value - mean) / std of their band where valid and 0 elsewhere, by
            the statistics of split "train"; or the name of the split whose statistics to use.
        shuffle: Whether chips come in another order in each epoch: shards are shuffled, and then records in a buffer of
            up to 256 MB.
        seed: A number that makes the orders of `shuffle` the same in each run.
        cache: Whether records are kept in memory after the first epoch.
        weights: Whether dicts have `weight` (height x width, float32) for each label pixel of the first target: the
            weight of its class in the statistics of split "train", or of the named split, and 0 where the class is not
            known.
        normalise_labels: Whether continuous targets become (value - mean) / std by the statistics of split "train", or
            of the named split; NaN stays.

    Returns:
        Dicts of image (height x width x channels, of a time series steps x height x width x channels), label (height x
        width) and identifier, in the chips' dtypes, with static shapes. Named layers and targets have their names in
        place of image and label.

    Raises:
        InputError: The dataset or split does not exist, or it has no class weights or no continuous target.
        RecordError: A shard is missing.
    """
    path = dataset_path(directory)
    info = read_info(path)
    normalisers = Normaliser.from_statistics(path, normalise) if normalise else {}
    paths = shard_paths(path, info, split)
    counts = tf.constant(info.splits[split], tf.int64)
    total = sum(counts.numpy())
    if shuffle and seed is None:
        seed = int(np.random.default_rng().integers(2**31))
    if isinstance(path, RemotePath):
        records = _remote_records(paths, info, shuffle, seed)
    else:
        records = _local_records(paths, info, counts, seed if shuffle else None)
    if cache:
        records = records.cache()
    if shuffle:
        records = records.shuffle(max(1, min(total, _SHUFFLE_BYTES // info.pixel_bytes)), seed=seed)
    parallel = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}
    if info.storage in ("array", "float"):
        batches = records.batch(batch or max(1, _BATCH_BYTES // info.pixel_bytes))
        chips = batches.map(partial(_parse_batch, info=info, normalisers=normalisers), **parallel)
        chips = chips if batch else chips.unbatch()
    else:
        chips = records.map(partial(_parse_file, info=info, normalisers=normalisers), **parallel)
        chips = chips.batch(batch) if batch else chips
    if weights:
        weigh = _class_weights(path, info, "train" if weights is True else weights)
        label = label_key(next(iter(info.labels)))
        chips = chips.map(lambda chip: chip | {"weight": weigh(chip[label])}, **parallel)
    if normalise_labels:
        scales = MeasurementScale.from_statistics(path, normalise_labels)
        chips = chips.map(partial(_normalise_labels, scales=scales), **parallel)
    chips = chips.apply(tf.data.experimental.assert_cardinality(-(-total // (batch or 1))))
    return chips.prefetch(tf.data.AUTOTUNE)
