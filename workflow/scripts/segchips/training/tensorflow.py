"""Shards as a tf.data.Dataset, and parsers of single records for other pipelines."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from segchips.arrays import Array
from segchips.errors import InputError, RecordError
from segchips.records.chip_reader import decode_chip
from segchips.records.dataset_files import read_info
from segchips.records.dataset_info import DatasetInfo, image_key, label_key
from segchips.records.normalisation import MeasurementScale, Normaliser
from segchips.records.record_reader import RecordReader, find_places
from segchips.records.statistics import statistics
from segchips.records.storage import dataset_path

if TYPE_CHECKING:
    from segchips.arrays import Pixels

Normalisers = dict[str, Normaliser]
Parsed = tuple[tf.Tensor, tf.Tensor, tf.Tensor]

Shape = tuple[int | None, int | None, int | None]
_ANY: Shape = (None, None, None)
_BATCH_BYTES = 4_000_000
_ALIGNMENT = 64
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


def _read_batches(numbers: tf.data.Dataset, directory: Path, info: DatasetInfo, split: str) -> tf.data.Dataset:
    """Read batches of records by their numbers in the split; dicts of image, label and identifier."""
    reader, places = RecordReader(info), find_places(directory, info, [split])
    layouts = {image_key(name): layout for name, layout in info.images.items()}
    layouts |= {label_key(name): layout for name, layout in info.labels.items()}

    def read(numbers: Array) -> list[Array]:
        arrays = {name: _aligned((len(numbers), *layout.shape), layout.dtype) for name, layout in layouts.items()}
        try:
            return [*arrays.values(), np.array(reader.read_all([places[at] for at in numbers], arrays), object)]
        except RecordError as error:
            raise ValueError(f"{error}; segchips.verify lists all faults") from error

    def fetch(numbers: tf.Tensor) -> dict[str, tf.Tensor]:
        types = [*(tf.as_dtype(layout.dtype) for layout in layouts.values()), tf.string]
        *chips, identifiers = tf.numpy_function(read, [numbers], types)
        shaped = {
            name: tf.ensure_shape(chip, (None, *layout.shape))
            for chip, (name, layout) in zip(chips, layouts.items(), strict=True)
        }
        return shaped | {_IDENTIFIER: tf.ensure_shape(identifiers, (None,))}

    return numbers.map(fetch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _aligned(shape: tuple[int, ...], dtype: str) -> Array:
    """Empty memory that TensorFlow takes as it is; it copies arrays that begin elsewhere."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


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
        shuffle: Whether chips come in another order in each epoch, which any order of all chips can be.
        seed: A number that makes the orders of `shuffle` the same in each run.
        cache: Whether chips are kept in memory after the first epoch.
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
    total = sum(info.splits[split]) if split in info.splits else 0
    if shuffle and seed is None:
        seed = int(np.random.default_rng().integers(2**31))
    numbers = tf.data.Dataset.range(total)
    if shuffle and not cache:
        numbers = numbers.shuffle(max(1, total), seed=seed)
    size = max(1, _BATCH_BYTES // info.pixel_bytes)
    chips = _read_batches(numbers.batch(size if cache else batch or size), path, info, split)
    if cache:
        chips = chips.unbatch().cache()
        chips = chips.shuffle(max(1, total), seed=seed) if shuffle else chips
        chips = chips.batch(batch or size)
    parallel = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}
    if normalisers:
        chips = chips.map(partial(_normalise_images, normalisers=normalisers), **parallel)
    if weights:
        weigh = _class_weights(path, info, "train" if weights is True else weights)
        label = label_key(next(iter(info.labels)))
        chips = chips.map(lambda chip: chip | {"weight": weigh(chip[label])}, **parallel)
    if normalise_labels:
        scales = MeasurementScale.from_statistics(path, normalise_labels)
        chips = chips.map(partial(_normalise_labels, scales=scales), **parallel)
    chips = chips if batch else chips.unbatch()
    chips = chips.apply(tf.data.experimental.assert_cardinality(-(-total // (batch or 1))))
    return chips.prefetch(tf.data.AUTOTUNE)
