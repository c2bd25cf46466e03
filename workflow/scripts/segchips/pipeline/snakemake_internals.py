"""All use of Snakemake's private parts: what each is for, and what a run does without it.

A part is used only where Snakemake's source of it is the one that was read, in release `READ_IN`; in another release it
is left out, and the run says so. Without any of them results are the same, but for two things: what is missing from
`.snakemake` is not noticed, and a run over fewer tiles than before can fail. `SEGCHIPS_PLAIN_SNAKEMAKE` leaves parts
out by name, or `all`.
"""

import ast
import inspect
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import snakemake.api  # noqa: F401 - first, for parts of Snakemake cannot be imported on their own
from snakemake.dag import DAG
from snakemake.executors.local import Executor as LocalExecutor
from snakemake.io import IOFile, _IOFile, is_flagged
from snakemake.jobs import GroupJob, GroupJobFactory, Job
from snakemake.logging import logger
from snakemake.path_modifier import PathModifier
from snakemake.persistence import RECORD_FORMAT_VERSION, MetadataRecord, PersistenceBase
from snakemake.persistence.file import FilePersistence
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.workflow import Workflow

from segchips.errors import ConfigError
from segchips.files import digest
from segchips.pipeline.result_records import OutputRecord

READ_IN = "9.27.1"
FileVersion = tuple[int, int, int, int]
_LOCKS = Path(".snakemake/locks")


@dataclass(frozen=True)
class Part:
    """A private part of Snakemake.

    Attributes:
        reason: Why it is used, as the end of a sentence.
        sources: What was read: Snakemake's functions and classes that the use relies on.
        digest: The digest of their source in release `READ_IN`.
        replaced: What takes its place: Snakemake's class, the name in it and the replacement, for each.
    """

    reason: str
    sources: tuple[Any, ...]
    digest: str
    replaced: tuple[tuple[Any, str, Any], ...] = ()

    def source_digest(self) -> str:
        """The digest of the source in the installed release."""
        return digest(*map(inspect.getsource, self.sources))


@cache
def use_private_parts() -> None:
    """Replace the parts that this release of Snakemake still has as they were read, and name the others."""
    for part in PARTS.values():
        if _is_usable(part):
            for owner, name, replacement in part.replaced:
                setattr(owner, name, replacement)
    left_out = [name for name, part in PARTS.items() if not _is_usable(part)]
    if left_out:
        release = metadata.version("snakemake")
        logger.warning(
            f"Snakemake {release} is used without {', '.join(left_out)}: results are the same, but runs are slower; "
            f"with Snakemake {READ_IN} they are fast"
        )


def is_usable(name: str) -> bool:
    """Whether a part of `PARTS` is as it was read, and not left out by the user."""
    return _is_usable(PARTS[name])


@cache
def _is_usable(part: Part) -> bool:
    unwanted = os.environ.get("SEGCHIPS_PLAIN_SNAKEMAKE", "").split(",")
    name = next(name for name, known in PARTS.items() if known is part)
    return not {"all", name} & set(unwanted) and part.source_digest() == part.digest


# Checkpoints


def _settled_checkpoints(dag: Any) -> list[Any]:
    """Checkpoints that will not run, nor any that they follow, and that the graph has not been told of."""
    created = dag.workflow.checkpoints.created_output
    unsettled = [job for job in dag.needrun_jobs() if job.is_checkpoint]
    pending = set(dag.bfs(dag.depending, *(job for job in unsettled if not dag.finished(job))))
    return [
        job
        for job in dag.jobs
        if job.is_checkpoint
        and job not in pending
        and not created.issuperset(job.output)
        and all(map(os.path.exists, job.output))
    ]


async def _update_checkpoint_dependencies(
    dag: Any, jobs: Iterable[Any] | None = None, update: Any = DAG.update_checkpoint_dependencies
) -> bool:
    """As Snakemake's, for checkpoints that turn out to be up to date during a run, and not before.

    Snakemake asks only at its start which checkpoints are up to date, and believes it of those that follow one that is
    not.
    """
    updated, settled = False, _settled_checkpoints(dag) if jobs is None else [job for job in jobs if job.is_checkpoint]
    while settled:
        updated = await update(dag, settled) or updated
        settled = _settled_checkpoints(dag)
    return updated


# Records


def _uncached(function: Any) -> Any:
    return getattr(function, "__wrapped__", function)


