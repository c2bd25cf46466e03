"""What a dataset of shards is: its name, storage and splits, and the layout of its chips."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from segchips.errors import InputError
from segchips.records.file_names import shard_name

UNNAMED = ""
"""The name of the only layer or target of a dataset that names none."""


@dataclass(frozen=True)
class ChipLayout:
    """The layout that all images of a layer, or all labels of a target, share.

    Attributes:
        dtype: The NumPy name of the dtype.
        shape: Height, width and channels of images, after the number of steps of a time series; height and width of
            labels.
        driver: The GDAL name of the chip files' format.
        nodata: The nodata value of images; the background of labels. None without one.
        bands: The name of each band, None for a band without one; empty for labels.
    """

    dtype: str
    shape: tuple[int, ...]
    driver: str
    nodata: float | None
    bands: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class DatasetInfo:
    """A dataset as its files describe it.

    Attributes:
        name: The dataset's name.
        storage: How records store pixels: "array", "float", "encoded", "png" or "jpeg".
        compression: "GZIP", "ZLIB" or None.
        splits: The number of records in each shard, by split.
        images: The layout of the images of each layer, by name; "" is the only layer of a dataset that names none.
        labels: The layout of the labels of each target, likewise.
        unknown: By target the value of label pixels whose class is not known, which training must ignore; None without
            one.
        kinds: By target what its pixels hold: "classes", "continuous" or "instances"; "classes" where none is named.
        object_classes: By target of kind "instances" the names of classes by number.
    """

    name: str
    storage: str
    compression: str | None
    splits: Mapping[str, tuple[int, ...]]
    images: Mapping[str, ChipLayout]
    labels: Mapping[str, ChipLayout]
    unknown: Mapping[str, int | None]
    kinds: Mapping[str, str] = field(default_factory=dict)
    object_classes: Mapping[str, Mapping[int, str]] = field(default_factory=dict)

    @property
    def image(self) -> ChipLayout:
        """The layout of the images of the first layer."""
        return next(iter(self.images.values()))

    @property
    def label(self) -> ChipLayout:
        """The layout of the labels of the first target."""
        return next(iter(self.labels.values()))

    @property
    def pixel_bytes(self) -> int:
        """The bytes of the decoded images and labels of a tile."""
        layouts = *self.images.values(), *self.labels.values()
        return sum(math.prod(layout.shape) * item_bytes(layout.dtype) for layout in layouts)

    def shards(self, split: str) -> list[str]:
        """The file names of a split's shards; InputError if there is no such split."""
        if split not in self.splits:
            raise InputError(f"dataset {self.name} has no split '{split}'; it has {', '.join(self.splits)}")
        count = len(self.splits[split])
        return [shard_name(self.name, split, shard, count) for shard in range(count)]


def image_prefix(layer: str) -> str:
    """What the keys of a layer begin with in records."""
    return layer or "image"


def target_prefix(target: str) -> str:
    """What the keys of a target begin with in records."""
    return target or "target"


def image_key(layer: str) -> str:
    """The name of a layer's image in what is read."""
    return layer or "image"


def label_key(target: str) -> str:
    """The name of a target's label in what is read."""
    return target or "label"


def item_bytes(dtype: str) -> int:
    """The bytes of one value, from the bits at the end of the dtype's name; importing NumPy would take longer."""
    return int(dtype.lstrip("abcdefghijklmnopqrstuvwxyz")) // 8
