"""The processes in which a conversion writes its shards.

They are started by hand. The workers of concurrent.futures import the caller's main module again, so that a script
without a `__main__` guard fails; loky, which does not, takes a fifth longer for encoded chips.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from segchips.errors import SegchipsError
from segchips.records.shard_writer import ShardSpec, WrittenShards, write_shard_files

_KEEP_FREED_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "67108864", "MALLOC_MMAP_THRESHOLD_": "67108864"}
"""Settings of the C library: it does not return the memory of one chip to the system, for the next chip needs it."""

Worker = subprocess.Popen[bytes]


@contextmanager
def started_workers(count: int, storage: str) -> Iterator[list[Worker]]:
    """Start processes that wait for shards to write, and stop them when the block ends.

    Args:
        count: The number of processes.
        storage: The storage of the config; processes that need a decoder import it while they wait.
    """
    command = [
        sys.executable,
        "-c",
        "from segchips.records.conversion_workers import run_worker; run_worker()",
        storage,
    ]
    path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
    environment = os.environ | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"} | _KEEP_FREED_MEMORY
    pipe = subprocess.PIPE
    workers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment) for _ in range(count)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            with worker:
                pass


def write_in_parallel(specs: Sequence[ShardSpec], workers: Sequence[Worker]) -> WrittenShards:
    """Write shards in the workers and in this process.

    Raises:
        SegchipsError, OSError: The first error in this process or a worker.
        RuntimeError: A worker was killed.
    """
    own, *others = _balance(specs, len(workers) + 1)
    for worker, part in zip(workers, others, strict=True):
        _send(worker, part)
    parts = [write_shard_files(own), *map(_finish, workers)]
    identifiers = {name: identifier for part in parts for name, identifier in part.identifiers.items()}
    return WrittenShards(identifiers, sum(part.made for part in parts), sum(part.reused for part in parts))


def _balance(specs: Sequence[ShardSpec], count: int) -> list[list[ShardSpec]]:
    """Divide the shards into `count` parts with about the same number of pairs."""
    parts: list[list[ShardSpec]] = [[] for _ in range(count)]
    for spec in sorted(specs, key=lambda spec: -len(spec.pairs)):
        min(parts, key=lambda part: sum(len(spec.pairs) for spec in part)).append(spec)
    return parts


def _send(worker: Worker, specs: Sequence[ShardSpec]) -> None:
    assert worker.stdin
    with suppress(BrokenPipeError), worker.stdin as pipe:
        pickle.dump(specs, pipe)


def _finish(worker: Worker) -> WrittenShards:
    assert worker.stdout
    answer = worker.stdout.read()
    if code := worker.wait():
        raise RuntimeError(f"a worker process ended with code {code}")
    outcome: WrittenShards | Exception = pickle.loads(answer)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def run_worker() -> None:
    """Write the shards that standard input names, in a worker process. Answers with what was written, or the error."""
    if sys.argv[1] != "encoded":
        import imagecodecs

        _ = imagecodecs.tiff_decode
    answer: WrittenShards | Exception
    try:
        answer = write_shard_files(pickle.load(sys.stdin.buffer))
    except (SegchipsError, OSError) as error:
        answer = error
    except KeyboardInterrupt:
        sys.exit(130)
    sys.stdout.buffer.write(pickle.dumps(answer))
