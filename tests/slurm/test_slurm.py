"""The workflow on a real SLURM cluster of one node; skipped where SLURM is not installed."""

import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from support.catalogues import write_json
from support.modules import outer_workflow
from support.projects import Project, kill_run
from support.range_server import RangeServer
from support.slurm import PROFILE, RESULTS, Cluster, needs_slurm

Submit = Callable[..., CompletedProcess[str]]
Running = Future[CompletedProcess[str]]

pytestmark = [needs_slurm, pytest.mark.slow]
SMALL = ("--group-components", "images=3", "labels=6", "tfrecords=6", "--seconds-between-status-checks", "1")
ONCE = ("--retries", "0")


@pytest.fixture
def submit(cluster_environment: None) -> Submit:
    """Run a project on the cluster, the tiles in two jobs."""
    return lambda project, *arguments: project.run(*PROFILE, *SMALL, *arguments, cores=1)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


def submitted(result: CompletedProcess[str], project: Project) -> Counter[str]:
    """How many SLURM jobs of each name a run has submitted, from the logs that they leave."""
    numbers = re.findall(r"with external jobid '(\d+)'", result.stdout)
    logs = [path.stem.split("-") for path in (project.folder / "logs" / "slurm").iterdir()]
    names = {number: name for _, name, number in logs}
    return Counter(names[number] for number in numbers)


def job_in_state(cluster: Cluster, run: Running, name: str, state: str) -> str:
    """The number of a job, once one is in the state."""
    while not run.done():
        if jobs := cluster.jobs(name, state):
            return jobs[0]
        time.sleep(0.1)
    raise AssertionError(run.result().stdout)


def test_a_cluster_makes_the_same_bytes_in_a_few_jobs(sample_run: Project, fresh: Project, submit: Submit) -> None:
    result = submit(fresh)
    assert result.returncode == 0, result.stdout
    assert submitted(result, fresh) == Counter(
        label_lock=1, conflicts=1, images=2, labels=1, tfrecords=1, descriptors=1, report=1
    )
    assert fresh.file_bytes(RESULTS) == sample_run.file_bytes(RESULTS) != {}
    assert fresh.run_and_count() == Counter()


def test_a_portion_is_a_job(sample_run: Project, fresh: Project, submit: Submit) -> None:
    fresh.write(fresh.config | {"tiles_per_job": 2})
    result = submit(fresh)
    assert result.returncode == 0, result.stdout
    portions = len(list(fresh.results().glob(".portions/images/*.json")))
    jobs = submitted(result, fresh)
    assert 1 < portions == jobs["image_portions"] == jobs["label_portions"] < 6 and jobs["images"] == 0
    assert fresh.file_bytes(RESULTS) == sample_run.file_bytes(RESULTS) != {}
    assert fresh.run_and_count() == Counter()


def test_a_cancelled_portion_goes_on_where_it_was(
    project: Project, tmp_path: Path, cluster: Cluster, submit: Submit, pool: ThreadPoolExecutor
) -> None:
    project.write(project.config | {"tiles_per_job": 1000})
    project.change("defaults.imagery.composite", "median")
    local = Project(Path(shutil.copytree(project.folder, tmp_path / "local")))
    assert local.run_and_count()["image_portions"] == 1
    before = project.file_bytes("results/*/images/*")
    run = pool.submit(submit, project, "--retries", "1")
    while not (done := {path for path, old in before.items() if chip_differs(project.folder / path, old)}):
        assert not run.done(), run.result().stdout
        time.sleep(0.05)
    times = {path: (project.folder / path).stat().st_mtime_ns for path in done}
    cluster.command("scancel", *cluster.jobs("image_portions", "RUNNING"))
    assert run.result().returncode == 0, run.result().stdout
    assert {path: (project.folder / path).stat().st_mtime_ns for path in done} == times
    assert project.file_bytes(RESULTS) == local.file_bytes(RESULTS) != {}


def chip_differs(path: Path, old: bytes) -> bool:
    """Whether a chip is there, and not the old one."""
    return path.exists() and path.read_bytes() != old


