"""The record of a chip pair: its values, in the storage of the config, as a serialized tf.train.Example."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from os.path import splitext
from typing import TYPE_CHECKING, NamedTuple

from segchips.errors import InputError
from segchips.records.chip_header import ChipHeader, Sidecars
from segchips.records.chip_reader import encode_pixels, open_chip, read_chip, read_file
from segchips.records.dataset_info import UNNAMED, image_prefix, target_prefix
from segchips.records.tf_example import array_bytes, encode
from segchips.tiles.assignment import hash64

if TYPE_CHECKING:
    from segchips.arrays import Mask, Pixels
    from segchips.config.tfrecords import TFRecordsConfig
    from segchips.records.chip_values import ValueRules
    from segchips.records.tf_example import Piece, Value

_Chip = tuple[ChipHeader, "Value", "Pixels | None"]
"""A chip's header, the value that its record stores, and its pixels if they were decoded."""
PairHeaders = tuple[tuple[ChipHeader, ...], tuple[ChipHeader, ...]]
"""The headers of the image chips and of the label chips of a tile."""
_EXACT_IN_FLOAT32 = ("uint8", "int8", "uint16", "int16", "float32")
_LARGEST_EXACT_INTEGER = 2**24
"""Up to this, float32 can represent all integers."""


class RecordParts(NamedTuple):
    """The layers and targets of a dataset's records.

    Attributes:
        layers: The names of the image layers; "" for the only one without a name.
        targets: The names of the label targets, likewise.
        optional: The layers whose chips may lack valid pixels.
    """

    layers: tuple[str, ...] = ("",)
    targets: tuple[str, ...] = ("",)
    optional: tuple[str, ...] = ()


UNNAMED_PARTS = RecordParts()
"""One layer and one target without names."""


class ChipPair(NamedTuple):
    """The image chips of a tile's layers, and the label chips of its targets.

    Attributes:
        name: The tile key, or the files' name without extension.
        images: The path of the image chip of each layer.
        labels: The path of the label chip of each target.
        is_tile: Whether `name` is a tile key.
        sidecars: The kind of the files beside any of the chips.
        beside: The paths of these files, of chips made elsewhere.
    """

    name: str
    images: tuple[str, ...]
    labels: tuple[str, ...]
    is_tile: bool = True
    sidecars: Sidecars = Sidecars.NONE
    beside: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of all chips."""
        return self.images + self.labels

    @property
    def files(self) -> tuple[str, ...]:
        """The paths of all files that the chips are read from."""
        return self.paths + self.beside


class Record(NamedTuple):
    """The record of a tile.

    Attributes:
        headers: The headers of images and labels.
        pieces: The serialized tf.train.Example, in pieces.
        images: The pixels of each image, height x width x channels; None if they were not decoded.
        labels: The pixels of each label, height x width x 1; None if they were not decoded.
        identifier: The identifier of the record.
        valid: Which pixels (height x width) of a chip made elsewhere have valid values; None if all have.
        note: What was changed in a chip made elsewhere and the config does not say; empty if nothing was.
    """

    headers: PairHeaders
    pieces: Sequence[Piece]
    images: tuple[Pixels | None, ...]
    labels: tuple[Pixels | None, ...]
    identifier: str
    valid: Mask | None = None
    note: str = ""


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


def _read_chip(path: str, sidecars: Sidecars, storage: str) -> tuple[ChipHeader, bytes | None, Pixels | None]:
    """A chip's header, and either the bytes of its file, where the record stores these, or its pixels."""
    if storage == "encoded":
        return *read_file(path, sidecars), None
    header, pixels = read_chip(path, sidecars)
    return header, None, pixels


def _encode_chip(path: str, sidecars: Sidecars, storage: str, quality: int) -> _Chip:
    header, content, pixels = _read_chip(path, sidecars, storage)
    if pixels is None:
        assert content is not None
        return header, content, None
    return header, _encode_pixels(header, pixels, storage, quality), pixels


