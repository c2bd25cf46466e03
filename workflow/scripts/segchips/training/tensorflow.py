"""Shards as a tf.data.Dataset, and parsers of single records for pipelines of one's own."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from segchips.records.chip_reader import decode_chip
from segchips.records.dataset_files import read_info, shard_paths
from segchips.records.dataset_info import ChipLayout, DatasetInfo
from segchips.records.normalisation import Normaliser

if TYPE_CHECKING:
    from segchips.arrays import Pixels

Parsed = tuple[tf.Tensor, tf.Tensor, tf.Tensor]

Shape = tuple[int | None, int | None, int | None]
_ANY: Shape = (None, None, None)
_BATCH_BYTES = 4_000_000
_FILES = 8
_IMAGE, _LABEL, _IDENTIFIER = "image/image_data", "target/target_data", "identifier"
_SAME_BITS = {"uint32": "int32", "uint64": "int64"}


def _parse(record: tf.Tensor, data: Any, decode: Callable[[tf.Tensor, str], tf.Tensor], shape: Shape) -> Parsed:
    """One record's image, label and identifier, each decoded by `decode` and shaped as recorded and as in `shape`."""
    sizes = {"image": ("image/height", "image/width", "image/channels"), "label": ("target/height", "target/width")}
    spec = {key: tf.io.FixedLenFeature([], tf.int64) for keys in sizes.values() for key in keys}
    spec |= {_IMAGE: data, _LABEL: data, _IDENTIFIER: tf.io.FixedLenFeature([], tf.string)}
    found = tf.io.parse_single_example(record, spec)
    image, label = (
        tf.reshape(decode(found[key], kind), [found[size] for size in sizes[kind]])
        for key, kind in ((_IMAGE, "image"), (_LABEL, "label"))
    )
    return tf.ensure_shape(image, shape), tf.ensure_shape(label, shape[:2]), found[_IDENTIFIER]


def _raw(data: tf.Tensor, dtype: str) -> tf.Tensor:
    """Little-endian bytes as values; TensorFlow decodes unsigned 32 and 64 bits as signed ones only."""
    return tf.bitcast(tf.io.decode_raw(data, _SAME_BITS.get(dtype, dtype)), dtype)


def _text() -> Any:
    return tf.io.FixedLenFeature([], tf.string)


def parse_array(record: tf.Tensor, dtype: str = "uint8", label_dtype: str = "uint8", shape: Shape = _ANY) -> Parsed:
    """Image (height x width x channels), label (height x width) and identifier of a serialized `array` record.

    For `Dataset.map`. `shape` of the image makes the tensors' shapes static.
    """
    dtypes = {"image": dtype, "label": label_dtype}
    return _parse(record, _text(), lambda data, kind: _raw(data, dtypes[kind]), shape)


def parse_float(record: tf.Tensor, shape: Shape = _ANY) -> Parsed:
    """As `parse_array` for `float` records; image and label are float32."""
    floats = tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True)
    return _parse(record, floats, lambda data, _: data, shape)


def parse_picture(record: tf.Tensor, shape: Shape = _ANY) -> Parsed:
    """As `parse_array` for 8-bit PNG and JPEG files (`png`, `jpeg`, such `encoded` ones); palettes become colors."""

    def decode(data: tf.Tensor, _: str) -> tf.Tensor:
        exact = partial(tf.io.decode_jpeg, data, dct_method="INTEGER_ACCURATE")
        return tf.cond(tf.io.is_jpeg(data), exact, partial(tf.io.decode_image, data, expand_animations=False))

    return _parse(record, _text(), decode, shape)


def parse_encoded(record: tf.Tensor, dtype: str, label_dtype: str = "uint8", shape: Shape = _ANY) -> Parsed:
    """As `parse_array` for `encoded` records of any raster format; dtypes are the files' own."""
    dtypes = {"image": dtype, "label": label_dtype}
    return _parse(record, _text(), lambda data, kind: tf.numpy_function(decode_chip, [data], dtypes[kind]), shape)


def parse_encoded_float(record: tf.Tensor, shape: Shape = _ANY) -> Parsed:
    """As `parse_encoded` where the files' dtypes are not known or differ; image and label are float32."""

    def decode(content: bytes) -> "Pixels":
        return decode_chip(content).astype("float32")

    return _parse(record, _text(), lambda data, _: tf.numpy_function(decode, [data], tf.float32), shape)


