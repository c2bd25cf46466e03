"""The chips that a model predicts: the records of a dataset, or the files of a folder."""

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from segchips.arrays import Mask, Pixels
from segchips.errors import InputError
from segchips.records.chip_files import list_chips
from segchips.records.chip_names import is_tile_key, path_name
from segchips.records.chip_reader import read_chip
from segchips.records.chip_validity import valid_values
from segchips.records.dataset_files import read_info
from segchips.records.dataset_info import image_key
from segchips.records.pixel_values import valid_pixels
from segchips.records.record_reader import RecordReader, find_places
from segchips.records.storage import dataset_path


class SourceChip(NamedTuple):
    """A chip to predict.

    Attributes:
        identifier: The tile key, or `name|geotransform|crs`.
        image: (steps x) height x width x bands.
        valid: Where (height x width) all bands have a valid value, of a time series those of at least one step.
    """

    identifier: str
    image: Pixels
    valid: Mask


class ChipSource(Protocol):
    """Chips by number."""

    def __len__(self) -> int:
        """The number of chips."""

    def read(self, number: int) -> SourceChip:
        """Read a chip."""


class DatasetChips:
    """The image chips of the records of a dataset."""

    def __init__(self, source: str | Path, split: str | None, layer: str | None) -> None:
        """Find the records.

        Args:
            source: The directory of the shards, or its address.
            split: The split; None for all.
            layer: The layer to predict from; None for the only one.

        Raises:
            InputError: There is no such dataset, split or layer, or there are several layers.
        """
        info, directory = read_info(source), dataset_path(source)
        names = list(info.images)
        if layer not in names and (layer or len(names) > 1):
            has = ", ".join(names) if any(names) else "one layer without a name"
            raise InputError(f"{source} has {has}; name the layer that the model was trained on with layer")
        self.layer = layer or names[0]
        self._nodata, self._reader = info.images[self.layer].nodata, RecordReader(info)
        self._places = find_places(directory, info, [split] if split else list(info.splits))

    def __len__(self) -> int:
        return len(self._places)

    def read(self, number: int) -> SourceChip:
        """Read a chip; RecordError if its shard is damaged."""
        chip = self._reader.read(self._places[number])
        image = chip[image_key(self.layer)]
        valid: Mask = np.all(valid_pixels(image, self._nodata), axis=-1)
        if image.ndim == 4:
            valid = np.any(valid, axis=0)
        return SourceChip(chip["identifier"], image, valid)


class FolderChips:
    """The image chips of a folder, such as `results/<dataset>/images`."""

    def __init__(self, folder: Path) -> None:
        """List the chips; InputError if there are none."""
        self._chips = list_chips(folder)

    def __len__(self) -> int:
        return len(self._chips.files)

    def read(self, number: int) -> SourceChip:
        """Read a chip; InputError if that is impossible."""
        file = self._chips.files[number]
        header, pixels = read_chip(str(self._chips.folder / file), self._chips.sidecars_of(file))
        name = path_name(file)
        identifier = name if is_tile_key(name) else f"{name}|{list(header.geotransform)}|{header.crs}"
        valid: Mask = np.all(valid_values(header, pixels), axis=-1)
        return SourceChip(identifier, pixels, valid)


def open_chips(source: str | Path, split: str | None, layer: str | None) -> ChipSource:
    """The chips of a dataset, or of a folder of chip files.

    Raises:
        InputError: There are none, or `split` or `layer` does not fit.
    """
    if "://" in str(source) or (Path(source) / "dataset_info.json").exists():
        return DatasetChips(source, split, layer)
    if split or layer:
        raise InputError(f"{source} is no directory of shards, and has no splits and layers; remove split and layer")
    return FolderChips(Path(source))
