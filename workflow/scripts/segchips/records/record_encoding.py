"""TODO: describe."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from os.path import basename
from typing import TYPE_CHECKING

from segchips.errors import InputError
from segchips.records.chip_header import ChipHeader
from segchips.records.chip_reader import ALONE, encode_like, open_chip, read_chip, read_file
from segchips.records.tf_example import array_bytes, encode
from segchips.tiles.assignment import hash64

if TYPE_CHECKING:
    from segchips.arrays import Pixels
    from segchips.config.model import TFRecordsConfig
    from segchips.records.tf_example import Piece, Value

ReferenceHeaders = tuple[ChipHeader, ChipHeader]
_FLOAT32_HOLDS = ("uint8", "int8", "uint16", "int16", "float32")


@dataclass(frozen=True)
class ChipPair:
    """An image chip and its label chip under one name, a tile key or that of the files."""

    name: str
    image: str
    label: str
    is_tile: bool = True
    beside: int = ALONE


def record_order(names: Iterable[str]) -> list[str]:
    """The seeded order of records within a shard."""
    return sorted(names, key=lambda name: hash64(name, b"order"))


def _as_float32(header: ChipHeader, pixels: Pixels) -> Pixels:
    """As float32; InputError where that would change a value."""
    import numpy as np

    with np.errstate(over="ignore"):
        floats = pixels.astype(np.float32)
    if header.dtype == "float64":
        exact = np.array_equal(floats, pixels, equal_nan=True)
    else:
        exact = header.dtype in _FLOAT32_HOLDS or bool(np.all((pixels <= 2**24) & (pixels >= -(2**24))))
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


def _read_and_encode(path: str, beside: int, storage: str, quality: int) -> tuple[ChipHeader, Value, Pixels | None]:
    """A chip's header, what a record holds of it, and its pixels where they were decoded."""
    if storage == "encoded":
        return *read_file(path, beside), None
    header, pixels = read_chip(path, beside)
    return header, _encode_pixels(header, pixels, storage, quality), pixels


def _encode_pixels(header: ChipHeader, pixels: Pixels, storage: str, quality: int) -> Value:
    if storage == "array":
        return array_bytes(pixels)
    if storage == "encoded":
        return encode_like(header.path, pixels)
    return _as_float32(header, pixels) if storage == "float" else _encode_picture(header, pixels, storage, quality)


def _pixels_without_data(image: ChipHeader) -> Pixels | None:
    """Where (height x width) some band of the image has no valid value; None where there is no such pixel."""
    if image.valid is None or image.valid == 1:
        return None
    with open_chip(image.path) as source:
        unseen: Pixels = (source.read_masks() == 0).any(axis=0)
    return unseen if unseen.any() else None


def _mark_unknown(label: ChipHeader, pixels: Pixels | None, unseen: Pixels, beside: int, value: int) -> Pixels:
    """The label's pixels with `value` where the image shows nothing."""
    import numpy as np

    known = read_chip(label.path, beside)[1] if pixels is None else pixels
    return np.where(unseen[..., None], np.array(value, known.dtype), known)


def describe_layout(layout: tuple[int, int, int, str]) -> str:
    height, width, channels, dtype = layout
    return f"{width} x {height} pixels with {channels} band{'s'[: channels != 1]} of {dtype}"


def _check_label_layout(image: ChipHeader, label: ChipHeader) -> None:
    if label.layout != (image.height, image.width, 1, label.dtype):
        raise InputError(
            f"{label.path} is {describe_layout(label.layout)}; "
            f"the label of {image.path} has 1 band of {image.width} x {image.height} pixels"
        )


def make_record(
    pair: ChipPair, split: str, config: TFRecordsConfig, unknown: int | None = None
) -> tuple[ReferenceHeaders, list[Piece], tuple[Pixels | None, Pixels | None]]:
    """A pair's headers, its serialized record in pieces and its pixels where they were decoded.

    Where a band of the image has no valid value, the label becomes `unknown`, unless that is None. InputError names a
    chip that cannot become a record.
    """
    image, image_data, image_pixels = _read_and_encode(pair.image, pair.beside, config.storage, config.quality)
    lossless = "png" if config.storage == "jpeg" else config.storage
    label, label_data, label_pixels = _read_and_encode(pair.label, pair.beside, lossless, config.quality)
    _check_label_layout(image, label)
    if unknown is not None and (unseen := _pixels_without_data(image)) is not None:
        label_pixels = _mark_unknown(label, label_pixels, unseen, pair.beside, unknown)
        label_data = _encode_pixels(label, label_pixels, lossless, config.quality)
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
    return (image, label), encode(features), (image_pixels, label_pixels)
