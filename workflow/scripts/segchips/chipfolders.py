"""Chips made elsewhere: two folders paired by name, and their conversion to shards by several processes."""

import os
import pickle
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segchips.chipfiles import ALONE, OTHER, WORLD_FILE
from segchips.description import (
    COMPRESSIONS,
    REJECTED,
    STORAGES,
    Entry,
    index_name,
    read_index,
    shard_name,
    shard_of,
    split_of,
    write_index,
)
from segchips.errors import InputError, SegchipsError
from segchips.files import whole
from segchips.grid import Tile
from segchips.shards import Like, Pair, describe, make_record, order, read_layout, write_records

if TYPE_CHECKING:
    from segchips.config import TFRecordsConfig

SHARD_BYTES = 150_000_000
"""The target size of a shard where the config does not say how many there are."""
_SAMPLE = 25
_COMPANION = re.compile(
    r"\.(?:(?P<world>wld|(?:tf|tif|tiff|pg|png|jg|jp|jpg|jpeg|gf|gif|bp|bmp|j2|jp2)w)"
    r"|aux|aux\.xml|ovr|msk|prj|hdr|tab|xml|json|csv|txt|md|html|lock|db|emd)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Folder:
    """The chips of a folder by name, each with its size in bytes, and what lies beside them."""

    chips: Mapping[str, Sequence[tuple[Path, int]]]
    companions: Mapping[str, int]


def _look(folder: Path) -> _Folder:
    chips: dict[str, list[tuple[Path, int]]] = defaultdict(list)
    companions: dict[str, int] = defaultdict(int)
    try:
        files = sorted((entry for entry in os.scandir(folder) if entry.is_file()), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}); name a folder of chips") from error
    for entry in files:
        if found := _COMPANION.search(entry.name):
            base = entry.name[: found.start()]
            companions[base] = max(companions[base], WORLD_FILE if found["world"] else OTHER)
        elif not entry.name.startswith("."):
            chips[os.path.splitext(entry.name)[0]].append((folder / entry.name, entry.stat().st_size))
    if not chips:
        raise InputError(f"{folder} holds no chips; folders inside it are not searched")
    return _Folder(chips, companions)


def _fault(name: str, image: Sequence[tuple[Path, int]], label: Sequence[tuple[Path, int]]) -> str:
    """Why these files of one name are no pair; empty where they are one."""
    for files, other in ((image, "label"), (label, "image")):
        names = " and ".join(f"{path.parent.name}/{path.name}" for path, _ in files)
        if len(files) > 1:
            return f"{names} have the same name; keep one of them"
        if files and not (label if other == "label" else image):
            return f"{names} has no {other} of the same name"
        if files and not files[0][1]:
            return f"{names} is empty"
    return ""


def _pair(name: str, images: _Folder, labels: _Folder) -> Pair:
    ((image, image_size),), ((label, label_size),) = images.chips[name], labels.chips[name]
    beside = [
        folder.companions.get(key, ALONE)
        for folder, path in ((images, image), (labels, label))
        for key in (name, path.name)
    ]
    try:
        Tile.from_name(name)
    except InputError:
        return Pair(name, image, label, False, max(beside), image_size + label_size)
    return Pair(name.replace("#", ":"), image, label, True, max(beside), image_size + label_size)


def pair_chips(images: Path, labels: Path) -> tuple[list[Pair], list[Entry]]:
    """The pairs of two folders by file name without extension, and an entry with a reason for each chip that has none.

    InputError where a folder holds nothing, or no two names agree.
    """
    if images.resolve() == labels.resolve():
        raise InputError(f"{images} is given for images and labels; the labels need a folder of their own")
    found = _look(images), _look(labels)
    pairs, rejected = [], []
    for name in sorted(found[0].chips.keys() | found[1].chips.keys()):
        if reason := _fault(name, *(folder.chips.get(name, ()) for folder in found)):
            rejected.append(Entry(name, REJECTED, reason, None, None, None))
        else:
            pairs.append(_pair(name, *found))
    if not found[0].chips.keys() & found[1].chips.keys():
        first = [next(iter(folder.chips)) for folder in found]
        raise InputError(
            f"no chip of {images} has a label of its name in {labels}; the first are {first[0]} and {first[1]}"
        )
    return pairs, rejected


def usual(pairs: Sequence[Pair], config: "TFRecordsConfig") -> Like:
    """The headers of a pair such as most of a sample are; InputError where no pair can become a record."""
    by_name, found, reason = {pair.name: pair for pair in pairs}, [], ""
    for name in order(by_name):
        try:
            found.append(make_record(by_name[name], "", config)[0])
        except InputError as error:
            reason = reason or str(error)
        if len(found) == _SAMPLE:
            break
    if not found:
        raise InputError(f"none of the {len(pairs)} pairs of {pairs[0].image.parent} can become a record: {reason}")
    layouts = [tuple(header.layout for header in headers) for headers in found]
    return found[layouts.index(Counter(layouts).most_common(1)[0][0])]


