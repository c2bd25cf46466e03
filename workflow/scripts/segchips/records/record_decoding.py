"""Records as NumPy arrays, read without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from segchips.errors import InputError, RecordError
from segchips.records.chip_reader import decode_chip
from segchips.records.dataset_files import read_info, shard_paths
from segchips.records.dataset_info import ChipLayout, DatasetInfo
from segchips.records.file_names import index_path
from segchips.records.shard_index import read_index
from segchips.records.tf_example import decode
from segchips.records.tfrecord import read_record
from segchips.tiles.assignment import MADE

if TYPE_CHECKING:
    from segchips.arrays import Pixels


class Example(TypedDict):
    """A decoded record.

    Attributes:
        image: Height x width x channels, in the chip's dtype.
        label: Height x width, in the chip's dtype.
        identifier: The tile key; for chips made elsewhere `file name|geotransform|crs`.
    """

    image: Pixels
    label: Pixels
    identifier: str


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
        identifier = bytes(record["identifier"]).decode()
        image = _decode_array(record["image/image_data"], info.image, info.storage)
        label = _decode_array(record["target/target_data"], info.label, info.storage)
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError, RecordError) as error:
        raise RecordError(f"a record of dataset {info.name} does not match its description: {error}") from error
    return {"image": image, "label": label, "identifier": identifier}


def read(directory: str | Path, name: str) -> Example:
    """Read one chip, found by the index.

    Args:
        directory: The directory of the shards.
        name: The tile key, or the name of the chip's file without extension.

    Raises:
        InputError: No shard has such a chip.
        RecordError: A shard or index is missing or damaged.
    """
    directory = Path(directory)
    info = read_info(directory)
    for shard in (path for split in info.splits for path in shard_paths(directory, info, split)):
        for entry in read_index(index_path(shard)):
            if entry.tile == name and entry.state == MADE:
                return decode_example(read_record(shard, entry.offset or 0, entry.length or 0, info.compression), info)
    raise InputError(f"no shard in {directory} holds a chip named '{name}'; the index files beside them list all names")
