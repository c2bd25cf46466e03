"""Many tiles through a real SLURM node: in peace, then with a job cancelled and the node lost; beside a local run.

python tests/slurm/many.py [columns rows]      40 x 25 tiles unless named
"""

import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess

sys.path.insert(0, str(Path(__file__).parents[1]))

from cluster import Cluster, running_cluster

from projects import REPOSITORY, Project, sample_config
from segchips.sample import write_sample

PROFILE = ("--workflow-profile", str(REPOSITORY / "workflow" / "profiles" / "slurm"))
RESULTS = "results/**/*.*"


def main() -> None:
    columns, rows = map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (40, 25)
    with tempfile.TemporaryDirectory() as name, running_cluster(Path(name) / "slurm") as cluster:
        os.environ |= cluster.environment
        write_sample(Path(name) / "local" / "resources" / "sample", columns=columns, rows=rows)
        local = Project(Path(name) / "local")
        local.write(sample_config())
        calm, rough = (Project(shutil.copytree(local.folder, Path(name) / copy)) for copy in ("calm", "rough"))
        told("one machine", local, timed(local, "--workflow-profile", str(REPOSITORY / "workflow/profiles/default")))
        told("SLURM", calm, timed(calm, *PROFILE))
        told("SLURM, a job cancelled and the node lost", rough, with_trouble(rough, cluster))
        for project in (calm, rough):
            assert project.contents(RESULTS) == local.contents(RESULTS) != {}
            assert project.made() == Counter()


def timed(project: Project, *arguments: str) -> tuple[CompletedProcess[str], float]:
    start = time.perf_counter()
    return project.run(*arguments, cores=1 if arguments[:2] == PROFILE else 2), time.perf_counter() - start


def with_trouble(project: Project, cluster: Cluster) -> tuple[CompletedProcess[str], float]:
    """Run while somebody cancels a job of images and the node goes down and comes back; run again what that cost."""
    start = time.perf_counter()
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(project.run, *PROFILE, "--retries", "0", cores=1)
        while not (jobs := cluster.jobs("images", "RUNNING")):
            assert not run.done(), run.result().stdout
            time.sleep(0.1)
        cluster.command("scancel", jobs[0])
        while not cluster.jobs("labels", "RUNNING"):
            assert not run.done(), run.result().stdout
            time.sleep(0.1)
        cluster.kill_node()
        cluster.start_node()
        assert run.result().returncode == 1, "the cancelled job should be missed"
    again = project.run(*PROFILE, cores=1)
    again.stdout = run.result().stdout + again.stdout
    return again, time.perf_counter() - start


def told(what: str, project: Project, run: tuple[CompletedProcess[str], float]) -> None:
    result, seconds = run
    assert result.returncode == 0, result.stdout
    logs = [path.stem.split("-") for path in (project.folder / "logs" / "slurm").glob("*.log")]
    jobs = Counter(name for _, name, _ in logs)
    submitted = len(re.findall(r"with external jobid", result.stdout))
    print(f"{what}: {seconds:.0f} s, {submitted} SLURM jobs {dict(jobs)}", flush=True)


main()
