"""The record of a chip pair: its values, in the storage of the config, as a serialized tf.train.Example."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from os.path import basename
from typing import TYPE_CHECKING, NamedTuple

from segchips.errors import InputError
from segchips.records.chip_header import ChipHeader, Sidecars
from segchips.records.chip_reader import open_chip, read_chip, read_file, replace_pixels
from segchips.records.tf_example import array_bytes, encode
from segchips.tiles.assignment import hash64

if TYPE_CHECKING:
    from segchips.arrays import Mask, Pixels
    from segchips.config.tfrecords import TFRecordsConfig
    from segchips.records.tf_example import Piece, Value

PairHeaders = tuple[ChipHeader, ChipHeader]
"""The headers of an image chip and of its label chip."""
_EXACT_IN_FLOAT32 = ("uint8", "int8", "uint16", "int16", "float32")
_LARGEST_EXACT_INTEGER = 2**24
"""Up to this, float32 can represent all integers."""


class ChipPair(NamedTuple):
    """An image chip and its label chip.

    Attributes:
        name: The tile key, or the files' name without extension.
        image: The path of the image chip.
        label: The path of the label chip.
        is_tile: Whether `name` is a tile key.
        sidecars: The files beside either chip.
    """

    name: str
    image: str
    label: str
    is_tile: bool = True
    sidecars: Sidecars = Sidecars.NONE


class Record(NamedTuple):
    """The record of a chip pair.

    Attributes:
        headers: The headers of image and label.
        pieces: The serialized tf.train.Example, in pieces.
        image: The pixels of the image, height x width x channels; None if they were not decoded.
        label: The pixels of the label, height x width x 1; None if they were not decoded.
    """

    headers: PairHeaders
    pieces: Sequence[Piece]
    image: Pixels | None
    label: Pixels | None


def record_order(names: Iterable[str]) -> list[str]:
    """The order of records within a shard, which depends on the names alone."""
    return sorted(names, key=lambda name: hash64(name, b"order"))


def _as_float32(header: ChipHeader, pixels: Pixels) -> Pixels:
    """Convert to float32; InputError if that changes a value."""
    import numpy as np

    with np.errstate(over="ignore"):
        floats = pixels.astype(np.float32)
    if header.dtype == "float64":
        exact = np.array_equal(floats, pixels, equal_nan=True)
    else:
        limit = _LARGEST_EXACT_INTEGER
        exact = header.dtype in _EXACT_IN_FLOAT32 or bool(np.all((pixels <= limit) & (pixels >= -limit)))
    if not exact:
        raise InputError(f"{header.path} has {header.dtype} values that float32 cannot hold; use storage array")
    return floats


def _encode_picture(header: ChipHeader, pixels: Pixels, storage: str, quality: int) -> bytes:
    import imagecodecs
    import numpy as np

    if header.dtype != "uint8" or header.channels not in (1, 3):
        raise InputError(
            f"{header.path} is {describe_layout(header.layout)}; storage {storage} takes 1 or 3 bands of uint8"
        )
    plane = np.ascontiguousarray(pixels[..., 0] if header.channels == 1 else pixels)
    if storage == "jpeg":
        return bytes(imagecodecs.jpeg8_encode(plane, level=quality))
    return bytes(imagecodecs.png_encode(plane, strategy=imagecodecs.PNG.STRATEGY.RLE))


def _encode_chip(path: str, sidecars: Sidecars, storage: str, quality: int) -> tuple[ChipHeader, Value, Pixels | None]:
    """A chip's header, the value that its record stores, and its pixels if they were decoded."""
    if storage == "encoded":
        return *read_file(path, sidecars), None
    header, pixels = read_chip(path, sidecars)
    return header, _encode_pixels(header, pixels, storage, quality), pixels


def _encode_pixels(header: ChipHeader, pixels: Pixels, storage: str, quality: int) -> Value:
    if storage == "array":
        return array_bytes(pixels)
    if storage == "encoded":
        return replace_pixels(header.path, pixels)
    if storage == "float":
        return _as_float32(header, pixels)
    return _encode_picture(header, pixels, storage, quality)


def valid_mask(image: ChipHeader) -> Mask | None:
    """Where (height x width) all bands of the image have a valid value; None if they have everywhere."""
    if image.valid is None or image.valid == 1:
        return None
    with open_chip(image.path) as source:
        valid: Mask = (source.read_masks() != 0).all(axis=0)
    return None if valid.all() else valid


def _mark_unknown(label: ChipHeader, pixels: Pixels | None, invalid: Mask, sidecars: Sidecars, unknown: int) -> Pixels:
    """The label's pixels, with the value `unknown` where the image has no valid value."""
    import numpy as np

    classes = read_chip(label.path, sidecars)[1] if pixels is None else pixels
    return np.where(invalid[..., None], np.array(unknown, classes.dtype), classes)


def describe_layout(layout: tuple[int, int, int, str]) -> str:
    """Describe height, width, channels and dtype in words."""
    height, width, channels, dtype = layout
    return f"{width} x {height} pixels with {channels} band{'s'[: channels != 1]} of {dtype}"


def _check_label_layout(image: ChipHeader, label: ChipHeader) -> None:
    if label.layout != (image.height, image.width, 1, label.dtype):
        raise InputError(
            f"{label.path} is {describe_layout(label.layout)}; "
            f"the label of {image.path} has 1 band of {image.width} x {image.height} pixels"
        )


def make_record(pair: ChipPair, split: str, config: TFRecordsConfig, unknown: int | None = None) -> Record:
    """Make the record of a chip pair.

    Args:
        pair: The chips.
        split: The split that the record belongs to.
        config: How records are stored.
        unknown: The value of label pixels where a band of the image has no valid value; None leaves the label as it is.

    Raises:
        InputError: A chip cannot become a record.
    """
    storage, quality = config.storage, config.quality
    image, image_data, image_pixels = _encode_chip(pair.image, pair.sidecars, storage, quality)
    label_storage = "png" if storage == "jpeg" else storage  # JPEG would change classes
    label, label_data, label_pixels = _encode_chip(pair.label, pair.sidecars, label_storage, quality)
    _check_label_layout(image, label)
    if unknown is not None and (valid := valid_mask(image)) is not None:
        label_pixels = _mark_unknown(label, label_pixels, ~valid, pair.sidecars, unknown)
        label_data = _encode_pixels(label, label_pixels, label_storage, quality)
    transform = list(image.geotransform)
    features: dict[str, Value] = {
        "image/image_data": image_data,
        "image/height": image.height,
        "image/width": image.width,
        "image/channels": image.channels,
        "image/dtype": image.dtype,
        "target/target_data": label_data,
        "target/height": label.height,
        "target/width": label.width,
        "target/dtype": label.dtype,
        "identifier": pair.name if pair.is_tile else f"{basename(pair.image)}|{transform}|{image.crs}",
        "crs": image.crs,
        "transform": " ".join(map(repr, transform)),
        "split": split,
        "bands": json.dumps(image.bands),
        "acquired": json.dumps(image.acquired),
    }
    return Record((image, label), encode(features), image_pixels, label_pixels)
