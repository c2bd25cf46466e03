"""Shards as PyTorch datasets; neither TensorFlow nor a copy of the shards is needed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from segchips.records.dataset_files import read_info, shard_paths
from segchips.records.dataset_info import image_key, label_key
from segchips.records.file_names import index_path
from segchips.records.normalisation import Normaliser
from segchips.records.record_decoding import decode_example
from segchips.records.shard_index import read_index
from segchips.records.tfrecord import read_record
from segchips.tiles.assignment import MADE

Chip = dict[str, torch.Tensor | str]


class Chips(Dataset[Chip]):
    """A split as a map-style dataset: dicts of image, label and identifier.

    Named layers and targets have their names in place of image and label. Images are channels x height x width, time
    series steps x channels x height x width, and labels height x width, in the chips' dtypes; with `normalise` images
    are float32. `DistributedSampler` and the workers of a `DataLoader` divide it among them.

    Attributes:
        info: The description of the dataset.
    """

    def __init__(self, directory: str | Path, split: str, normalise: bool | str = False) -> None:
        """Find the records of a split.

        Args:
            directory: The directory of the shards.
            split: The name of the split.
            normalise: Whether to normalise images by split "train", or the name of another split; see `segchips.load`.

        Raises:
            InputError: The dataset or split does not exist.
            RecordError: A shard or index is missing.
        """
        directory = Path(directory)
        self.info = read_info(directory)
        self._normalisers = Normaliser.from_statistics(directory, normalise) if normalise else {}
        self._places = []
        for path in shard_paths(directory, self.info, split):
            for entry in read_index(index_path(path)):
                if entry.state == MADE:
                    self._places.append((path, entry.offset or 0, entry.length or 0))

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, position: int) -> Chip:
        """Read a chip; RecordError if its shard is damaged."""
        payload = read_record(*self._places[position], self.info.compression)
        example = decode_example(payload, self.info)
        chip: Chip = {"identifier": example["identifier"]}
        for layer in self.info.images:
            image = example[image_key(layer)]
            image = self._normalisers[layer].apply(image) if self._normalisers else image
            chip[image_key(layer)] = torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, -3)))
        for target in self.info.labels:
            chip[label_key(target)] = torch.from_numpy(example[label_key(target)])
        return chip


class ChipStream(IterableDataset[Chip]):
    """A split as an iterable dataset in the order of the shards, as dicts like those of `Chips`.

    Each chip is read by one DataLoader worker of one rank. The numbers of chips differ by at most one.
    """

    def __init__(
        self,
        directory: str | Path,
        split: str,
        rank: int | None = None,
        world: int | None = None,
        normalise: bool | str = False,
    ) -> None:
        """Find the records of a split.

        Args:
            directory: The directory of the shards.
            split: The name of the split.
            rank: The rank of this process; by default that of `torch.distributed`, or 0 if it is not initialised.
            world: The number of ranks; by default that of `torch.distributed`, or 1 if it is not initialised.
            normalise: As for `Chips`.

        Raises:
            InputError: The dataset or split does not exist.
            RecordError: A shard or index is missing.
        """
        self._chips = Chips(directory, split, normalise)
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        self._rank = rank if rank is not None else torch.distributed.get_rank() if distributed else 0
        self._world = world or (torch.distributed.get_world_size() if distributed else 1)

    def __len__(self) -> int:
        first, last = self._span(0, 1)
        return last - first

    def _span(self, worker: int, workers: int) -> tuple[int, int]:
        """The positions, from first up to last, that a worker of this rank reads."""
        share, shares, chips = self._rank * workers + worker, self._world * workers, len(self._chips)
        return share * chips // shares, (share + 1) * chips // shares

    def __iter__(self) -> Iterator[Chip]:
        """Read the chips of this worker; RecordError if a shard is damaged."""
        worker = get_worker_info()
        for position in range(*self._span(worker.id, worker.num_workers) if worker else self._span(0, 1)):
            yield self._chips[position]
