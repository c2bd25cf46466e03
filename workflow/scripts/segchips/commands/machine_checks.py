"""Checks of the machine: disk, memory, open files, and SLURM where there is one."""

import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from segchips.commands.finding import Finding

_GIGABYTE = 1e9
_LOW_DISK = 5.0
_LOW_TEMPORARY = 1.0
_LOW_MEMORY = 2.0
_LOW_FILES = 1024
_PATIENCE = 20
_SLURM_PLUGIN = "snakemake-executor-plugin-slurm"
_EXECUTORS = ("snakemake-executor-plugin-cluster-generic", _SLURM_PLUGIN)


def check_machine(folder: Path) -> Iterator[Finding]:
    """Check cores, memory, open files, and the disks of a folder and of temporary files."""
    cores, memory = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, _memory()
    text = f"{cores} cores, {memory:.0f} GB of memory"
    if memory < _LOW_MEMORY:
        yield Finding("note", "machine", f"{text}; run with fewer cores, such as --cores 1, if memory runs out")
    else:
        yield Finding("ok", "machine", text)
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files < _LOW_FILES:
        yield Finding("fail", "machine", f"a process may open only {files} files; run: ulimit -n 4096")
    yield from _disk("disk", folder, _LOW_DISK, "name another folder with results: in the config")
    yield from _disk("temporary", Path(tempfile.gettempdir()), _LOW_TEMPORARY, "set TMPDIR to a folder with more space")


def _memory() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIGABYTE


def _disk(subject: str, folder: Path, least: float, advice: str) -> Iterator[Finding]:
    folder = folder.absolute()
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        yield Finding("fail", subject, f"'{nearest}' cannot be written; change its permissions, or {advice}")
        return
    free = shutil.disk_usage(nearest).free / _GIGABYTE
    text = f"{free:.1f} GB free in '{nearest}'"
    yield Finding("note" if free < least else "ok", subject, f"{text}; {advice}" if free < least else text)


def check_slurm() -> Iterator[Finding]:
    """Check SLURM where its commands are installed: that it answers, the executor plugins, account and partition."""
    if not shutil.which("sbatch"):
        yield Finding("ok", "SLURM", "no sbatch on this machine: runs are local")
        return
    plugins = {}
    for name in _EXECUTORS:
        try:
            plugins[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if not plugins:
        yield Finding("fail", "SLURM", f"no executor plugin is installed; run: pip install {_EXECUTORS[0]}")
    else:
        yield Finding("ok", "SLURM", ", ".join(f"{name} {version}" for name, version in plugins.items()))
    partitions = _answer("sinfo", "--noheader", "--format=%P %a")
    if partitions is None:
        yield Finding("fail", "SLURM", "sinfo does not answer; ask your site, or run without the SLURM profile")
        return
    listed = [line.split() for line in partitions.splitlines() if line.strip()]
    up = [name.rstrip("*") for name, state in listed if state == "up"]
    wanted = os.environ.get("SBATCH_PARTITION")
    if wanted and wanted not in {name.rstrip("*") for name, _ in listed}:
        names = ", ".join(name.rstrip("*") for name, _ in listed)
        yield Finding("fail", "SLURM", f"SBATCH_PARTITION is '{wanted}', which is no partition; choose one of {names}")
    elif not wanted and not any(name.endswith("*") for name, _ in listed):
        yield Finding(
            "fail", "SLURM", f"there is no default partition; export SBATCH_PARTITION, one of {', '.join(up)}"
        )
    else:
        yield Finding("ok", "SLURM", f"partition {wanted or 'by default'}; up: {', '.join(up)}")
    if not os.environ.get("SBATCH_ACCOUNT"):
        yield Finding("note", "SLURM", "SBATCH_ACCOUNT is not set; export it if your site wants an account")
    if _SLURM_PLUGIN in plugins and shutil.which("sacct") and _answer("sacct", "--noheader") is None:
        advice = "set slurm-status-command: squeue in a profile of the SLURM plugin, which else never sees a job end"
        yield Finding("note", "SLURM", f"sacct does not answer, as without accounting; {advice}")


def _answer(*command: str) -> str | None:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout
