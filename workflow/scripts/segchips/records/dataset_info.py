"""What a dataset of shards is: its name, storage and splits, and the layout of its chips."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from segchips.errors import InputError
from segchips.records.file_names import shard_name


@dataclass(frozen=True)
class ChipLayout:
    """The layout that all images, or all labels, of a dataset share.

    Attributes:
        dtype: The NumPy name of the dtype.
        shape: Height, width and channels of images; height and width of labels.
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
        image: The layout of the images.
        label: The layout of the labels.
        unknown: The value of label pixels whose class is not known, which training must ignore; None without one.
    """

    name: str
    storage: str
    compression: str | None
    splits: Mapping[str, tuple[int, ...]]
    image: ChipLayout
    label: ChipLayout
    unknown: int | None = None

    @property
    def pixel_bytes(self) -> int:
        """The bytes of a decoded image and its label."""
        layouts = self.image, self.label
        return sum(math.prod(layout.shape) * item_bytes(layout.dtype) for layout in layouts)

    def shards(self, split: str) -> list[str]:
        """The file names of a split's shards; InputError if there is no such split."""
        if split not in self.splits:
            raise InputError(f"dataset {self.name} has no split '{split}'; it has {', '.join(self.splits)}")
        count = len(self.splits[split])
        return [shard_name(self.name, split, shard, count) for shard in range(count)]


def item_bytes(dtype: str) -> int:
    """The bytes of one value, from the bits at the end of the dtype's name; importing NumPy would take longer."""
    return int(dtype.lstrip("abcdefghijklmnopqrstuvwxyz")) // 8
