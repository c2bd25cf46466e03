"""Where Snakemake is wrong about checkpoints, or does again what could be done once: mended in its classes."""

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from snakemake.dag import DAG
from snakemake.io import _IOFile, is_flagged
from snakemake.jobs import GroupJob, GroupJobFactory, Job
from snakemake.persistence.file import FilePersistence

Version = tuple[int, ...]
_checksums: dict[str, tuple[Version, str | None]] = {}


def patch() -> None:
    """Mend Snakemake in this process."""
    # Snakemake keeps 128 of the records that it reads, and asks for each job's twice whenever it looks at the graph.
    FilePersistence._read_record_cached = cache(FilePersistence._read_record_cached.__wrapped__)
    # Snakemake keeps the groups it has formed, and merges them once more, when a checkpoint changes its graph.
    GroupJobFactory.new = lambda self, name, jobs, resources: GroupJob(name, frozenset(jobs), resources)
    DAG.update_checkpoint_dependencies = _update_checkpoint_dependencies
    Job.is_pipe_or_service_input = _is_pipe_or_service_input
    FilePersistence.backup_output, FilePersistence.restore_output = _backup_output, _restore_output
    FilePersistence.finished = _finished
    _IOFile.checksum = _checksum


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
    """What waits for a checkpoint is also updated where that turns out to be up to date, and not before.

    Snakemake asks only at its start which checkpoints are up to date, and believes it of those that follow one that is
    not.
    """
    updated, settled = False, _settled_checkpoints(dag) if jobs is None else [job for job in jobs if job.is_checkpoint]
    while settled:
        updated = await update(dag, settled) or updated
        settled = _settled_checkpoints(dag)
    return updated


@cache
def _has_pipes(dag: Any) -> bool:
    files = (file for rule in dag.workflow.rules for file in rule.output)
    return any(is_flagged(file, "pipe") or is_flagged(file, "service") for file in files)


def _is_pipe_or_service_input(job: Any, path: Any, look: Any = Job.is_pipe_or_service_input) -> bool:
    """Snakemake looks for each input through all jobs that make inputs."""
    return _has_pipes(job.dag) and look(job, path)


def _backup_output(persistence: Any, path: Path, copy: Any = FilePersistence.backup_output) -> None:
    """Give what a job updates a second name instead of a copy: files are replaced here, never written into."""
    backup = persistence._get_backup_path(path)
    backup.parent.mkdir(parents=True, exist_ok=True)
    backup.unlink(missing_ok=True)
    try:
        backup.hardlink_to(path)
    except OSError:
        copy(persistence, path)


def _restore_output(persistence: Any, path: Path, restore: Any = FilePersistence.restore_output) -> bool:
    """Let the file of before take its place again, which it may still have."""
    if persistence._get_backup_path(path).is_file():
        path.unlink(missing_ok=True)
    return bool(restore(persistence, path))


def _version(file: str) -> Version:
    status = os.stat(file)
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


async def _checksum(
    file: Any, threshold: int | None = None, force: bool = False, algorithm: Any = None, compute: Any = _IOFile.checksum
) -> str | None:
    """Snakemake reads the inputs of a job once for each of its outputs."""
    if force or algorithm or file.is_storage or not os.path.exists(file):
        return await compute(file, threshold, force, algorithm)
    version = _version(file)
    if _checksums.get(str(file), ((), None))[0] != version:
        _checksums[str(file)] = version, await compute(file, threshold)
    return _checksums[str(file)][1]


async def _finished(persistence: Any, job: Any, finish: Any = FilePersistence.finished) -> None:
    """An input older than the output that was replaced has the checksum that was recorded with that."""
    before = persistence.metadata(job.output[0]) if job.output else None
    if before and before.input_checksums and before.endtime:
        for file in filter(os.path.exists, map(str, job.input)):
            if file in before.input_checksums and os.stat(file).st_mtime < before.endtime:
                _checksums[file] = _version(file), before.input_checksums[file]
    await finish(persistence, job)
