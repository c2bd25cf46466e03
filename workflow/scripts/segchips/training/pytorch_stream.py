"""Shards as a PyTorch stream: shuffled by seed and epoch, divided among ranks and workers, and resumable."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from segchips.arrays import Ints
from segchips.errors import InputError
from segchips.training.pytorch import Chip, Chips

_BLOCK_CHIPS, _BLOCK_BYTES = 64, 2**23
"""How much is read at once into memory side by side, so that `collate` need not copy it."""


class ChipStream(IterableDataset[Chip]):
    """A split as an iterable dataset of dicts like those of `Chips`, in the order of the shards or shuffled.

    Each chip is read by one DataLoader worker of one rank. With `uneven="pad"` or "drop" all ranks read the same number
    of chips, and so do all workers if `workers` is their number.
    """

    def __init__(
        self,
        directory: str | Path,
        split: str,
        rank: int | None = None,
        world: int | None = None,
        normalise: bool | str = False,
        shuffle: bool = False,
        seed: int = 0,
        uneven: Literal["keep", "pad", "drop"] = "keep",
        workers: int = 1,
        **options: Any,
    ) -> None:
        """Find the records of a split.

        Args:
            directory: The directory of the shards, or its address.
            split: The name of the split.
            rank: The rank of this process; by default that of `torch.distributed`, or 0 if it is not initialised.
            world: The number of ranks; by default that of `torch.distributed`, or 1 if it is not initialised.
            normalise: As for `Chips`.
            shuffle: Whether chips come in an order that follows from seed and epoch; see `set_epoch`.
            seed: Another number gives other orders. It is the same for all ranks.
            uneven: What happens to chips that cannot be divided evenly: "keep" gives some ranks one more, "pad" repeats
                the first chips of the order, "drop" leaves out the last ones.
            workers: The number of DataLoader workers of each rank among which to divide evenly.
            options: image_dtype, label_dtype, names, transform, normalise_labels and channels_last, as
                for `Chips`.

        Raises:
            InputError: The dataset or split does not exist, or a value is not valid.
            RecordError: A shard or index is missing.
        """
        if uneven not in ("keep", "pad", "drop"):
            raise InputError(f"uneven '{uneven}' is unknown; choose one of keep, pad, drop")
        self._chips = Chips(directory, split, normalise, **options)
        self.info = self._chips.info
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        self._rank = rank if rank is not None else torch.distributed.get_rank() if distributed else 0
        self._world = world or (torch.distributed.get_world_size() if distributed else 1)
        self._shuffle, self._seed, self._uneven, self._workers = shuffle, seed, uneven, max(1, workers)
        # Shared memory, so that persistent workers see a new epoch.
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()
        self._resumed: Mapping[str, Any] = {}
        self._read = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, whose number decides the order; call it before each epoch."""
        self._epoch[0] = epoch
        self._resumed = {}

    def state_dict(self, batches: int | None = None, batch_size: int = 1) -> dict[str, Any]:
        """Where the stream is, for `load_state_dict` of an equal stream that is read by equally many workers.

        Args:
            batches: With a DataLoader that has workers, the number of batches that it has given since it was last
                iterated. None takes the chips that this object itself has given, as without workers.
            batch_size: The batch size of that DataLoader.
        """
        state = {"epoch": int(self._epoch[0]), **self._identity()}
        if batches is None:
            return state | {"chips": self._read}
        before: list[list[int]] = self._resumed.get("batches", [])
        return state | {"batches": [*before, [batches, batch_size]]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where an equal stream was; the next iteration leaves out the chips that it has given.

        Raises:
            InputError: The state is that of a stream with another seed, number of ranks or number of chips.
        """
        for key, own in self._identity().items():
            if state[key] != own:
                raise InputError(f"the state is that of a stream with {key} {state[key]}, this one has {own}")
        self._epoch[0] = state["epoch"]
        self._resumed = dict(state)

    def _identity(self) -> dict[str, int]:
        """What decides the order and the shares, by the names of arguments."""
        return {"seed": self._seed, "world": self._world, "chips of the split": len(self._chips)}

    def __len__(self) -> int:
        start, end = self._share(0, 1)
        return end - start

    def _total(self) -> int:
        """The number of chips of an epoch, of all ranks."""
        shares, chips = self._world * self._workers, len(self._chips)
        if self._uneven == "keep":
            return chips
        return chips // shares * shares if self._uneven == "drop" else -(-chips // shares) * shares

    def _share(self, worker: int, workers: int) -> tuple[int, int]:
        """The positions in the order, from first up to last, that a worker of this rank reads."""
        share, shares, total = self._rank * workers + worker, self._world * workers, self._total()
        return share * total // shares, (share + 1) * total // shares

    def _order(self) -> Ints:
        """The positions of all chips of the epoch in the split, in the order of reading."""
        count = len(self._chips)
        generator = np.random.Generator(np.random.PCG64([self._seed, int(self._epoch[0])]))
        order = generator.permutation(count) if self._shuffle else np.arange(count)
        return np.resize(order, self._total()) if count else order

    def _given(self, worker: int, workers: int) -> int:
        """How many chips of a worker's share were given before the state that was loaded."""
        if "chips" in self._resumed:
            return self._resumed["chips"]
        shares = [self._share(number, workers) for number in range(workers)]
        left = [end - start for start, end in shares]
        for remaining, size in self._resumed.get("batches", []):
            while remaining and any(left):  # a DataLoader takes batches from its workers in turn
                for number in range(workers):
                    if left[number] and remaining:
                        left[number], remaining = max(0, left[number] - size), remaining - 1
        start, end = shares[worker]
        return end - start - left[worker]

    def __iter__(self) -> Iterator[Any]:
        """Read the chips of this worker; RecordError if a shard is damaged."""
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        start, end = self._share(worker, workers)
        self._read, self._resumed = self._given(worker, workers), {}
        positions = self._order()[start + self._read : end].tolist()
        fitting = max(1, min(_BLOCK_CHIPS, _BLOCK_BYTES // self.info.pixel_bytes))
        block = 2 ** (fitting.bit_length() - 1)  # batches are often powers of two
        for first in range(0, len(positions), block):
            for chip in self._chips.__getitems__(positions[first : first + block]):
                self._read += 1
                yield chip
