"""Tiles that fail: a run in portions tells of them, leaves them out and tries them again as one by tiles."""

import shutil
from pathlib import Path

import pytest

from support.portions import chips, damage, files, made
from support.projects import Project

slow = pytest.mark.slow


def test_tiles_that_fail_are_told_and_made_in_the_next_run(portions: Project, project: Project) -> None:
    """Splits change at the same time: the ledgers of the failed and of the next run say where tiles have moved from."""
    before, mends = places(project), []
    for each in (portions, project):
        each.change("defaults.imagery.composite", "median")
        each.change("defaults.splitting.seed", 5)
        mends.append(damage(each))
        result = each.run()
        assert result.returncode == 1 and "Traceback" not in result.stdout, result.stdout
        for row in each.ledger():
            shard = f"sample-{row['split']}.index-{int(row['shard']):05d}-of-*.csv"
            (index,) = each.results().glob(f"tfrecords/{shard}")
            if row["state"] != "failed":
                is_made = row["tile"] in index.read_text()
                assert row["state"] == ("made" if is_made else "unfinished")
                assert row["reason"] == (move(row, before) if is_made else "not sharded yet; run again")
    failed = {tile for tile, state in states(portions).items() if state == "failed"}
    assert failed == {tile for tile, state in states(project).items() if state == "failed"}
    assert 0 < len(failed) < len(before)
    assert set(chips(portions)) == set(chips(project))
    for mend in mends:
        mend()
    assert made(portions) == made(project) == {path for path in chips(project) if is_of(path, failed)}
    assert files(portions) == files(project)
    assert [row["reason"] for row in project.ledger()] == [move(row, before) for row in project.ledger()]
    assert places(project) != before


def places(project: Project) -> dict[str, tuple[str, str]]:
    return {row["tile"]: (row["split"], row["shard"]) for row in project.ledger()}


def move(row: dict[str, str], before: dict[str, tuple[str, str]]) -> str:
    split, shard = before[row["tile"]]
    return "" if (split, shard) == (row["split"], row["shard"]) else f"moved from {split}/{shard}"


def is_of(chip: str, keys: set[str]) -> bool:
    return "/images/" in chip and Path(chip).stem.replace("#", ":") in keys


@slow
@pytest.mark.parametrize("mode", ["project", "portions"])
def test_a_failed_run_forgets_no_former_moves(request: pytest.FixtureRequest, mode: str) -> None:
    project: Project = request.getfixturevalue(mode)
    project.change("defaults.splitting.seed", 5)
    made(project)
    whole = project.ledger()
    assert any(row["reason"].startswith("moved from") for row in whole)
    mend = damage(project)
    for chip in project.results().glob("images/*.tif"):
        chip.unlink()
    assert project.run().returncode == 1
    assert "failed" in states(project).values()
    for before, row in zip(whole, project.ledger(), strict=True):
        assert row == before or row["state"] == "failed"
    mend()
    made(project)
    assert project.ledger() == whole


@slow
@pytest.mark.parametrize("then", ["skip_scene", "fail"])
def test_chips_that_lack_a_scene_are_made_again(project: Project, portions: Project, then: str) -> None:
    mends = []
    for each in (project, portions):
        each.change("defaults.imagery.composite", "median")
        each.change("defaults.imagery.on_failure", "skip_scene")
        mends.append(damage(each))
        assert each.run().returncode == each.run("--touch").returncode == 0
    lacking = {row["tile"] for row in project.ledger() if "cannot be read" in row["reason"]}
    damaged = files(project)
    assert files(portions) == damaged
    for each, mend in zip((project, portions), mends, strict=True):
        assert made(each) == set()
        each.change("defaults.imagery.on_failure", then)
        mend()
        assert made(each) == {path for path in chips(project) if is_of(path, lacking)} != set()
        assert made(each) == set()
    assert files(portions) == files(project) != damaged


@slow
def test_chips_that_lack_fewer_scenes_than_before_are_in_the_shards(project: Project, portions: Project) -> None:
    mends = []
    for each in (project, portions):
        each.change("defaults.imagery.composite", "median")
        each.change("defaults.imagery.on_failure", "skip_scene")
        mends.append([damage(each, scene) for scene in range(8)])
        made(each)
    lacking = [row["reason"] for row in project.ledger()]
    for step in range(0, 8, 2):
        for mend in mends:
            mend[step](), mend[step + 1]()
        assert made(portions) == made(project)
        assert files(portions) == files(project)
        assert made(portions) == set()
    assert [row["reason"] for row in project.ledger()] != lacking


@slow
def test_tiles_that_lack_a_scene_may_come_to_another_portion(project: Project, portions: Project) -> None:
    portions.change("tiles_per_job", 1000)
    mends = []
    for each in (project, portions):
        each.change("defaults.imagery.composite", "median")
        each.change("defaults.imagery.on_failure", "skip_scene")
        mends.append(damage(each))
        made(each)
    portions.change("tiles_per_job", 2)
    assert made(portions) == set()
    for mend in mends:
        mend()
    assert made(portions) == made(project) != set()
    assert files(portions) == files(project)
    assert made(portions) == set()


@slow
def test_a_chip_lacks_a_scene_whether_or_not_logs_are_kept(project: Project, sample_run: Project) -> None:
    project.change("defaults.imagery.on_failure", "skip_scene")
    mend = damage(project)
    for chip in project.results().glob("images/*.tif"):
        chip.unlink()
    made(project)
    shutil.rmtree(project.folder / "logs")
    project.change("defaults.imagery.on_failure", "fail")
    mend()
    assert len(made(project)) == 1
    assert files(project) == files(sample_run)


def states(project: Project) -> dict[str, str]:
    return {row["tile"]: row["state"] for row in project.ledger()}


def test_excluded_tiles_are_left_out_and_made_once_they_can_be(project: Project, portions: Project) -> None:
    mends = []
    for each in (project, portions):
        each.change("defaults.imagery.composite", "median")
        each.change("defaults.imagery.on_failure", "exclude")
        mends.append(damage(each))
    whole = chips(project).keys()
    assert made(project) == made(portions)
    excluded = {tile for tile, state in states(project).items() if state == "excluded"}
    assert 0 < len(excluded) < len(states(project))
    assert chips(portions).keys() == {path for path in whole if not is_of(path, excluded)}
    without = files(project)
    assert files(portions) == without
    assert made(project) == made(portions) == set()
    assert files(project) == files(portions) == without
    for mend in mends:
        mend()
    assert made(project) == made(portions) == {path for path in whole if is_of(path, excluded)}
    assert set(states(portions).values()) == {"made"}
    assert files(portions) == files(project) != without
    assert all("Nothing to be done" in each.run().stdout for each in (project, portions))
