"""Chips made elsewhere: two folders paired by name, and their conversion to shards by several processes."""

import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from segchips.errors import InputError
from segchips.files import atomic_path
from segchips.records.dataset_description import describe_shards
from segchips.records.dataset_files import COMPRESSIONS, STORAGES
from segchips.records.dataset_info import item_bytes
from segchips.records.file_names import STATISTICS_FILE, index_name, shard_name
from segchips.records.record_encoding import ChipPair, ReferenceHeaders, record_order
from segchips.records.shard_index import IndexEntry, read_index, write_index
from segchips.records.shard_writer import ShardSpec, write_shard_files
from segchips.tiles.assignment import REJECTED, shard_of, split_of

if TYPE_CHECKING:
    from segchips.config.model import TFRecordsConfig
from segchips.records.chip_folders import most_common_headers, pair_chips

SHARD_BYTES = 150_000_000
"""The target size of a shard where the config does not say how many there are."""
_KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "67108864", "MALLOC_MMAP_THRESHOLD_": "67108864"}
"""What one chip frees the next one needs: the C library would give it back to the system."""


def _shard_count(pairs: Sequence[ChipPair], config: "TFRecordsConfig", like: ReferenceHeaders) -> int:
    """How many shards a split has: as configured, else as many as bring them to about SHARD_BYTES."""
    if config.shards:
        return config.shards
    if config.storage in ("array", "float"):
        image, label = (4 if config.storage == "float" else item_bytes(header.dtype) for header in like)
        total = len(pairs) * like[0].height * like[0].width * (like[0].channels * image + label)
    else:
        total = sum(os.stat(path).st_size for pair in pairs for path in (pair.image, pair.label))
    return max(1, round(total / SHARD_BYTES))


def _jobs(
    directory: Path, dataset: str, pairs: Sequence[ChipPair], config: "TFRecordsConfig", like: ReferenceHeaders
) -> list[ShardSpec]:
    splits: dict[str, list[ChipPair]] = {split: [] for split in config.splits}
    for pair in pairs:
        splits[split_of(pair.name, config.splits)].append(pair)
    jobs = []
    for split, members in splits.items():
        count = _shard_count(members, config, like)
        shards: list[dict[str, ChipPair]] = [{} for _ in range(count)]
        for pair in members:
            shards[shard_of(pair.name, count)][pair.name] = pair
        for number, named in enumerate(shards):
            shard, index = (directory / name(dataset, split, number, count) for name in (shard_name, index_name))
            jobs.append(
                ShardSpec(shard, index, [named[name] for name in record_order(named)], split, config, like=like)
            )
    return jobs


@contextmanager
def _processes(count: int, storage: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Fresh processes that wait for jobs; they neither fork a threaded parent nor import its main module again."""
    command = [sys.executable, "-c", "from segchips.records.shard_writer import work; work()", storage]
    path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
    environment = os.environ | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"} | _KEEP_MEMORY
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            with process:
                pass


def _start(process: subprocess.Popen[bytes], jobs: Sequence[ShardSpec]) -> None:
    assert process.stdin
    with suppress(BrokenPipeError), process.stdin as pipe:
        pickle.dump(jobs, pipe)


def _finish(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout
    answer = process.stdout.read()
    if code := process.wait():
        raise RuntimeError(f"a worker process ended with code {code}")
    if error := pickle.loads(answer):
        raise error


def _shares(jobs: Sequence[ShardSpec], count: int) -> list[list[ShardSpec]]:
    """The jobs in as many parts, of about the same number of pairs."""
    shares: list[list[ShardSpec]] = [[] for _ in range(count)]
    for job in sorted(jobs, key=lambda job: -len(job.pairs)):
        min(shares, key=lambda share: sum(len(job.pairs) for job in share)).append(job)
    return shares


def _run(jobs: Sequence[ShardSpec], processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Run the jobs in these processes and this one."""
    mine, *others = _shares(jobs, len(processes) + 1)
    for process, share in zip(processes, others, strict=True):
        _start(process, share)
    write_shard_files(mine)
    for process in processes:
        _finish(process)


def _check(dataset: str, config: "TFRecordsConfig") -> None:
    if not re.fullmatch("[a-z][a-z0-9_]*", dataset):
        raise InputError(f"dataset name '{dataset}' must be lower-case letters, digits and _, beginning with a letter")
    for key, value, allowed in (
        ("storage", config.storage, STORAGES),
        ("compression", config.compression, COMPRESSIONS),
    ):
        if value not in allowed:
            raise InputError(f"{key} '{value}' is unknown; choose one of {', '.join(map(str, allowed))}")


def _remove_stale(directory: Path, dataset: str, jobs: Sequence[ShardSpec]) -> None:
    written = {path for job in jobs for path in (job.shard, job.index)}
    for kind in ("tfrecord", "index"):
        for path in directory.glob(f"{dataset}-*.{kind}-*-of-*"):
            if path not in written:
                path.unlink()
    (directory / STATISTICS_FILE).unlink(missing_ok=True)


def convert(
    images: str | Path,
    labels: str | Path,
    directory: str | Path,
    dataset: str,
    config: "TFRecordsConfig",
    background: int | None = None,
    workers: int | None = None,
) -> list[IndexEntry]:
    """Write two folders of chips as the shards of a dataset, in `workers` processes, by default one for each core.

    Returns an entry for every chip; those that are in no shard, with the reason, are also in `rejected.csv` beside the
    shards. Shards that an earlier call left there are replaced. InputError where no chip can be used.
    """
    _check(dataset, config)
    images, labels, directory = Path(images), Path(labels), Path(directory)
    with _processes((workers or len(os.sched_getaffinity(0))) - 1, config.storage) as processes:
        pairs, rejected = pair_chips(images, labels)
        like = most_common_headers(pairs, config)
        jobs = _jobs(directory, dataset, pairs, config, like)
        _run(jobs, processes)
    _remove_stale(directory, dataset, jobs)
    indices = {split: [job.index for job in jobs if job.split == split] for split in config.splits}
    describe_shards(directory, dataset, config, indices, like, background)
    entries = [*rejected, *(entry for job in jobs for entry in read_index(job.index))]
    with atomic_path(directory / "rejected.csv") as part:
        left_out = (entry for entry in entries if entry.state == REJECTED)
        write_index(part, sorted(left_out, key=lambda entry: entry.tile))
    return entries