def _records(path: tf.Tensor, count: tf.Tensor, compression: str | None) -> tf.data.Dataset:
    """A shard's records, and the shard's path in place of each that cannot be read; `_check` finds it."""
    records = tf.data.TFRecordDataset(path, compression).ignore_errors()
    return records.concatenate(tf.data.Dataset.from_tensors(path).repeat()).take(count)


def _check(records: tf.Tensor) -> tf.Tensor:
    """The same records; an error names the shard where one is missing, for no path begins as every record does."""
    paths, _ = tf.unique(tf.boolean_mask(records, tf.strings.substr(records, 0, 1) != "\n"))
    advice = tf.strings.reduce_join(paths, separator=", ") + " is damaged or cut off; segchips.verify tells where"
    with tf.control_dependencies([tf.debugging.Assert(tf.size(paths) == 0, [advice])]):
        return tf.identity(records)


def _parse_batch(batch: tf.Tensor, info: DatasetInfo, normaliser: Normaliser | None) -> dict[str, tf.Tensor]:
    """Many `array` or `float` records at once, which is much faster than one by one."""
    layouts, floats = {_IMAGE: info.image, _LABEL: info.label}, info.storage == "float"
    data = {
        key: tf.io.FixedLenFeature(layout.shape, tf.float32) if floats else _text() for key, layout in layouts.items()
    }
    found = tf.io.parse_example(_check(batch), data | {_IDENTIFIER: _text()})

    def decode(data: tf.Tensor, layout: ChipLayout) -> tf.Tensor:
        return tf.cast(data, layout.dtype) if floats else tf.reshape(_raw(data, layout.dtype), (-1, *layout.shape))

    image, label = (decode(found[key], layout) for key, layout in layouts.items())
    return _named(image, label, found[_IDENTIFIER], normaliser)


def _named(
    image: tf.Tensor, label: tf.Tensor, identifier: tf.Tensor, normaliser: Normaliser | None
) -> dict[str, tf.Tensor]:
    return {"image": _normalised(image, normaliser) if normaliser else image, "label": label, "identifier": identifier}


def _normalised(image: tf.Tensor, normaliser: Normaliser) -> tf.Tensor:
    """As `Normaliser.apply`."""
    values = tf.cast(image, normaliser.float_type(image.dtype.as_numpy_dtype))
    valid = tf.math.is_finite(values)
    if normaliser.nodata is not None:
        valid &= values != tf.constant(normaliser.nodata, values.dtype)
    scaled = (values - tf.constant(normaliser.mean, values.dtype)) / tf.constant(normaliser.std, values.dtype)
    return tf.where(valid, tf.cast(scaled, tf.float32), 0.0)


def _parse_file(record: tf.Tensor, info: DatasetInfo, normaliser: Normaliser | None) -> dict[str, tf.Tensor]:
    """A record that holds files."""
    record, (height, width, channels) = _check([record])[0], info.image.shape
    if info.storage == "encoded":
        return _named(*parse_encoded(record, info.image.dtype, info.label.dtype, (height, width, channels)), normaliser)
    return _named(*parse_picture(record, (height, width, channels)), normaliser)


def load(directory: str | Path, split: str, batch: int | None = None, normalise: bool | str = False) -> tf.data.Dataset:
    """A split as dicts of image (height x width x channels), label (height x width) and identifier, in a fixed order.

    Dtypes and shapes are the chips' own. With `batch`, the chips come in batches, which is faster than batching them
    afterwards. With `normalise`, images are float32: valid pixels (value - mean) / std of their band, all others 0, by
    `statistics` of split "train" or of the split that `normalise` names. InputError names a missing dataset or split,
    RecordError a missing shard.
    """
    info = read_info(Path(directory))
    normaliser = Normaliser.from_statistics(Path(directory), normalise) if normalise else None
    paths = shard_paths(Path(directory), info, split)
    counts = tf.constant(info.splits[split], tf.int64)
    parallel = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}
    shards = tf.data.Dataset.from_tensor_slices(([str(path) for path in paths], counts))
    records = shards.interleave(partial(_records, compression=info.compression), _FILES, **parallel)
    if info.storage in ("array", "float"):
        batches = records.batch(batch or max(1, _BATCH_BYTES // info.pixel_bytes))
        chips = batches.map(partial(_parse_batch, info=info, normaliser=normaliser), **parallel)
        chips = chips if batch else chips.unbatch()
    else:
        chips = records.map(partial(_parse_file, info=info, normaliser=normaliser), **parallel)
        chips = chips.batch(batch) if batch else chips
    return chips.apply(tf.data.experimental.assert_cardinality(-(-sum(counts.numpy()) // (batch or 1))))
