"""Runs the bodies of jobs in worker processes, and keeps what they say in the jobs' logs."""

import os
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVarTuple

from segchips.config.loading import load_config
from segchips.config.model import Config
from segchips.errors import SegchipsError
from segchips.files import atomic_write
from segchips.grids.squares import square_of
from segchips.pipeline.checks import check_conversion, check_inputs, check_pinned_scenes
from segchips.pipeline.datasets import Datasets
from segchips.pipeline.job_times import JobTimes
from segchips.pipeline.steps.images import lacks_wanted_scene
from segchips.pipeline.steps.scenes import check_scenes
from segchips.pipeline.workers import WorkerDiedError, WorkerPool, WorkerProcess
from segchips.remote.fetcher import Traffic
from segchips.remote.remote_files import SOCKET_VARIABLE, remote_files
from segchips.remote.server import FetcherProcess
from segchips.remote.turn import computing

PLACES, PLATFORM_PLACES = 4, 2
"""Places of jobs for each request that may be under way, so that the next requests are known when one is answered, and
how many of these a job takes that asks a platform: it makes fewer requests at a time than one that reads files."""
Arguments = TypeVarTuple("Arguments")
Body = Callable[[Datasets, *Arguments], Iterable[str] | None]
"""What does a job: a function of the datasets that returns lines for the job's log."""
Place = Literal["core", "platform", "remote files"]
"""Where a body runs: on a core, or where it waits for a platform or for files on HTTP servers."""


@dataclass(frozen=True)
class Task:
    """One of the tasks of a job of many.

    Attributes:
        job: The task as messages name it, such as `tile 60:2:10.0:33:-58:8465`.
        log: The task's log.
        body: What does the task.
        arguments: Its arguments after the datasets, of which the first is the dataset's name.
        step: The step whose times it counts to; None for no one's.
        near: Tasks that name the same read the same files, and go to the same process where they wait for them.
    """

    job: str
    log: str
    body: Callable[..., Iterable[str] | None]
    arguments: tuple[object, ...]
    step: str | None
    near: Hashable


