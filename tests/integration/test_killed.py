"""A run killed at any moment is taken up by the next without unlocking, and ends in the bytes of an undisturbed one."""

import os
import random
import shutil
import signal
import time
from pathlib import Path

import psutil
import pytest

from segchips.sample.sample import write_sample
from support.projects import Project, kill_run, sample_config

SEED = 7
KILLS = int(os.environ.get("SEGCHIPS_KILLS", "2"))
COLUMNS, ROWS = map(int, os.environ.get("SEGCHIPS_TILES", "4x3").split("x"))


def results(project: Project) -> dict[str, bytes]:
    """Every file below the results with its bytes; of hidden ones, which hold times, the names.

    How long jobs take is left out: a run that ends is needed for that, and many jobs in it.
    """
    folder = project.folder / "results"
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".job_seconds.json")
    return {str(path.relative_to(folder)): b"" if path.name[0] == "." else path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, float]:
    """A finished run of some tiles, and how long it took; not to be changed."""
    project = Project(tmp_path_factory.mktemp("undisturbed"))
    write_sample(project.folder / "resources" / "sample", columns=COLUMNS, rows=ROWS)
    project.write(sample_config())
    began = time.monotonic()
    result = project.run()
    assert result.returncode == 0, result.stdout
    return project, time.monotonic() - began


@pytest.fixture
def again(undisturbed: tuple[Project, float], tmp_path: Path) -> Project:
    """The same project without results."""
    shutil.copytree(undisturbed[0].folder / "resources", tmp_path / "again" / "resources")
    shutil.copy(undisturbed[0].folder / "config.yaml", tmp_path / "again")
    return Project(tmp_path / "again")


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_in_the_same_bytes(undisturbed: tuple[Project, float], again: Project) -> None:
    draws, (whole, seconds) = random.Random(SEED), undisturbed
    kills = finished = 0
    while kills < KILLS:
        with (again.folder / "run.log").open("w") as log:
            process = again.start(output=log)
            time.sleep(draws.uniform(1, max(2, seconds * min(0.9, 0.4 + 4 / KILLS))))
            if process.poll() is None:
                kill_run(process)
                kills += 1
            else:
                assert process.returncode == 0, (again.folder / "run.log").read_text()
                finished += 1
                shutil.rmtree(again.folder / "results")
    result = again.run()
    assert result.returncode == 0, result.stdout
    assert results(again) == results(whole), f"after {kills} kills and {finished} runs from nothing"


def test_the_second_of_two_runs_at_once_does_nothing(fresh: Project) -> None:
    first = fresh.start()
    lock = fresh.folder / "results" / ".lock"
    while first.poll() is None and not (lock.exists() and lock.read_text()):
        time.sleep(0.05)
    first.send_signal(signal.SIGSTOP)
    children = psutil.Process(first.pid).children(recursive=True)
    for child in children:
        child.suspend()
    before = results(fresh)
    elsewhere = Project(fresh.folder.parent / "elsewhere")
    shutil.copytree(fresh.folder / "resources", elsewhere.folder / "resources")
    elsewhere.write(fresh.config | {"results": str(fresh.folder / "results")})
    try:
        for second in (fresh, elsewhere):
            result = second.run()
            assert result.returncode == 1
            assert "another run is at work" in result.stdout and f"process {first.pid} on" in result.stdout
            assert "Traceback" not in result.stdout
            assert results(fresh) == before
    finally:
        for each in (*children, first):
            each.send_signal(signal.SIGCONT)
    output = first.communicate()[0]
    assert first.returncode == 0, output
