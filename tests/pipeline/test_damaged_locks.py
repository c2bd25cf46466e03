"""Damaged locks are made again, or end a run with a line that names them, in runs of both kinds."""

import pytest

from support.portions import files
from support.projects import Project

ARE_MADE_AGAIN = ("tiles", "labels")
"""Locks that hold nothing which only they know: scenes are pinned, and blocks of splits stay where they are."""


def damage_lock(project: Project, tiles_per_job: int, lock: str) -> None:
    project.change("tiles_per_job", tiles_per_job)
    path = project.results() / f"{lock}.parquet"
    path.write_bytes(path.read_bytes()[:300])


@pytest.mark.parametrize("tiles_per_job", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "lock", ["tiles", *(pytest.param(lock, marks=pytest.mark.slow) for lock in ("scenes", "labels", "splits"))]
)
def test_a_damaged_lock_is_made_again_or_named(project: Project, lock: str, tiles_per_job: int) -> None:
    before = files(project)
    damage_lock(project, tiles_per_job, lock)
    result = project.run()
    assert "Traceback" not in result.stdout
    if lock in ARE_MADE_AGAIN:
        assert result.returncode == 0 and files(project) == before
    else:
        assert result.returncode == 1 and f"{lock}.parquet: not a" in result.stdout
        assert "delete it and run again" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("lock", ["labels", "scenes", "splits"])
def test_a_damaged_lock_is_named_where_it_cannot_be_made_again(portions: Project, project: Project, lock: str) -> None:
    for each, tiles_per_job in ((portions, 2), (project, 1)):
        damage_lock(each, tiles_per_job, lock)
        result = each.run("--touch")
        assert result.returncode == 1 and f"{lock}.parquet: not a" in result.stdout
        assert "Traceback" not in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("lock", ["labels", "splits", "tiles"])
def test_all_output_is_deleted_whatever_its_locks_say(portions: Project, lock: str) -> None:
    damage_lock(portions, 2, lock)
    result = portions.run("--delete-all-output")
    assert result.returncode == 0, result.stdout
    assert not list(portions.folder.glob("results/**/*.tif")) and not (portions.results() / ".portions").exists()
