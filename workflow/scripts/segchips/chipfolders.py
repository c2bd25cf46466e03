"""Chips made elsewhere: two folders paired by name, and their conversion to shards by several processes."""

import os
import pickle
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segchips.chipfiles import ALONE, OTHER, WORLD_FILE
from segchips.description import (
    COMPRESSIONS,
    REJECTED,
    STATISTICS,
    STORAGES,
    Entry,
    index_name,
    item_bytes,
    read_index,
    shard_name,
    shard_of,
    split_of,
    write_index,
)
from segchips.errors import InputError
from segchips.files import whole
from segchips.grid import Tile
from segchips.shards import Job, Like, Pair, describe, make_record, order, run_jobs

if TYPE_CHECKING:
    from segchips.config import TFRecordsConfig

SHARD_BYTES = 150_000_000
"""The target size of a shard where the config does not say how many there are."""
_SAMPLE = 25
_KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "67108864", "MALLOC_MMAP_THRESHOLD_": "67108864"}
"""What one chip frees the next one needs: the C library would give it back to the system."""
_COMPANION = re.compile(
    r"\.(?:(?P<world>wld|(?:tf|tif|tiff|pg|png|jg|jp|jpg|jpeg|gf|gif|bp|bmp|j2|jp2)w)"
    r"|aux|aux\.xml|ovr|msk|prj|hdr|tab|xml|json|csv|txt|md|html|lock|db|emd)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Folder:
    """The chip files of a folder by chip name, and what lies beside them by base name."""

    path: Path
    chips: Mapping[str, Sequence[str]]
    companions: Mapping[str, int]

    def beside(self, file: str) -> int:
        """What lies beside a chip file."""
        if not self.companions:
            return ALONE
        return max(self.companions.get(base, ALONE) for base in (file, file.rpartition(".")[0]))


def _name(stem: str) -> str:
    """The tile key that a file's name stands for, else that name."""
    return stem.replace("#", ":") if _is_tile(stem) else stem


def _is_tile(name: str) -> bool:
    if name.count("#") + name.count(":") != 5:
        return False
    try:
        Tile.from_name(name)
    except InputError:
        return False
    return True


def _look(folder: Path) -> _Folder:
    chips: dict[str, list[str]] = defaultdict(list)
    companions: dict[str, int] = {}
    try:
        files = sorted(entry.name for entry in os.scandir(folder) if entry.is_symlink() or entry.is_file())
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}); name a folder of chips") from error
    for file in files:
        if found := _COMPANION.search(file):
            base = file[: found.start()]
            companions[base] = max(companions.get(base, ALONE), WORLD_FILE if found["world"] else OTHER)
        elif not file.startswith("."):
            chips[_name(file.rpartition(".")[0] or file)].append(file)
    if not chips:
        raise InputError(f"{folder} holds no chips; folders inside it are not searched")
    return _Folder(folder, chips, companions)


def _fault(name: str, images: _Folder, labels: _Folder) -> str:
    """Why the files of one name are no pair; empty where they are one."""
    for folder, other, missing in ((images, labels, "label"), (labels, images, "image")):
        files = [f"{folder.path.name}/{file}" for file in folder.chips.get(name, ())]
        if len(files) > 1:
            return f"{' and '.join(files)} have the same name; keep one of them"
        if files and name not in other.chips:
            return f"{files[0]} has no {missing} of the same name"
    return ""


def _pair(name: str, images: _Folder, labels: _Folder) -> Pair:
    (image,), (label,) = images.chips[name], labels.chips[name]
    beside = max(images.beside(image), labels.beside(label))
    return Pair(name, f"{images.path}/{image}", f"{labels.path}/{label}", _is_tile(name), beside)


