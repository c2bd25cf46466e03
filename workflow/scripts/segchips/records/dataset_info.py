"""TODO: describe."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from segchips.errors import InputError
from segchips.records.file_names import shard_name


@dataclass(frozen=True)
class ChipLayout:
    """What all images, or all labels, of a dataset share; labels have no channel axis and no band names."""

    dtype: str
    shape: tuple[int, ...]
    driver: str
    nodata: float | None
    bands: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class DatasetInfo:
    """A dataset as its files describe it; `splits` gives the number of records in each shard of each split.

    `label.nodata` is the background, `unknown` the value of label pixels that nobody knows, never to be trained on.
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
        """The file names of a split's shards; InputError lists the splits where there is none of that name."""
        if split not in self.splits:
            raise InputError(f"dataset {self.name} has no split '{split}'; it has {', '.join(self.splits)}")
        count = len(self.splits[split])
        return [shard_name(self.name, split, shard, count) for shard in range(count)]


def item_bytes(dtype: str) -> int:
    """The bytes of one value; the names of dtypes end in their bits."""
    return int(dtype.lstrip("abcdefghijklmnopqrstuvwxyz")) // 8