def _shards(pairs: Sequence[Pair], config: "TFRecordsConfig", like: Like) -> int:
    """How many shards a split has: as configured, else as many as bring them to about SHARD_BYTES."""
    if config.shards:
        return config.shards
    sizes = {"array": [np.dtype(header.dtype).itemsize for header in like], "float": [4, 4]}
    if config.storage not in sizes:
        total = sum(pair.size for pair in pairs)
    else:
        pixel = like[0].channels * sizes[config.storage][0] + sizes[config.storage][1]
        total = len(pairs) * like[0].height * like[0].width * pixel
    return max(1, round(total / SHARD_BYTES))


@dataclass(frozen=True)
class _Job:
    """One shard to write."""

    directory: Path
    dataset: str
    config: "TFRecordsConfig"
    like: Like
    split: str
    shard: int
    shards: int
    pairs: Sequence[Pair]

    @property
    def file(self) -> Path:
        return self.directory / shard_name(self.dataset, self.split, self.shard, self.shards)

    @property
    def index(self) -> Path:
        return self.directory / index_name(self.dataset, self.split, self.shard, self.shards)

    def run(self) -> None:
        write_records(self.file, self.index, self.pairs, self.split, self.config, like=self.like)


def _jobs(directory: Path, dataset: str, pairs: Sequence[Pair], config: "TFRecordsConfig", like: Like) -> list[_Job]:
    splits: dict[str, list[Pair]] = {split: [] for split in config.splits}
    for pair in pairs:
        splits[split_of(pair.name, config.splits)].append(pair)
    jobs = []
    for split, members in splits.items():
        shards = _shards(members, config, like)
        by_name: list[dict[str, Pair]] = [{} for _ in range(shards)]
        for pair in members:
            by_name[shard_of(pair.name, shards)][pair.name] = pair
        for shard, named in enumerate(by_name):
            ordered = [named[name] for name in order(named)]
            jobs.append(_Job(directory, dataset, config, like, split, shard, shards, ordered))
    return jobs


def work() -> None:
    """What a worker process does: run the jobs that standard input holds and answer with a user's error, if any."""
    import warnings

    warnings.filterwarnings("ignore", "Dataset has no geotransform")
    answer = None
    try:
        for job in pickle.load(sys.stdin.buffer):
            job.run()
    except SegchipsError as error:
        answer = error
    sys.stdout.buffer.write(pickle.dumps(answer))


@contextmanager
def _processes(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Fresh processes that wait for jobs; they neither fork a threaded parent nor import its main module again."""
    command = [sys.executable, "-c", "from segchips.chipfolders import work; work()"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _run(process: subprocess.Popen[bytes], jobs: Sequence[_Job]) -> None:
    answer, _ = process.communicate(pickle.dumps(jobs))
    if process.returncode:
        raise RuntimeError(f"a worker process ended with code {process.returncode}")
    if error := pickle.loads(answer):
        raise error


def _shares(jobs: Sequence[_Job], count: int) -> list[list[_Job]]:
    shares: list[list[_Job]] = [[] for _ in range(count)]
    for job in sorted(jobs, key=lambda job: -len(job.pairs)):
        min(shares, key=lambda share: sum(len(job.pairs) for job in share)).append(job)
    return shares


def _check(dataset: str, config: "TFRecordsConfig") -> None:
    if not re.fullmatch("[a-z][a-z0-9_]*", dataset):
        raise InputError(f"dataset name '{dataset}' must be lower-case letters, digits and _, beginning with a letter")
    for key, value, allowed in (
        ("storage", config.storage, STORAGES),
        ("compression", config.compression, COMPRESSIONS),
    ):
        if value not in allowed:
            raise InputError(f"{key} '{value}' is none of {', '.join(map(str, allowed))}")


def _remove_stale(directory: Path, dataset: str, jobs: Sequence[_Job]) -> None:
    written = {path for job in jobs for path in (job.index, job.file)}
    for kind in ("tfrecord", "index"):
        for path in directory.glob(f"{dataset}-*.{kind}-*-of-*"):
            if path not in written:
                path.unlink()


def convert(
    images: str | Path,
    labels: str | Path,
    directory: str | Path,
    dataset: str,
    config: "TFRecordsConfig",
    background: int | None = None,
    workers: int | None = None,
) -> list[Entry]:
    """Write two folders of chips as the shards of a dataset, in `workers` processes, by default one for each core.

    Returns an entry for every chip; those that are in no shard, with the reason, are also in `rejected.csv` beside the
    shards. Shards that an earlier call left there are replaced. InputError where no chip can be used.
    """
    _check(dataset, config)
    images, labels, directory = Path(images), Path(labels), Path(directory)
    with _processes(workers or len(os.sched_getaffinity(0))) as processes, ThreadPoolExecutor(len(processes)) as pool:
        pairs, rejected = pair_chips(images, labels)
        like = usual(pairs, config)
        jobs = _jobs(directory, dataset, pairs, config, like)
        running = pool.map(_run, processes, _shares(jobs, len(processes)))
        image, label = (read_layout(header.path) for header in like)
        list(running)
    _remove_stale(directory, dataset, jobs)
    indices = {split: [job.index for job in jobs if job.split == split] for split in config.splits}
    describe(directory, dataset, config, indices, image, label, background)
    entries = [*rejected, *(entry for job in jobs for entry in read_index(job.index))]
    with whole(directory / "rejected.csv") as part:
        left_out = (entry for entry in entries if entry.state == REJECTED)
        write_index(part, sorted(left_out, key=lambda entry: entry.tile))
    return entries