def test_a_module_takes_as_few_jobs(sample_run: Project, fresh: Project, cluster: Cluster, submit: Submit) -> None:
    outer_workflow(fresh, chips="")
    result = submit(fresh, "--set-resources", "chips_images:mem_mb=600")
    assert result.returncode == 0, result.stdout
    jobs = submitted(result, fresh)
    assert {name: jobs[name] for name in ("images", "labels", "tfrecords")} == {
        "images": 2,
        "labels": 1,
        "tfrecords": 1,
    }
    assert jobs.total() <= 9, jobs
    numbers = [path.stem.rpartition("-")[2] for path in (fresh.folder / "logs" / "slurm").glob("segchips-images-*")]
    assert all("mem=600M" in cluster.command("scontrol", "show", "job", number) for number in numbers)
    assert fresh.file_bytes("results/*/tfrecords/*") == sample_run.file_bytes("results/*/tfrecords/*") != {}


def add_scene_in_the_west(project: Project) -> Path:
    """One more scene, the first to be looked at, over some of the tiles; gives one of its bands."""
    folder = project.folder / "resources/sample/sample-l2a"
    model, name = next(folder.glob("*20230705*")), "sample_20230630T101029_r022"
    scene = shutil.copytree(model, folder / name)
    item = json.loads((scene / f"{model.name}.json").read_text())
    west, south, east, north = item["bbox"]
    east = west + 0.4 * (east - west)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    item |= {"id": name, "bbox": [west, south, east, north], "geometry": {"type": "Polygon", "coordinates": [ring]}}
    item["properties"]["datetime"] = "2023-06-30T10:10:29Z"
    write_json(scene / f"{name}.json", item)
    collection = json.loads((folder / "collection.json").read_text())
    collection["links"].append({"rel": "item", "href": f"./{name}/{name}.json", "type": "application/geo+json"})
    write_json(folder / "collection.json", collection)
    return scene / "B04.tif"


