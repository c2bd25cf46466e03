"""Shards as map-style PyTorch datasets; neither TensorFlow nor a copy of the shards is needed."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import Dataset, default_collate

from segchips.arrays import Pixels
from segchips.errors import InputError
from segchips.records.dataset_files import read_info
from segchips.records.dataset_info import image_key, label_key
from segchips.records.normalisation import MeasurementScale, Normaliser
from segchips.records.record_reader import Place, RecordReader, find_places
from segchips.records.storage import dataset_path

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
        channels_last: bool = False,
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
            channels_last: Whether images lie in memory as records hold them, height x width x channels, so that pixels
                are not reordered; batches of `collate` are then in PyTorch's memory format `torch.channels_last`, in
                which convolutions are fast. Shapes stay the same.

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
        self._channels_last = channels_last
        keys = ["identifier", *map(image_key, self.info.images), *map(label_key, self.info.labels)]
        if unknown := set(names or {}) - set(keys):
            raise InputError(f"names: a chip has no key '{min(unknown)}'; it has {', '.join(keys)}")
        self._names = {key: (names or {}).get(key, key) for key in keys}
        self._reader = RecordReader(self.info)
        self._places = find_places(path, self.info, [split])

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, position: int) -> Any:
        """Read a chip; RecordError if its shard is damaged."""
        return self.__getitems__([position])[0]

    def __getitems__(self, positions: Sequence[int]) -> list[Any]:
        """Read chips into the memory of one batch, as a DataLoader asks; RecordError if a shard is damaged."""
        count, arrays = len(positions), dict[str, Pixels]()
        for layer, layout in self.info.images.items():
            dtype = np.float32 if self._normalisers else layout.dtype
            if self._channels_last:
                arrays[image_key(layer)] = np.empty((count, *layout.shape), dtype)
            else:
                *steps, height, width, channels = layout.shape
                memory = np.empty((count, *steps, channels, height, width), dtype)
                arrays[image_key(layer)] = np.moveaxis(memory, -3, -1)
        for target, layout in self.info.labels.items():
            arrays[label_key(target)] = np.empty((count, *layout.shape), layout.dtype)
        identifiers = [self._read_into(self._places[at], arrays, number) for number, at in enumerate(positions)]
        batch: Chip = {self._names["identifier"]: identifiers}
        for layer in self.info.images:
            tensor = torch.from_numpy(np.moveaxis(arrays[image_key(layer)], -1, -3))
            batch[self._names[image_key(layer)]] = tensor.to(self._image_dtype or tensor.dtype)
        for target in self.info.labels:
            tensor = torch.from_numpy(arrays[label_key(target)])
            batch[self._names[label_key(target)]] = tensor.to(self._label_dtype or tensor.dtype)
        chips = [{key: values[number] for key, values in batch.items()} for number in range(count)]
        return list(map(self._transform, chips)) if self._transform else chips

    def _read_into(self, place: Place, arrays: Mapping[str, Pixels], number: int) -> str:
        """Read a chip into arrays, normalised as asked for."""
        if not self._normalisers and not self._scales:
            return self._reader.read_into(place, arrays, number)
        chip = self._reader.read(place)
        for key, scale in self._scales.items():
            chip[key] = scale.apply(chip[key])
        for layer, normaliser in self._normalisers.items():
            chip[image_key(layer)] = normaliser.apply(chip[image_key(layer)])
        for name, array in arrays.items():
            array[number] = chip[name]
        return str(chip["identifier"])


def collate(chips: Sequence[Any], steps: Literal["first", "second", "channels"] = "first") -> Any:
    """Stack chips to a batch, for `DataLoader(collate_fn=segchips.collate)`.

    Args:
        chips: The chips of the batch.
        steps: Where the steps of a time series come: "first" is batch x steps x channels x height x width, "second" is
            batch x channels x steps x height x width, as terratorch has it, and "channels" is batch x (steps *
            channels) x height x width.

    Returns:
        The batch: tensors with a new first axis, and lists of texts. What a `transform` made that is no dict is stacked
        as PyTorch does.
    """
    if not isinstance(chips[0], Mapping):
        return default_collate(list(chips))
    batch: Chip = {key: _stack([chip[key] for chip in chips]) for key in chips[0]}
    for key, value in batch.items():
        if isinstance(value, torch.Tensor) and value.ndim == 5 and steps != "first":
            batch[key] = value.transpose(1, 2) if steps == "second" else value.flatten(1, 2)
    return batch


def _stack(values: Sequence[Any]) -> Any:
    """One value of a batch. Tensors keep their order of axes in memory, and are not copied if they lie side by side."""
    first = values[0]
    if not isinstance(first, torch.Tensor) or first.requires_grad:
        return default_collate(list(values))
    axes = list(range(first.ndim))
    order = axes if first.is_contiguous() else sorted(axes, key=lambda axis: -first.stride(axis))
    tensors = [value if order is axes else value.permute(order) for value in values]
    if _are_side_by_side(tensors):
        size, strides = tensors[0].numel(), tensors[0].stride()
        batch = tensors[0].as_strided((len(tensors), *tensors[0].shape), (size, *strides))
    else:
        batch = default_collate(tensors)
    return batch if order is axes else batch.permute(0, *(1 + order.index(axis) for axis in axes))


def _are_side_by_side(tensors: Sequence[torch.Tensor]) -> bool:
    """Whether tensors of one shape and dtype follow each other in the same memory."""
    first = tensors[0]
    memory, start, size = first.untyped_storage().data_ptr(), first.storage_offset(), first.numel()
    return all(
        tensor.is_contiguous()
        and tensor.storage_offset() == start + number * size
        and tensor.untyped_storage().data_ptr() == memory
        and tensor.shape == first.shape
        and tensor.dtype == first.dtype
        for number, tensor in enumerate(tensors)
    )
