"""The workflow with snakemake-executor-plugin-slurm, as its users have it: their own profile, arrays included."""

import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml

from support.projects import Project
from support.slurm import RESULTS, needs_slurm

pytestmark = [needs_slurm, pytest.mark.slow]
Submit = Callable[..., CompletedProcess[str]]
PROFILE = {
    "executor": "slurm",
    "jobs": 4,
    "latency-wait": 30,
    "seconds-between-status-checks": 2,
    "slurm-init-seconds-before-status-checks": 2,
    "slurm-status-command": "squeue",  # there is no accounting
    "default-resources": {"slurm_partition": "main", "mem_mb": 500, "runtime": 10},
}


@pytest.fixture
def submit(cluster_environment: None, tmp_path: Path) -> Submit:
    """Run a project with a profile of a user's own."""

    def submit(project: Project, **settings: object) -> CompletedProcess[str]:
        profile = tmp_path / "profile"
        profile.mkdir(exist_ok=True)
        (profile / "config.yaml").write_text(yaml.safe_dump(PROFILE | settings))
        return project.run("--workflow-profile", "none", "--profile", str(profile), cores=2)

    return submit


def submitted(result: CompletedProcess[str]) -> int:
    """How many SLURM jobs a run has submitted; a task of an array counts as one."""
    return len(set(re.findall(r"SLURM jobid '?(\w+)", result.stdout)))


def test_the_jobs_of_a_group_share_one_process(sample_run: Project, fresh: Project, submit: Submit) -> None:
    result = submit(fresh, **{"group-components": ["images=3", "labels=6", "tfrecords=6"]})
    assert result.returncode == 0, result.stdout
    assert fresh.file_bytes(RESULTS) == sample_run.file_bytes(RESULTS) != {}
    assert fresh.run_and_count() == Counter()


def test_a_portion_is_a_job(sample_run: Project, fresh: Project, submit: Submit) -> None:
    fresh.write(fresh.config | {"tiles_per_job": 2})
    result = submit(fresh, **{"group-components": ["tfrecords=6"]})
    assert result.returncode == 0, result.stdout
    portions = len(list(fresh.results().glob(".portions/*/*.json")))
    assert portions < submitted(result) <= portions + 7
    assert fresh.file_bytes(RESULTS) == sample_run.file_bytes(RESULTS) != {}
    assert fresh.run_and_count() == Counter()


def test_arrays_make_the_same_bytes(project: Project, tmp_path: Path, submit: Submit) -> None:
    """Outputs of an earlier run are there; the first task's output has to survive the other tasks."""
    project.change("defaults.imagery.composite", "median")
    local = Project(Path(shutil.copytree(project.folder, tmp_path / "local")))
    assert local.run_and_count()["images"] == 6
    result = submit(project, **{"slurm-array-jobs": "all"})
    assert result.returncode == 0, result.stdout
    assert "Array job submission" in result.stdout, result.stdout
    assert project.file_bytes(RESULTS) == local.file_bytes(RESULTS) != {}