class SnakemakeRecords:
    """Snakemake's records of the outputs of a workflow."""

    def __init__(self, workflow: Any) -> None:
        self._workflow = workflow

    def read(self, path: str) -> OutputRecord | None:
        """The record of a file; None where there is none."""
        record = self._workflow.persistence.metadata(IOFile(path))
        if not record or record.endtime is None:
            return None
        params = [ast.literal_eval(text) for text in record.params or ()]
        return OutputRecord(str(params[0]) if params else "", record.endtime)

    def restore(self, path: str, rule: str, digest: str) -> None:
        """Write a record that says that the file as it is was made from `digest`."""
        persistence = self._workflow.persistence
        age = os.stat(path).st_mtime
        before = persistence.metadata(IOFile(path))  # inputs of unchanged content do not become new by being copied
        record = MetadataRecord(
            rule=rule,
            params=[repr(digest)],
            record_format_version=RECORD_FORMAT_VERSION,
            starttime=age,
            endtime=age,
            incomplete=False,
            input_checksums=before.input_checksums if before else {},
        )
        persistence._clear_cache()
        persistence._write_record(path, record)


# Pipes


@cache
def _has_pipes(dag: Any) -> bool:
    files = (file for rule in dag.workflow.rules for file in rule.output)
    return any(is_flagged(file, "pipe") or is_flagged(file, "service") for file in files)


def _is_pipe_or_service_input(job: Any, path: Any, look: Any = Job.is_pipe_or_service_input) -> bool:
    return _has_pipes(job.dag) and look(job, path)


# Checksums

_checksums: dict[str, tuple[FileVersion, str | None]] = {}


def _file_version(file: str) -> FileVersion:
    status = os.stat(file)
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


async def _checksum(
    file: Any, threshold: int | None = None, force: bool = False, algorithm: Any = None, compute: Any = _IOFile.checksum
) -> str | None:
    """As Snakemake's, which reads the inputs of a job once for each of its outputs."""
    if force or algorithm or file.is_storage or not os.path.exists(file):
        return await compute(file, threshold, force, algorithm)
    version = _file_version(file)
    if _checksums.get(str(file), (None, None))[0] != version:
        _checksums[str(file)] = version, await compute(file, threshold)
    return _checksums[str(file)][1]


async def _finished(persistence: Any, job: Any, finish: Any = FilePersistence.finished) -> None:
    """As Snakemake's; an input older than the output that was replaced has the checksum recorded with that."""
    before = persistence.metadata(job.output[0]) if job.output else None
    if before and before.input_checksums and before.endtime:
        for file in filter(os.path.exists, map(str, job.input)):
            if file in before.input_checksums and os.stat(file).st_mtime < before.endtime:
                _checksums[file] = _file_version(file), before.input_checksums[file]
    await finish(persistence, job)


# Dates


async def _check_output_mtime(dag: Any, job: Any, outputs: Any, check: Any = DAG.check_output_mtime) -> None:
    """As Snakemake's, where the dates of inputs count: one from outside may be of the future, by another clock."""
    if not all(is_flagged(file, "ancient") for file in job.input):
        await check(dag, job, outputs)


# Modules


def own_path(workflow: Any, path: str) -> str:
    """A path of the workflow as `prefix` or `replace_prefix` of its module statement moves it.

    Input functions return paths that job bodies open, too. So paths are moved here, once, and no longer by Snakemake.
    """
    modifier = workflow.modifier.path_modifier
    if not hasattr(modifier, "moves_own_paths"):
        modifier.moves_own_paths = copy(modifier).replace_prefix
        if not is_usable("modules") and modifier.moves_own_paths("results") != "results":
            raise ConfigError(
                "module: prefix and replace_prefix are not supported; set `results` in its config instead"
            )
        modifier.prefix = modifier._prefix_replacements = modifier.inner_modifier = None
    return str(modifier.moves_own_paths(path))


# Execution


def wrap_execution(workflow: Any, wrapper: Callable[[Callable[..., bool], dict[str, Any]], bool]) -> None:
    """Have a wrapper called in place of the execution: with the execution itself, and its arguments by name."""
    execute = workflow.execute
    workflow.execute = lambda **options: wrapper(execute, options)


def has_begun(workflow: Any) -> bool:
    """Whether jobs may have run."""
    return workflow.scheduler is not None


def stop_scheduling(workflow: Any) -> None:
    """Let no further job start once one has failed, whatever `--keep-going` says."""
    if is_usable("execution"):
        workflow.scheduler.keepgoing = False


def is_stopping(workflow: Any) -> bool:
    """Whether Snakemake is about to end: it was terminated, or a job has failed and no other is to start."""
    scheduler = workflow.scheduler
    if not is_usable("execution"):
        return False
    return bool(scheduler._user_kill or (scheduler._errors and not scheduler.keepgoing))


def remove_stale_locks(results: Path) -> None:
    """Remove Snakemake's locks on files of results that no other run can be working on."""
    for lock in _LOCKS.glob("*.lock"):
        with lock.open() as names:
            ours = any(Path(os.path.abspath(name.strip())).is_relative_to(results.absolute()) for name in names)
        if ours:
            lock.unlink()


# Scheduling


def start_jobs_without_limit(workflow: Any) -> None:
    """Lift the limit on job starts for local runs.

    It is 100 a second unless set, and while there is one, each round of scheduling starts another a second later, so
    that the cost of a job grows with the number of jobs that are done.
    """
    if workflow.local_exec:
        workflow.scheduling_settings.max_jobs_per_timespan = None