class JobRunner:
    """Runs job bodies, each in one of as many processes as there are cores.

    Bodies that wait for a network run side by side: those that ask a platform in one process, which alone imports the
    platform's client, those that read files on HTTP servers in the same processes as all others, of which one body
    computes at a time; one other process serves them with parts of these files.

    Args:
        raw: The config file as YAML or JSON gives it.
        cores: How many processes there are; 0 runs bodies in this process.
        logs: The folder of the logs.
        network_places: This process's share of the places for jobs that wait for a network; None takes all.
        started: A process that has started already, as the first of those for bodies.

    Raises:
        ConfigError: A key or value of the config is not valid.
    """

    def __init__(
        self,
        raw: Mapping[str, Any],
        cores: int,
        logs: str = "logs",
        network_places: int | None = None,
        started: WorkerProcess | None = None,
    ) -> None:
        self.datasets = Datasets(load_config(raw), logs)
        self.network_places = network_places or PLACES * self.datasets.config.requests
        self.times = JobTimes(self.datasets.config.results)
        _add_library_to_path()
        config, places = self.datasets.config, self.network_places
        self._workers = self._platform_worker = self._fetcher = None
        if cores:
            # A process serves its share of the jobs that wait for files, and others beside them.
            threads = 2 + -(-places // cores)
            self._fetcher = FetcherProcess(config.results, -(-places // PLACES))
            state = config, logs, os.environ[SOCKET_VARIABLE]
            self._workers = WorkerPool(cores, _worker_state, *state, threads=threads, started=started)
            self._platform_worker = WorkerPool(1, _worker_state, *state, threads=1 + places // PLATFORM_PLACES)

    def run(self, job: str, log: str, body: Body[*Arguments], *arguments: *Arguments) -> SegchipsError | None:
        """Run a job's body on a core.

        Args:
            job: The job as messages name it, such as `sample: scenes`.
            log: The job's log.
            body: What does the job.
            arguments: Its arguments after the datasets.

        Returns:
            The error that ended the job, or None. It is returned for the rule to raise, so that no traceback is shown.
        """
        return self._run(self._workers, job, log, body, arguments, _run_in_turn)

    def run_on_platform(
        self, job: str, log: str, body: Body[*Arguments], *arguments: *Arguments
    ) -> SegchipsError | None:
        """Run a job's body that waits for a platform; as `run`."""
        return self._run(self._platform_worker, job, log, body, arguments, _run_logged, waits=True)

    def run_on_remote_files(
        self,
        job: str,
        log: str,
        body: Callable[..., Iterable[str] | None],
        name: str,
        part: str,
        tile: str,
        *others: str,
    ) -> SegchipsError | None:
        """Run a body that reads files on HTTP servers for a tile of a layer; as `run`.

        Tiles of a square go to the same process, which finds blocks decoded that it has read for their neighbours.
        """
        arguments, near = (name, part, tile, *others), (name, part, square_of(tile))
        return self._run(self._workers, job, log, body, arguments, _run_with_files, waits=True, near=near)

    def run_batch(self, place: Place, tasks: Sequence[Task]) -> list[SegchipsError | None]:
        """Run tasks one after another in one process, logged as jobs of their own; returns the error of each, or None.

        Raises:
            Exception: What is no SegchipsError ends all of them, and so does the death of their process, unless it
                served one task alone.
        """
        pool = self._platform_worker if place == "platform" else self._workers
        near = tasks[0].near if place == "remote files" else None
        call = partial(pool.call, waits=place != "core", near=near) if pool else self._call_here
        try:
            outcomes = call(_run_batch, _RUNS[place], tasks)
        except WorkerDiedError:
            if len(tasks) > 1:
                raise
            return [_logged_death(tasks[0].job, tasks[0].log)]
        for task, (error, seconds) in zip(tasks, outcomes, strict=True):
            if error is None and task.step:
                self.times.add(str(task.arguments[0]), task.step, seconds)
        return [error for error, _ in outcomes]

    def place(self, name: str, layer: str) -> Place:
        """Where image chips of a layer are made."""
        if self.datasets.asks_platform(name, layer):
            return "platform"
        return "remote files" if self.datasets.reads_http(name, layer) else "core"

    def places(self, name: str, layer: str, is_submitted: bool) -> int:
        """Return how many places for jobs that wait for a network an image chip of a layer takes.

        A job that is submitted to a cluster takes those of a whole request, because it makes one at least.
        """
        if self.datasets.asks_platform(name, layer):
            return PLATFORM_PLACES
        return (PLACES if is_submitted else 1) * self.datasets.reads_http(name, layer)

    def places_of_many(self, name: str, layer: str) -> int:
        """Return how many places a job takes that makes image chips of a layer for many tiles: half of all.

        Two such jobs fill the places while one of them ends. They are those of whole requests, of one at least.
        """
        return self.places(name, layer, False) and PLACES * max(1, self.network_places // PLACES // 2)

    def traffic(self) -> Traffic | None:
        """Return what was fetched from HTTP servers so far; None where nothing was."""
        return self._fetcher.traffic() if self._fetcher else None

    def start_ahead(self) -> None:
        """Let a worker process import what it needs while Snakemake looks at the jobs."""
        if self._workers:
            self._workers.start_one_ahead()

    def check_inputs(self) -> None:
        """Check every input before any job runs.

        Raises:
            SegchipsError: It names the dataset and the key or file, and what to do.
        """
        config = self.datasets.config
        for name in config.datasets:
            self._ask(self._workers, check_inputs, name)
            if not check_pinned_scenes(self.datasets, name):
                pool = self._platform_worker if self.datasets.asks_platform(name) else self._workers
                self._ask(pool, check_scenes, name)
        for conversion in config.conversions.values():
            check_conversion(conversion)

    def lacks_wanted_scene(self, name: str, layer: str, tile_name: str, path: str) -> bool:
        """Whether a chip lacks a scene that it should have, such as one that can be read now."""
        pool = self._platform_worker if self.datasets.asks_platform(name, layer) else self._workers
        return bool(self._ask(pool, lacks_wanted_scene, name, layer, tile_name, path))

    def _run(
        self,
        pool: WorkerPool | None,
        job: str,
        log: str,
        body: Callable[..., Any],
        arguments: tuple[object, ...],
        run: Callable[..., tuple[SegchipsError | None, float]],
        waits: bool = False,
        near: Hashable = None,
    ) -> SegchipsError | None:
        call = partial(pool.call, waits=waits, near=near) if pool else self._call_here
        try:
            error, seconds = call(run, job, log, body, arguments)
        except WorkerDiedError:
            return _logged_death(job, log)
        if error is None and arguments:
            self.times.add(str(arguments[0]), body.__module__.rpartition(".")[2], seconds)
        return error

    def _call_here(self, function: Callable[..., Any], *arguments: object) -> Any:
        return function(self.datasets, *arguments)

    def _ask(self, pool: WorkerPool | None, function: Callable[..., Any], *arguments: object) -> Any:
        return pool.call(function, *arguments, start_ahead=False) if pool else self._call_here(function, *arguments)


def _worker_state(config: Config, logs: str, socket: str) -> Datasets:
    """The state of a worker process, which may have started before there was the socket of the run's fetcher."""
    os.environ[SOCKET_VARIABLE] = socket
    return Datasets(config, logs)


def _run_logged(
    datasets: Datasets, job: str, log: str, body: Callable[..., Iterable[str] | None], arguments: tuple[object, ...]
) -> tuple[SegchipsError | None, float]:
    """Run a body and write its lines, or its error, to the log; the ledger reads errors from there.

    Returns:
        The error, or None, and the seconds that the body took.
    """
    start = time.perf_counter()
    try:
        lines = body(datasets, *arguments)
    except SegchipsError as error:
        atomic_write(log, f"{error}\n")
        return type(error)(f"{job}: {error}"), time.perf_counter() - start
    if lines is not None:
        atomic_write(log, "".join(f"{line}\n" for line in lines))
    return None, time.perf_counter() - start


def _logged_death(job: str, log: str) -> SegchipsError:
    """The error of a job whose process died, which its log tells, too."""
    reason = "its process was killed, as when memory is used up; run again, with fewer cores if memory is short"
    atomic_write(log, f"{reason}\n")
    return SegchipsError(f"{job}: {reason}")


def _run_in_turn(
    datasets: Datasets, job: str, log: str, body: Callable[..., Iterable[str] | None], arguments: tuple[object, ...]
) -> tuple[SegchipsError | None, float]:
    """As `_run_logged`, while no other thread of the process computes."""
    with computing():
        return _run_logged(datasets, job, log, body, arguments)


def _run_with_files(
    datasets: Datasets, job: str, log: str, body: Callable[..., Iterable[str] | None], arguments: tuple[object, ...]
) -> tuple[SegchipsError | None, float]:
    """As `_run_in_turn`; while the body waits for remote files, another thread computes."""
    with computing(), remote_files():
        return _run_logged(datasets, job, log, body, arguments)


_RUNS = {"core": _run_in_turn, "platform": _run_logged, "remote files": _run_with_files}


def _run_batch(
    datasets: Datasets, run: Callable[..., tuple[SegchipsError | None, float]], tasks: Sequence[Task]
) -> list[tuple[SegchipsError | None, float]]:
    return [run(datasets, task.job, task.log, task.body, task.arguments) for task in tasks]


def _add_library_to_path() -> None:
    """Let scripts and jobs on a cluster import this library."""
    library = str(Path(__file__).parents[2])
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if library not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([library, *filter(None, paths)])
