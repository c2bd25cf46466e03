"""Whatever happens to jobs, the node and the login node, the runs after it end in the bytes of a local run."""

import os
import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from segchips.sample.sample import write_sample
from support.projects import Project, kill_run, sample_config
from support.slurm import PROFILE, RESULTS, Cluster, needs_slurm

pytestmark = [needs_slurm, pytest.mark.slow]
SEED = int(os.environ.get("SEGCHIPS_SEED", "7"))
TROUBLES = int(os.environ.get("SEGCHIPS_TROUBLES", "2"))
COLUMNS, ROWS = map(int, os.environ.get("SEGCHIPS_TILES", "4x3").split("x"))
GROUPS = (
    "--group-components",
    *(f"{name}={max(3, COLUMNS * ROWS // 8)}" for name in ("images", "labels", "tfrecords")),
)

Run = subprocess.Popen[str]
Trouble = Callable[[Run, Cluster, random.Random], bool]


def cancel_a_job(_: Run, cluster: Cluster, draws: random.Random) -> bool:
    running = cluster.command("squeue", "--noheader", "--states=RUNNING", "--format=%i").split()
    if running:
        cluster.command("scancel", draws.choice(running))
    return bool(running)


def lose_the_node(_: Run, cluster: Cluster, draws: random.Random) -> bool:
    cluster.kill_node()
    time.sleep(draws.uniform(0, 10))
    cluster.start_node()
    return True


def lose_the_login_node(run: Run, cluster: Cluster, _: random.Random) -> bool:
    kill_run(run)
    return True


@pytest.fixture
def local(tmp_path: Path) -> Project:
    """A finished run on this machine."""
    project = Project(tmp_path / "local")
    write_sample(project.folder / "resources" / "sample", columns=COLUMNS, rows=ROWS)
    project.write(sample_config())
    result = project.run()
    assert result.returncode == 0, result.stdout
    return project


@pytest.mark.usefixtures("cluster_environment")
def test_random_trouble_costs_no_byte(local: Project, tmp_path: Path, cluster: Cluster) -> None:
    project = Project(tmp_path / "project")
    shutil.copytree(local.folder / "resources", project.folder / "resources")
    shutil.copy(local.folder / "config.yaml", project.folder)
    draws, happened = random.Random(SEED), Counter[str]()
    while happened.total() < TROUBLES:
        with (project.folder / "run.log").open("a") as log:
            run = project.start(*PROFILE, *GROUPS, cores=1, output=log)
            suffer(run, project, cluster, draws, happened)
        if run.wait() == 0:
            assert project.file_bytes(RESULTS) == local.file_bytes(RESULTS), happened
            shutil.rmtree(project.folder / "results")
    result = project.run(*PROFILE, *GROUPS, cores=1)
    assert result.returncode == 0, result.stdout
    assert project.file_bytes(RESULTS) == local.file_bytes(RESULTS) != {}, happened
    assert project.run_and_count() == Counter()
    print(dict(happened))


def suffer(run: Run, project: Project, cluster: Cluster, draws: random.Random, happened: Counter[str]) -> None:
    """Let random things happen, some SLURM jobs apart, until the run ends or enough has happened."""
    while run.poll() is None and happened.total() < TROUBLES:
        jobs = begun(project) + draws.randint(0, 4)
        while run.poll() is None and begun(project) < jobs:
            time.sleep(0.1)
        time.sleep(draws.uniform(0, 8))
        trouble: Trouble = draws.choice((cancel_a_job, lose_the_node, lose_the_login_node))
        if run.poll() is None and trouble(run, cluster, draws):
            happened[trouble.__name__] += 1


def begun(project: Project) -> int:
    """How many SLURM jobs have begun."""
    return len(list((project.folder / "logs" / "slurm").glob("*.log")))