def given_resource(workflow: Any, name: str) -> int | None:
    """Return what the command line gives of a resource, such as `--resources requests=8`; None where it gives none."""
    given = workflow.global_resources.get(name)
    return getattr(given, "value", given)


def let_jobs_queue(workflow: Any, queued: int) -> None:
    """Let more jobs start than there are cores, by one and `queued`, and as many as the network may serve.

    Snakemake looks for jobs only while a core is free, and has a thread for each core and five for jobs without one.
    """
    scheduler = workflow.scheduler
    scheduler.resources["_cores"] += 1 + queued
    executor = scheduler._local_executor or scheduler._executor
    if hasattr(executor, "pool"):
        executor.workers += scheduler.resources.get("requests", 0) + queued
        executor.pool = ThreadPoolExecutor(executor.workers)


def show_next_jobs_only(scheduler: Any, next_jobs: Callable[[], list[Any]]) -> None:
    """Show Snakemake's scheduler the jobs that may run next in place of all.

    It looks at every ready job, and at every job that is left, whenever one has finished: the cost of a job grows with
    their number.
    """

    class ShortScheduler(type(scheduler)):  # type: ignore[misc]
        @property
        def open_jobs(self) -> list[Any]:
            return next_jobs()

        @property
        def remaining_jobs(self) -> Any:
            return () if self.workflow.dag.ready_jobs else super().remaining_jobs

        async def update_input_sizes(self, jobs: object) -> None:
            """Do nothing: jobs that are taken in order need not be weighed."""

    scheduler.__class__ = ShortScheduler


PARTS = {
    "checkpoints": Part(
        "a checkpoint that turns out to be up to date during a run is noticed, so that the jobs behind it do not run "
        "after all others, or fail where they are of tiles that are gone",
        (DAG.update_checkpoint_dependencies, DAG.bfs, DAG.needrun_jobs, DAG.finished),
        "a2d15da25d26f901",
        ((DAG, "update_checkpoint_dependencies", _update_checkpoint_dependencies),),
    ),
    "groups": Part(
        "a group of jobs is formed once, not merged with its former self when a checkpoint changes the graph",
        (GroupJobFactory,),
        "2f0e072d85ef8cb8",
        ((GroupJobFactory, "new", lambda self, name, jobs, needs: GroupJob(name, frozenset(jobs), needs)),),
    ),
    "record cache": Part(
        "each record is read once, where Snakemake keeps 128 of them and asks for each twice",
        (FilePersistence._read_record_cached, FilePersistence._read_record),
        "40e8eefdc369e8fc",
        ((FilePersistence, "_read_record_cached", cache(_uncached(FilePersistence._read_record_cached))),),
    ),
    "params": Part(
        "a job's params are recorded as they were when it ran; Snakemake records those that it has seen before the run",
        (PersistenceBase._params,),
        "e49203bbb470bfdc",
        ((PersistenceBase, "_params", _uncached(PersistenceBase._params)),),
    ),
    "result records": Part(
        "results that .snakemake does not know are recognised by what they say of themselves",
        (PersistenceBase.metadata, FilePersistence._write_record, PersistenceBase.params_changed, MetadataRecord),
        "f85da715ff1566da",
    ),
    "pipes": Part(
        "Snakemake looks for each input of a job through all jobs that make inputs, in case one is a pipe",
        (Job.is_pipe_or_service_input,),
        "c17253408d562159",
        ((Job, "is_pipe_or_service_input", _is_pipe_or_service_input),),
    ),
    "checksums": Part(
        "the checksum of an input is computed once, not once for each output of its job",
        (_IOFile.checksum, PersistenceBase.finished),
        "cfc51251905f4a47",
        ((FilePersistence, "finished", _finished), (_IOFile, "checksum", _checksum)),
    ),
    "modules": Part(
        "a module may be moved by `prefix`, although job bodies open files that its rules do not name",
        (PathModifier,),
        "b9e1f5f268294cc6",
    ),
    "dates": Part(
        "an input whose date does not count may be dated later than the outputs",
        (DAG.check_output_mtime,),
        "4d11d6967fef3cfa",
        ((DAG, "check_output_mtime", _check_output_mtime),),
    ),
    "execution": Part(
        "a run says that another one works in its results, a killed run leaves no lock to remove, a run stops where "
        "its results vanish, and is as fast with any profile",
        (Workflow.execute, JobScheduler.schedule),
        "9ba87d7503bbb703",
    ),
    "scheduling": Part(
        "the cost of a job does not grow with the number of jobs, and worker processes do not wait for Snakemake",
        (JobScheduler.__init__, JobScheduler.schedule, JobScheduler.update_input_sizes, LocalExecutor.__init__),
        "6c66d49f82201ae9",
    ),
}
