"""The workflow on a real SLURM cluster of one node; skipped where SLURM is not installed."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from cluster import MISSING, Cluster, running_cluster
from projects import REPOSITORY, Project

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"SLURM is not installed here: no {', '.join(MISSING)}")
PROFILE = str(REPOSITORY / "workflow" / "profiles" / "slurm")
SMALL = ("--group-components", "images=3", "labels=6", "tfrecords=6", "--seconds-between-status-checks", "1")
ONCE = ("--retries", "0")
RESULTS = "results/**/*.*"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture
def submit(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., CompletedProcess[str]]:
    """Run a project on the cluster."""
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    return lambda project, *arguments: project.run("--workflow-profile", PROFILE, *SMALL, *arguments, cores=1)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


def submitted(result: CompletedProcess[str], project: Project) -> Counter[str]:
    """SLURM's jobs by their names, from the logs that they leave."""
    ids = re.findall(r"external jobid '(\d+)'", result.stdout)
    logs = {path.stem.rpartition("-")[2]: path.stem for path in (project.folder / "logs" / "slurm").iterdir()}
    return Counter(logs[job].split("-")[1] for job in ids)


def job_in_state(cluster: Cluster, run: Future[CompletedProcess[str]], name: str, state: str) -> str:
    """The number of a job once it is in the state."""
    while not run.done():
        if jobs := cluster.command("squeue", "--noheader", f"--name=segchips-{name}", f"--states={state}", "--format=%i"):
            return jobs.split()[0]
        time.sleep(0.2)
    raise AssertionError(run.result().stdout)


def test_a_cluster_makes_the_same_bytes(sample_run: Project, fresh: Project, submit) -> None:
    result = submit(fresh)
    assert result.returncode == 0, result.stdout
    assert fresh.contents(RESULTS) == sample_run.contents(RESULTS) != {}
    assert submitted(result, fresh) == Counter(label_lock=1, images=2, labels=1, tfrecords=1, descriptors=1, report=1)
    assert fresh.made() == Counter()


def test_a_tile_that_fails_stops_no_other(sample_run: Project, project: Project, submit) -> None:
    scene = next(path for path in project.folder.glob("resources/sample/*/*/B08.tif"))
    whole = scene.read_bytes()
    before = project.contents(RESULTS)
    scene.write_bytes(whole[: len(whole) // 3])
    project.change("defaults.imagery.composite", "median")
    result = submit(project, *ONCE)
    assert result.returncode != 0
    print(result.stdout[-3000:])
    print([(row["tile"], row["state"], row["reason"]) for row in project.ledger()])
    print(len(list(project.results().glob("images/*.tif"))))


def test_a_job_cancelled_leaves_no_chip_of_an_earlier_config(
    project: Project, sample_run: Project, cluster: Cluster, submit, pool: ThreadPoolExecutor
) -> None:
    project.change("defaults.imagery.composite", "median")
    cluster.command("scontrol", "update", "PartitionName=main", "State=DOWN")
    run = pool.submit(submit, project, *ONCE)
    cluster.command("scancel", job_in_state(cluster, run, "images", "PENDING"))
    cluster.command("scontrol", "update", "PartitionName=main", "State=UP")
    assert run.result().returncode != 0
    states = Counter(row["state"] for row in project.ledger())
    assert states == Counter({"made": 3, "failed": 3})


def test_a_node_that_fails(sample_run: Project, fresh: Project, cluster: Cluster, submit, pool: ThreadPoolExecutor) -> None:
    run = pool.submit(submit, fresh)
    job_in_state(cluster, run, "images", "RUNNING")
    cluster.kill_node()
    time.sleep(1)
    cluster.start_node()
    result = run.result()
    assert result.returncode == 0, result.stdout
    assert fresh.contents(RESULTS) == sample_run.contents(RESULTS)
    assert fresh.made() == Counter()


def test_what_no_node_gives_is_said_and_not_waited_for(fresh: Project, submit) -> None:
    result = submit(fresh, *ONCE, "--set-resources", "label_lock:mem_mb=1000000")
    assert result.returncode != 0
    assert "SLURM will not run sbatch" in result.stdout and "--mem=1000000" in result.stdout
    result = submit(fresh, *ONCE, "--set-resources", "label_lock:runtime=100000")
    assert result.returncode != 0
    assert "asks for what it can never get (PartitionTimeLimit)" in result.stdout
