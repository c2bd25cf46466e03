"""Shards as a tf.data.Dataset, described by the files beside them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segchips.description import Info, Layout, read_info
from segchips.errors import RecordError

if TYPE_CHECKING:
    import tensorflow as tf

_BATCH = 16
_FILES = 8
_IMAGE, _LABEL, _IDENTIFIER = "image/image_data", "target/target_data", "identifier"
_SAME_BITS = {"uint32": "int32", "uint64": "int64"}


def _paths(directory: Path, info: Info, split: str) -> list[str]:
    paths = [directory / name for name in info.shards(split)]
    for path in paths:
        if not path.is_file():
            raise RecordError(
                f"{path} is missing; the description beside it counts {len(paths)} shards of split '{split}'"
            )
    return [str(path) for path in paths]


def _decode_files(
    contents: "np.ndarray[Any, Any]", shape: "np.ndarray[Any, Any]", dtype: bytes
) -> "np.ndarray[Any, Any]":
    from segchips.chipfiles import decode_chip

    arrays = [decode_chip(content).reshape(shape) for content in contents]
    return np.stack(arrays).astype(dtype.decode(), casting="no", copy=False)


def _decode(data: "tf.Tensor", layout: Layout, storage: str) -> "tf.Tensor":
    """A batch of stored images or labels as one tensor of the layout's dtype, its shape static but for the batch."""
    import tensorflow as tf

    if storage == "array":
        raw = tf.io.decode_raw(data, _SAME_BITS.get(layout.dtype, layout.dtype))
        return tf.bitcast(tf.reshape(raw, (-1, *layout.shape)), layout.dtype)
    decoded = tf.numpy_function(_decode_files, [data, layout.shape, layout.dtype], layout.dtype)
    return tf.ensure_shape(decoded, (None, *layout.shape))


def load(directory: str | Path, split: str) -> "tf.data.Dataset":
    """A split as dicts of image (height x width x channels), label (height x width) and identifier, in a fixed order.

    Dtypes and shapes are the chips' own. InputError names a missing dataset or split, RecordError a missing shard.
    """
    import tensorflow as tf

    directory = Path(directory)
    info = read_info(directory)
    spec = {key: tf.io.FixedLenFeature([], tf.string) for key in (_IMAGE, _LABEL, _IDENTIFIER)}

    def parse(batch: "tf.Tensor") -> dict[str, "tf.Tensor"]:
        record = tf.io.parse_example(batch, spec)
        image, label = (
            _decode(record[_IMAGE], info.image, info.storage),
            _decode(record[_LABEL], info.label, info.storage),
        )
        return {"image": image, "label": label, "identifier": record[_IDENTIFIER]}

    files = tf.data.Dataset.from_tensor_slices(tf.constant(_paths(directory, info, split), tf.string))
    records = files.interleave(
        lambda path: tf.data.TFRecordDataset(path, info.compression),
        _FILES,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return records.batch(_BATCH).map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).unbatch()
