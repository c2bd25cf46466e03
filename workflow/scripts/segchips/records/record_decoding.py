"""Records as NumPy arrays, read without TensorFlow."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segchips.errors import InputError, RecordError
from segchips.records.chip_reader import decode_chip
from segchips.records.dataset_files import read_info, shard_paths
from segchips.records.dataset_info import ChipLayout, DatasetInfo, image_key, image_prefix, label_key, target_prefix
from segchips.records.file_names import index_path
from segchips.records.record_encoding import by_step
from segchips.records.shard_index import read_index
from segchips.records.storage import dataset_path
from segchips.records.tf_example import decode
from segchips.records.tfrecord import read_record
from segchips.tiles.assignment import MADE

if TYPE_CHECKING:
    from segchips.arrays import Pixels


Example = dict[str, Any]
"""A decoded record: its images, labels and identifier.

`image`, or the name of each layer, is height x width x channels in the chip's dtype, of a time series steps x height x
width x channels. `label`, or the name of each target, is height x width. `identifier` is the tile key; for chips made
elsewhere `file name|geotransform|crs`.
"""


def _decode_picture(content: bytes) -> Pixels:
    """Decode PNG or JPEG as TensorFlow does; the JPEG decoder of GDAL rounds differently."""
    import imagecodecs

    array: Pixels = (imagecodecs.jpeg8_decode if content[:2] == b"\xff\xd8" else imagecodecs.png_decode)(content)
    return array


def _decode_array(value: Any, layout: ChipLayout, storage: str) -> Pixels:
    if storage == "array":
        flat = np.frombuffer(value, np.dtype(layout.dtype).newbyteorder("<")).astype(layout.dtype)
    elif storage == "float":
        flat = value.astype(layout.dtype)
    else:
        flat = (decode_chip if storage == "encoded" else _decode_picture)(bytes(value))
        if flat.dtype != layout.dtype:
            raise ValueError(f"dtype {flat.dtype}, not {layout.dtype}")
        if len(layout.shape) == 4:
            flat = by_step(flat, layout.shape[0])
    return flat.reshape(layout.shape)


def decode_example(payload: bytes, info: DatasetInfo) -> Example:
    """Decode a record.

    Args:
        payload: The serialized tf.train.Example.
        info: The description of the dataset.

    Raises:
        RecordError: The record differs from the description.
    """
    record: dict[str, Any] = decode(payload)
    try:
        example: Example = {}
        for layer, layout in info.images.items():
            data = record[f"{image_prefix(layer)}/image_data"]
            example[image_key(layer)] = _decode_array(data, layout, info.storage)
        for target, layout in info.labels.items():
            data = record[f"{target_prefix(target)}/target_data"]
            example[label_key(target)] = _decode_array(data, layout, info.storage)
        example["identifier"] = bytes(record["identifier"]).decode()
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError, RecordError) as error:
        raise RecordError(f"a record of dataset {info.name} does not match its description: {error}") from error
    return example


def steps_as_bands(image: Pixels) -> Pixels:
    """Turn a time series, steps x height x width x channels, to height x width x (steps * channels)."""
    return image if image.ndim == 3 else image.transpose(1, 2, 0, 3).reshape(*image.shape[1:3], -1)


def read_chips(directory: str | Path, names: Collection[str]) -> Iterator[tuple[str, Example]]:
    """Read chips, found by the index, in the order of the shards; reads no shard after the last of them.

    Args:
        directory: The directory of the shards.
        names: Tile keys, or names of the chips' files without extension.

    Yields:
        The name and the chip, for those that the shards hold.

    Raises:
        RecordError: A shard or index is missing or damaged.
    """
    directory, wanted = dataset_path(directory), set(names)
    info = read_info(directory)
    for shard in (path for split in info.splits for path in shard_paths(directory, info, split)):
        if not wanted:
            return
        for entry in read_index(index_path(shard)):
            if entry.tile in wanted and entry.state == MADE:
                wanted.remove(entry.tile)
                payload = read_record(shard, entry.offset or 0, entry.length or 0, info.compression)
                yield entry.tile, decode_example(payload, info)


def read(directory: str | Path, name: str) -> Example:
    """Read one chip, found by the index.

    Args:
        directory: The directory of the shards.
        name: The tile key, or the name of the chip's file without extension.

    Raises:
        InputError: No shard has such a chip.
        RecordError: A shard or index is missing or damaged.
    """
    for _, chip in read_chips(directory, [name]):
        return chip
    raise InputError(
        f"no shard in {dataset_path(directory)} holds a chip named '{name}'; the index files beside them list all names"
    )