def pair_chips(images: Path, labels: Path) -> tuple[list[Pair], list[Entry]]:
    """The pairs of two folders by file name without extension, and an entry with a reason for each chip that has none.

    InputError where a folder holds nothing, or no two names agree.
    """
    if images.resolve() == labels.resolve():
        raise InputError(f"{images} is given for images and labels; the labels need a folder of their own")
    found = _look(images), _look(labels)
    pairs, rejected = [], []
    for name in sorted(found[0].chips.keys() | found[1].chips.keys()):
        if reason := _fault(name, *found):
            rejected.append(Entry(name, REJECTED, reason, None))
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
        folder = Path(pairs[0].image).parent
        raise InputError(f"none of the {len(pairs)} pairs of {folder} can become a record: {reason}")
    layouts = [tuple(header.layout for header in headers) for headers in found]
    return found[layouts.index(Counter(layouts).most_common(1)[0][0])]


def _shard_count(pairs: Sequence[Pair], config: "TFRecordsConfig", like: Like) -> int:
    """How many shards a split has: as configured, else as many as bring them to about SHARD_BYTES."""
    if config.shards:
        return config.shards
    if config.storage in ("array", "float"):
        image, label = (4 if config.storage == "float" else item_bytes(header.dtype) for header in like)
        total = len(pairs) * like[0].height * like[0].width * (like[0].channels * image + label)
    else:
        total = sum(os.stat(path).st_size for pair in pairs for path in (pair.image, pair.label))
    return max(1, round(total / SHARD_BYTES))


def _jobs(directory: Path, dataset: str, pairs: Sequence[Pair], config: "TFRecordsConfig", like: Like) -> list[Job]:
    splits: dict[str, list[Pair]] = {split: [] for split in config.splits}
    for pair in pairs:
        splits[split_of(pair.name, config.splits)].append(pair)
    jobs = []
    for split, members in splits.items():
        count = _shard_count(members, config, like)
        shards: list[dict[str, Pair]] = [{} for _ in range(count)]
        for pair in members:
            shards[shard_of(pair.name, count)][pair.name] = pair
        for number, named in enumerate(shards):
            shard, index = (directory / name(dataset, split, number, count) for name in (shard_name, index_name))
            jobs.append(Job(shard, index, [named[name] for name in order(named)], split, config, like=like))
    return jobs


@contextmanager
def _processes(count: int, storage: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Fresh processes that wait for jobs; they neither fork a threaded parent nor import its main module again."""
    command = [sys.executable, "-c", "from segchips.shards import work; work()", storage]
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


def _start(process: subprocess.Popen[bytes], jobs: Sequence[Job]) -> None:
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


def _shares(jobs: Sequence[Job], count: int) -> list[list[Job]]:
    """The jobs in as many parts, of about the same number of pairs."""
    shares: list[list[Job]] = [[] for _ in range(count)]
    for job in sorted(jobs, key=lambda job: -len(job.pairs)):
        min(shares, key=lambda share: sum(len(job.pairs) for job in share)).append(job)
    return shares


def _run(jobs: Sequence[Job], processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Run the jobs in these processes and this one."""
    mine, *others = _shares(jobs, len(processes) + 1)
    for process, share in zip(processes, others, strict=True):
        _start(process, share)
    run_jobs(mine)
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


def _remove_stale(directory: Path, dataset: str, jobs: Sequence[Job]) -> None:
    written = {path for job in jobs for path in (job.shard, job.index)}
    for kind in ("tfrecord", "index"):
        for path in directory.glob(f"{dataset}-*.{kind}-*-of-*"):
            if path not in written:
                path.unlink()
    (directory / STATISTICS).unlink(missing_ok=True)


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
    with _processes((workers or len(os.sched_getaffinity(0))) - 1, config.storage) as processes:
        pairs, rejected = pair_chips(images, labels)
        like = usual(pairs, config)
        jobs = _jobs(directory, dataset, pairs, config, like)
        _run(jobs, processes)
    _remove_stale(directory, dataset, jobs)
    indices = {split: [job.index for job in jobs if job.split == split] for split in config.splits}
    describe(directory, dataset, config, indices, like, background)
    entries = [*rejected, *(entry for job in jobs for entry in read_index(job.index))]
    with whole(directory / "rejected.csv") as part:
        left_out = (entry for entry in entries if entry.state == REJECTED)
        write_index(part, sorted(left_out, key=lambda entry: entry.tile))
    return entries
