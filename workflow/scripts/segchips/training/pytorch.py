"""Shards as map-style PyTorch datasets; neither TensorFlow nor a copy of the shards is needed."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import Dataset, default_collate

from segchips.errors import InputError
from segchips.records.dataset_files import read_info, shard_paths
from segchips.records.dataset_info import image_key, label_key
from segchips.records.file_names import index_path
from segchips.records.normalisation import MeasurementScale, Normaliser
from segchips.records.record_decoding import decode_example
from segchips.records.shard_index import read_index
from segchips.records.storage import dataset_path
from segchips.records.tfrecord import read_record
from segchips.tiles.assignment import MADE

Chip = dict[str, Any]
"""Image and label as tensors, and the identifier as text; a `transform` may make anything of it."""
Transform = Callable[[Chip], Any]


class Chips(Dataset[Chip]):
    """A split as a map-style dataset: dicts of image, label and identifier.

    Named layers and targets have their names in place of image and label. Images are channels x height x width, time
    series steps x channels x height x width, and labels height x width, in the chips' dtypes; with `normalise` images
    are float32. `DistributedSampler` and the workers of a `DataLoader` divide it among them.

    Attributes:
        info: The description of the dataset.
    """

    def __init__(
        self,
        directory: str | Path,
        split: str,
        normalise: bool | str = False,
        image_dtype: torch.dtype | None = None,
        label_dtype: torch.dtype | None = None,
        names: Mapping[str, str] | None = None,
        transform: Transform | None = None,
        normalise_labels: bool | str = False,
    ) -> None:
        """Find the records of a split.

        Args:
            directory: The directory of the shards, or its address (s3, gs, https).
            split: The name of the split.
            normalise: Whether to normalise images by split "train", or the name of another split; see `segchips.load`.
            image_dtype: The dtype of images, such as `torch.int32` or `torch.float32` for uint16, on which PyTorch has
                few operations; None keeps the chips' dtype.
            label_dtype: The dtype of labels, such as `torch.int64`, which losses ask for; None keeps the chips' dtype.
            names: Other names of keys, such as `{"label": "mask"}` for torchgeo and terratorch.
            transform: Called with each chip; what it returns takes the chip's place.
            normalise_labels: Whether to normalise continuous targets by split "train", or the name of another split;
                see `segchips.load`.

        Raises:
            InputError: The dataset, split or a key of `names` does not exist.
            RecordError: A shard or index is missing.
        """
        path = dataset_path(directory)
        self.info = read_info(directory)
        self._normalisers = Normaliser.from_statistics(directory, normalise) if normalise else {}
        scales = MeasurementScale.from_statistics(directory, normalise_labels) if normalise_labels else {}
        self._scales = {label_key(target): scale for target, scale in scales.items()}
        self._image_dtype, self._label_dtype, self._transform = image_dtype, label_dtype, transform
        keys = ["identifier", *map(image_key, self.info.images), *map(label_key, self.info.labels)]
        if unknown := set(names or {}) - set(keys):
            raise InputError(f"names: a chip has no key '{min(unknown)}'; it has {', '.join(keys)}")
        self._names = {key: (names or {}).get(key, key) for key in keys}
        self._places = []
        for shard in shard_paths(path, self.info, split):
            for entry in read_index(index_path(shard)):
                if entry.state == MADE:
                    self._places.append((shard, entry.offset or 0, entry.length or 0))

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, position: int) -> Any:
        """Read a chip; RecordError if its shard is damaged."""
        payload = read_record(*self._places[position], self.info.compression)
        example = decode_example(payload, self.info)
        chip: Chip = {self._names["identifier"]: example["identifier"]}
        for layer in self.info.images:
            image = example[image_key(layer)]
            image = self._normalisers[layer].apply(image) if self._normalisers else image
            tensor = torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, -3)))
            chip[self._names[image_key(layer)]] = tensor.to(self._image_dtype or tensor.dtype)
        for target in self.info.labels:
            key = label_key(target)
            label = self._scales[key].apply(example[key]) if key in self._scales else example[key]
            tensor = torch.from_numpy(label)
            chip[self._names[key]] = tensor.to(self._label_dtype or tensor.dtype)
        return self._transform(chip) if self._transform else chip


def collate(chips: Sequence[Chip], steps: Literal["first", "second", "channels"] = "first") -> Chip:
    """Stack chips to a batch, for `DataLoader(collate_fn=segchips.collate)`.

    Args:
        chips: The chips of the batch.
        steps: Where the steps of a time series come: "first" is batch x steps x channels x height x width, "second" is
            batch x channels x steps x height x width, as terratorch has it, and "channels" is batch x (steps *
            channels) x height x width.

    Returns:
        The batch: tensors with a new first axis, and lists of texts.
    """
    batch: Chip = default_collate(list(chips))
    for key, value in batch.items():
        if isinstance(value, torch.Tensor) and value.ndim == 5 and steps != "first":
            batch[key] = value.transpose(1, 2) if steps == "second" else value.flatten(1, 2)
    return batch
