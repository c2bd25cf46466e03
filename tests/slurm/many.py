"""Many tiles through a real SLURM node, several ways, each compared with a run on this machine; prints a table.

python tests/slurm/many.py [columns rows [way ...]]      40 x 25 tiles in peace and trouble unless named

peace and trouble are the profile as it is: undisturbed, and with a job cancelled and the node lost. groups, jobs and
arrays are snakemake-executor-plugin-slurm: the profile's groups, one SLURM job per tile, and arrays of such jobs.
From 1,000 tiles on a job is a portion of tiles.
"""

import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from subprocess import CompletedProcess

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.landscape import Landscape
from support.projects import Project
from support.slurm import PROFILE, RESULTS, Cluster, running_cluster

OTHER = (*PROFILE, "--executor", "slurm", "--slurm-status-command", "squeue", "--slurm-logdir", "logs/slurm")
OTHER += ("--slurm-keep-successful-logs", "--slurm-init-seconds-before-status-checks", "5")
UNGROUPED = ("--group-components", "none=1")  # an option that cannot be empty takes the place of all sizes


def main() -> None:
    columns, rows = map(int, sys.argv[1:3] or (40, 25))
    with tempfile.TemporaryDirectory() as name, running_cluster(Path(name) / "slurm") as cluster:
        os.environ |= cluster.environment
        local, landscape = Project(Path(name) / "local"), Landscape(columns, rows, size=64)
        landscape.write(local.folder)
        local.write(landscape.config("auto") | {"results": "results"})
        projects = {way: Project(shutil.copytree(local.folder, Path(name) / way)) for way in sys.argv[3:] or SHIPPED}
        print("| way | tiles | seconds | tiles/s | SLURM jobs |\n|---|---|---|---|---|")
        told("one machine", local, lambda: finished(local, cores=2))
        for way, project in projects.items():
            if way in OTHERS and not find_spec("snakemake_executor_plugin_slurm"):
                print(f"{way}: skipped, snakemake-executor-plugin-slurm is not installed")
                continue
            told(way, project, partial((SHIPPED | OTHERS)[way], project, cluster))
            assert project.file_bytes(RESULTS) == local.file_bytes(RESULTS) != {}
            assert project.run_and_count() == Counter()


def told(way: str, project: Project, run: Callable[[], None]) -> None:
    """Run and print the table's row."""
    start = time.perf_counter()
    run()
    seconds, tiles, jobs = time.perf_counter() - start, len(project.ledger("many")), slurm_jobs(project)
    kinds = ", ".join(f"{count} {kind}" for kind, count in jobs.items())
    print(f"| {way} | {tiles} | {seconds:.0f} | {tiles / seconds:.2g} | {jobs.total()}: {kinds} |", flush=True)


def slurm_jobs(project: Project) -> Counter[str]:
    """How many SLURM jobs of each kind have run, from the logs that they leave."""
    folder = project.folder / "logs" / "slurm"
    logs = (path.relative_to(folder).parts[0] for path in sorted(folder.rglob("*.log")))
    return Counter(re.sub(r"^(segchips-|rule_|group_[a-z]+_)|-\d+\.log$", "", log) for log in logs)


def finished(project: Project, *arguments: str, cores: int = 1) -> None:
    result = project.run(*arguments, cores=cores)
    assert result.returncode == 0, result.stdout


def peace(project: Project, _: Cluster) -> None:
    finished(project, *PROFILE)


def trouble(project: Project, cluster: Cluster) -> None:
    """Run while somebody cancels a job of images and the node goes down and comes back; run again what that cost."""
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(project.run, *PROFILE, "--retries", "0", cores=1)
        cluster.command("scancel", running(cluster, run, "images", "image_portions"))
        running(cluster, run, "labels", "label_portions")
        cluster.kill_node()
        cluster.start_node()
        assert run.result().returncode == 1, "the cancelled job should be missed"
    finished(project, *PROFILE)


def running(cluster: Cluster, run: Future[CompletedProcess[str]], *names: str) -> str:
    """Wait until a job of one of these names runs; returns its number."""
    while not (jobs := [job for name in names for job in cluster.jobs(name, "RUNNING")]):
        assert not run.done(), run.result().stdout
        time.sleep(0.1)
    return jobs[0]


def other_plugin(*options: str) -> Callable[[Project, Cluster], None]:
    """A way with snakemake-executor-plugin-slurm, whose job steps forget where this cluster's configuration is."""

    def way(project: Project, cluster: Cluster) -> None:
        srun = cluster.folder / "bin" / "srun"
        srun.parent.mkdir(exist_ok=True)
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={cluster.folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
        srun.chmod(0o755)
        path = {"PATH": f"{srun.parent}:{os.environ['PATH']}"}
        finished(Project(project.folder, os.environ | path), *OTHER, *options)

    return way


SHIPPED = {"peace": peace, "trouble": trouble}
OTHERS = {
    "groups": other_plugin(),
    "jobs": other_plugin(*UNGROUPED),
    "arrays": other_plugin(*UNGROUPED, "--jobs", "1000", "--slurm-array-jobs", "all"),
}

if __name__ == "__main__":
    main()