def _encode_pixels(header: ChipHeader, pixels: Pixels, storage: str, quality: int) -> Value:
    if header.steps and storage in ("array", "float"):
        pixels = by_step(pixels, len(header.steps))
    if storage == "array":
        return array_bytes(pixels)
    if storage == "encoded":
        return encode_pixels(header.path, pixels, header.nodata)
    if storage == "float":
        return _as_float32(header, pixels)
    return _encode_picture(header, pixels, storage, quality)


def valid_mask(image: ChipHeader) -> Mask | None:
    """Where (height x width) the image has a valid pixel; None if it has everywhere.

    A pixel is valid if all bands are, of a time series those of at least one step.
    """
    if image.valid is None or image.valid == 1:
        return None
    with open_chip(image.path) as source:
        masks = source.read_masks().reshape(len(image.steps) or 1, -1, image.height, image.width) != 0
    valid: Mask = masks.all(axis=1).any(axis=0)
    return None if valid.all() else valid


def by_step(pixels: Pixels, steps: int) -> Pixels:
    """Turn the pixels of a time series, height x width x (steps * channels), to steps x height x width x channels."""
    height, width, channels = pixels.shape
    return pixels.reshape(height, width, steps, channels // steps).transpose(2, 0, 1, 3)


def _invalid_mask(images: Sequence[ChipHeader], height: int) -> Mask | None:
    """Where (height x width of labels) some image has no valid pixel; None if there is no such pixel."""
    invalid: Mask | None = None
    for image in images:
        if (valid := valid_mask(image)) is not None:
            factor = height // image.height
            mask: Mask = ~valid.repeat(factor, axis=0).repeat(factor, axis=1)
            invalid = mask if invalid is None else invalid | mask
    return invalid


def _mark_unknown(label: ChipHeader, pixels: Pixels | None, invalid: Mask, sidecars: Sidecars, unknown: int) -> Pixels:
    """The label's pixels, with the value `unknown` where the image has no valid value."""
    import numpy as np

    classes = read_chip(label.path, sidecars)[1] if pixels is None else pixels
    return np.where(invalid[..., None], np.array(unknown, classes.dtype), classes)


def _foreign_chips(
    pair: ChipPair, values: ValueRules, config: TFRecordsConfig, label_storage: str
) -> tuple[_Chip, _Chip, Mask | None, str]:
    """Image and label of a pair made elsewhere, the image's mask, and a note."""
    (image, content, pixels), (label, label_content, classes) = (
        _read_chip(path, pair.sidecars, storage)
        for (path,), storage in ((pair.images, config.storage), (pair.labels, label_storage))
    )
    if label.layout[:2] != image.layout[:2]:
        raise InputError(_label_fault(image, label))
    new_image = values.adjust_image(image, pixels)
    new_label = values.adjust_label(label, classes, new_image.valid)
    if new_label.header.channels != 1:
        raise InputError(_label_fault(image, label) + values.colour_advice(label))
    chips: list[_Chip] = []
    for new, bytes_of_file, old, storage in (
        (new_image, content, pixels, config.storage),
        (new_label, label_content, classes, label_storage),
    ):
        current = old if new.pixels is None else new.pixels
        if new.pixels is None and bytes_of_file is not None:
            chips.append((new.header, bytes_of_file, None))
        else:
            assert current is not None
            chips.append((new.header, _encode_pixels(new.header, current, storage, config.quality), current))
    return chips[0], chips[1], new_image.valid, new_label.note


def describe_layout(layout: tuple[int, int, int, str]) -> str:
    """Describe height, width, channels and dtype in words."""
    height, width, channels, dtype = layout
    return f"{width} x {height} pixels with {channels} band{'s'[: channels != 1]} of {dtype}"


def _label_fault(image: ChipHeader, label: ChipHeader) -> str:
    return (
        f"{label.path} is {describe_layout(label.layout)}; "
        f"the label of {image.path} has 1 band of {image.width} x {image.height} pixels"
    )


def _check_label_layout(image: ChipHeader, label: ChipHeader) -> None:
    factor, rest = divmod(label.height, image.height)
    if rest or (label.height, label.width, label.channels) != (image.height * factor, image.width * factor, 1):
        raise InputError(_label_fault(image, label))


def make_record(
    pair: ChipPair,
    split: str,
    config: TFRecordsConfig,
    unknown: Sequence[int | None] = (),
    parts: RecordParts = UNNAMED_PARTS,
    values: ValueRules | None = None,
) -> Record:
    """Make the record of a tile's chips.

    Args:
        pair: The chips.
        split: The split that the record belongs to.
        config: How records are stored.
        unknown: For each target, the value of label pixels where an image has no valid pixel; None leaves the label as
            it is.
        parts: The names of layers and targets.
        values: What the values of chips made elsewhere, of one layer and target, become; instead of `unknown`.

    Raises:
        InputError: A chip cannot become a record.
    """
    storage, quality = config.storage, config.quality
    label_storage = "png" if storage == "jpeg" else storage  # JPEG would change classes
    mask, note = None, ""
    if values:
        image, label, mask, note = _foreign_chips(pair, values, config, label_storage)
        images, labels = [image], [label]
    else:
        images = [_encode_chip(path, pair.sidecars, storage, quality) for path in pair.images]
        labels = [_encode_chip(path, pair.sidecars, label_storage, quality) for path in pair.labels]
    for image_header, *_ in images:
        for label_header, *_ in labels:
            _check_label_layout(image_header, label_header)
    if any(value is not None for value in unknown):
        required = [
            header for layer, (header, *_) in zip(parts.layers, images, strict=True) if layer not in parts.optional
        ]
        if (invalid := _invalid_mask(required, labels[0][0].height)) is not None:
            for number, value in enumerate(unknown):
                if value is not None:
                    header, _, decoded = labels[number]
                    pixels = _mark_unknown(header, decoded, invalid, pair.sidecars, value)
                    labels[number] = header, _encode_pixels(header, pixels, label_storage, quality), pixels
    features: dict[str, Value] = {}
    for layer, (header, data, _) in zip(parts.layers, images, strict=True):
        features |= _image_features(layer, header, data)
    for target, (header, data, _) in zip(parts.targets, labels, strict=True):
        features |= _target_features(target, header, data)
    located = images[0][0] if parts.layers == (UNNAMED,) else labels[0][0]
    transform = list(located.geotransform)
    identifier = pair.name if pair.is_tile else f"{pair.name}{splitext(pair.images[0])[1]}|{transform}|{located.crs}"
    features |= {
        "identifier": identifier,
        "crs": located.crs,
        "transform": " ".join(map(repr, transform)),
        "split": split,
    }
    headers = tuple(header for header, *_ in images), tuple(header for header, *_ in labels)
    pixels_of = tuple(pixels for *_, pixels in images), tuple(pixels for *_, pixels in labels)
    return Record(headers, encode(features), *pixels_of, identifier, mask, note)


def _image_features(layer: str, image: ChipHeader, data: Value) -> dict[str, Value]:
    prefix, about = image_prefix(layer), f"{layer}/" if layer else ""
    features: dict[str, Value] = {
        f"{prefix}/image_data": data,
        f"{prefix}/height": image.height,
        f"{prefix}/width": image.width,
        f"{prefix}/channels": image.shape[-1],
        f"{prefix}/dtype": image.dtype,
        f"{about}bands": json.dumps(step_bands(image.bands, len(image.steps))),
        f"{about}acquired": json.dumps(image.acquired),
    }
    return features | ({f"{prefix}/steps": json.dumps(image.steps)} if image.steps else {})


def step_bands(bands: Sequence[str], steps: int) -> list[str]:
    """The names of the bands of one step, without its number; all names where there are no steps."""
    return [name.partition("/")[2] for name in bands[: len(bands) // steps]] if steps else list(bands)


def _target_features(target: str, label: ChipHeader, data: Value) -> dict[str, Value]:
    prefix = target_prefix(target)
    return {
        f"{prefix}/target_data": data,
        f"{prefix}/height": label.height,
        f"{prefix}/width": label.width,
        f"{prefix}/dtype": label.dtype,
    }