def test_a_tile_that_fails_stops_no_other_of_its_job(fresh: Project, tmp_path: Path, submit: Submit) -> None:
    band = add_scene_in_the_west(fresh)
    local = Project(Path(shutil.copytree(fresh.folder, tmp_path / "local")))
    assert local.run_and_count()["images"] == 6
    whole = band.read_bytes()
    band.write_bytes(whole[: len(whole) // 2])
    result = submit(fresh, *ONCE)
    assert result.returncode == 1
    assert "Traceback" not in result.stdout
    assert re.search(r"^SLURM job \d+ ended as FAILED: logs/slurm/segchips-images-\d+\.log$", result.stdout, re.M)
    failed = {row["tile"].replace(":", "#"): row["reason"] for row in fresh.ledger() if row["state"] == "failed"}
    made = fresh.file_bytes("results/*/images/*")
    assert 0 < len(failed) == 6 - len(made) < 6
    assert all("B04.tif: cannot be read" in reason for reason in failed.values())
    assert made.items() <= local.file_bytes("results/*/images/*").items()
    band.write_bytes(whole)
    assert fresh.run_and_count()["images"] == len(failed)
    assert fresh.file_bytes(RESULTS) == local.file_bytes(RESULTS)


def test_what_a_cancelled_job_did_not_make_is_not_there(
    project: Project, tmp_path: Path, cluster: Cluster, submit: Submit, pool: ThreadPoolExecutor
) -> None:
    project.change("defaults.imagery.composite", "median")
    local = Project(Path(shutil.copytree(project.folder, tmp_path / "local")))
    assert local.run_and_count()["images"] == 6
    cluster.command("scontrol", "update", "PartitionName=main", "State=DOWN")
    run = pool.submit(submit, project, *ONCE)
    cluster.command("scancel", job_in_state(cluster, run, "images", "PENDING"))
    cluster.command("scontrol", "update", "PartitionName=main", "State=UP")
    assert run.result().returncode == 1
    half = project.file_bytes("results/*/images/*")
    assert len(half) == 3 and half.items() <= local.file_bytes("results/*/images/*").items()
    assert project.run_and_count()["images"] == 3
    assert project.file_bytes(RESULTS) == local.file_bytes(RESULTS)


def test_requests_hold_across_jobs(fresh: Project, cluster: Cluster, submit: Submit) -> None:
    with RangeServer(fresh.folder / "resources" / "sample", latency=0.02) as server:
        fresh.change("defaults.imagery.catalog", f"{server.url}/catalog.json")
        fresh.write(fresh.config | {"requests": 1})
        result = submit(fresh)
        assert result.returncode == 0, result.stdout
        numbers = [path.stem.rpartition("-")[2] for path in (fresh.folder / "logs" / "slurm").glob("segchips-images-*")]
        (_, first_end), (second_start, _) = sorted(cluster.times(number) for number in numbers)
        assert first_end <= second_start
        assert server.most == 1 and any(path.endswith(".tif") for path, *_ in server.asked)


def test_what_no_node_can_give_is_said(fresh: Project, submit: Submit) -> None:
    result = submit(fresh, *ONCE, "--set-resources", "label_lock:mem_mb=1000000")
    assert result.returncode == 1
    assert "SLURM refuses sbatch" in result.stdout and "--mem=1000000" in result.stdout
    result = submit(fresh, *ONCE, "--set-resources", "label_lock:runtime=100000")
    assert result.returncode == 1
    # SLURM names the limit, or for a moment only the partition
    assert re.search(r"can never start \(Partition(TimeLimit|Config)\)", result.stdout), result.stdout


def test_jobs_wait_for_a_node_that_is_away_for_a_moment(
    fresh: Project, cluster: Cluster, submit: Submit, pool: ThreadPoolExecutor
) -> None:
    """`sbatch --test-only` takes that for a job that no node can ever run."""
    cluster.command("scontrol", "update", "NodeName=node", "State=DRAIN", "Reason=away")
    try:
        run = pool.submit(submit, fresh)
        job = job_in_state(cluster, run, "label_lock", "PENDING")
        reasons = set()
        for _ in range(20):
            reasons.add(re.search(r" Reason=(\S+)", cluster.command("scontrol", "--oneliner", "show", "job", job))[1])
            assert not run.done(), run.result().stdout
            time.sleep(1)
        assert reasons - {"None"}, reasons
    finally:
        cluster.command("scontrol", "update", "NodeName=node", "State=RESUME")
    assert run.result().returncode == 0, run.result().stdout


def test_jobs_of_a_node_that_fails_run_again(
    sample_run: Project, fresh: Project, cluster: Cluster, submit: Submit, pool: ThreadPoolExecutor
) -> None:
    run = pool.submit(submit, fresh)
    job_in_state(cluster, run, "images", "RUNNING")
    cluster.kill_node()
    cluster.start_node()
    assert run.result().returncode == 0, run.result().stdout
    assert fresh.file_bytes(RESULTS) == sample_run.file_bytes(RESULTS)
    assert fresh.run_and_count() == Counter()


def test_jobs_of_a_dead_run_write_nothing_into_the_next(
    project: Project, tmp_path: Path, cluster: Cluster, submit: Submit
) -> None:
    project.change("defaults.imagery.composite", "median")
    run = project.start(*PROFILE, *SMALL, cores=1)
    logs = project.folder / "logs" / "slurm"
    while not (begun := [log for log in logs.glob("*-images-*") if "Building DAG" in log.read_text()]):
        assert run.poll() is None, run.communicate()[0]
        time.sleep(0.02)
    orphan = begun[0].stem.rpartition("-")[2]
    cluster.command("scontrol", "suspend", orphan)
    kill_run(run)
    project.change("defaults.imagery.composite", "mean")
    local = Project(Path(shutil.copytree(project.folder, tmp_path / "local")))
    assert local.run_and_count()["images"] == 6
    result = submit(project)
    assert result.returncode == 0, result.stdout
    cluster.command("scontrol", "resume", orphan)
    while cluster.command("squeue", "--noheader"):
        time.sleep(0.1)
    assert project.file_bytes(RESULTS) == local.file_bytes(RESULTS) != {}
