"""Shards as PyTorch datasets; neither TensorFlow nor a copy of the shards is needed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from segchips.records.dataset_files import read_info, shard_paths
from segchips.records.file_names import index_path
from segchips.records.normalisation import Normaliser
from segchips.records.record_decoding import decode_example
from segchips.records.shard_index import read_index
from segchips.records.tfrecord import read_record
from segchips.tiles.assignment import MADE

Chip = dict[str, torch.Tensor | str]


class Chips(Dataset[Chip]):
    """A split by position: dicts of image (channels x height x width), label (height x width) and identifier.

    Dtypes are the chips' own; with `normalise` images are float32, see `segchips.load`. `DistributedSampler` and the
    workers of a `DataLoader` shard it.
    """

    def __init__(self, directory: str | Path, split: str, normalise: bool | str = False) -> None:
        """As for `segchips.load`; InputError names a missing dataset or split, RecordError a missing shard or index."""
        directory = Path(directory)
        self.info = read_info(directory)
        self._normaliser = Normaliser.from_statistics(directory, normalise) if normalise else None
        self._places = []
        for path in shard_paths(directory, self.info, split):
            for entry in read_index(index_path(path)):
                if entry.state == MADE:
                    self._places.append((path, entry.offset or 0, entry.length or 0))

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, position: int) -> Chip:
        """One chip; RecordError names a damaged shard."""
        payload = read_record(*self._places[position], self.info.compression)
        example = decode_example(payload, self.info)
        image = self._normaliser.apply(example["image"]) if self._normaliser else example["image"]
        image = np.ascontiguousarray(image.transpose(2, 0, 1))
        label = torch.from_numpy(example["label"])
        return {"image": torch.from_numpy(image), "label": label, "identifier": example["identifier"]}


class ChipStream(IterableDataset[Chip]):
    """The chips of `Chips` in the order of the shards, each in one DataLoader worker of one rank.

    Rank and world size are those of `torch.distributed` where it is initialised and none are given. Shares differ by
    at most one chip.
    """

    def __init__(
        self,
        directory: str | Path,
        split: str,
        rank: int | None = None,
        world: int | None = None,
        normalise: bool | str = False,
    ) -> None:
        """InputError names a missing dataset or split."""
        self._chips = Chips(directory, split, normalise)
        spread = torch.distributed.is_available() and torch.distributed.is_initialized()
        self._rank = rank if rank is not None else torch.distributed.get_rank() if spread else 0
        self._world = world or (torch.distributed.get_world_size() if spread else 1)

    def __len__(self) -> int:
        first, last = self._span(0, 1)
        return last - first

    def _span(self, worker: int, workers: int) -> tuple[int, int]:
        """The positions, from first up to last, that a worker of this rank reads."""
        share, shares, chips = self._rank * workers + worker, self._world * workers, len(self._chips)
        return share * chips // shares, (share + 1) * chips // shares

    def __iter__(self) -> Iterator[Chip]:
        """The chips of this worker; RecordError names a damaged shard."""
        worker = get_worker_info()
        for position in range(*self._span(worker.id, worker.num_workers) if worker else self._span(0, 1)):
            yield self._chips[position]
