"""What happens at random to a dataset leaves the same bytes in portions, tile by tile, and in a run from nothing."""

import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import pytest
import shapely

from support.portions import damage, files
from support.projects import Project, kill_run

ROUNDS, DRAWN = 4, 3
"""Runs that are compared, and how much happens before each."""
ABSENT = object()
"""Stands for a key that the config does not have."""
KEYS: dict[str, list[Any]] = {
    "imagery.composite": ["closest", "median", "mean"],
    "imagery.end": ["2023-06-30", "2023-12-31"],
    "imagery.min_valid": [0.0, 0.97],
    "imagery.on_failure": ["fail", "exclude", "exclude", "skip_scene"],
    "imagery.periods": [ABSENT, {"every": "3 months"}],
    "imagery.provenance": [False, True],
    "imagery.reference_date": ["2023-02-08", "2023-07-01"],
    "labels.all_touched": [True, False],
    "splitting.seed": [4, 5, 6],
    "tfrecords.shards": [1, 2, 3],
    "tfrecords.storage": ["array", "encoded"],
}
Act = Callable[[Project, random.Random], None]


def change_key(project: Project, draws: random.Random) -> None:
    block, _, key = (name := draws.choice(sorted(KEYS))).partition(".")
    config, value = project.config, draws.choice(KEYS[name])
    if value is ABSENT:
        config["defaults"][block].pop(key, None)
    else:
        config["defaults"][block][key] = value
    project.write(config)


def change_portions(project: Project, draws: random.Random) -> None:
    if project.config["tiles_per_job"] != 1:
        project.change("tiles_per_job", draws.choice([2, 3, 1000]))


def move_a_polygon(project: Project, draws: random.Random) -> None:
    layer = geopandas.read_file(project.folder / project.config["defaults"]["labels"]["path"])
    number = draws.randrange(len(layer))
    moved = shapely.affinity.translate(layer.geometry[number], draws.uniform(-2e-3, 2e-3), draws.uniform(-2e-3, 2e-3))
    layer.loc[number, "geometry"] = moved
    layer.to_file(project.folder / "moved.gpkg")
    project.change("defaults.labels.path", "moved.gpkg")


def resize_area(project: Project, draws: random.Random) -> None:
    area = geopandas.read_file(project.folder / "resources/sample/aoi.gpkg")
    metres = draws.choice([-400, 0, 600])
    area["geometry"] = area.to_crs(32633).buffer(metres, join_style="mitre").to_crs(area.crs)
    area.to_file(project.folder / "area.gpkg")
    project.change("defaults.tiles.aoi", "area.gpkg")


def spoil_a_result(project: Project, draws: random.Random) -> None:
    """Delete a chip, shard or other result, or have a chip or shard cut, or replaced by another one of old."""
    names = [name for name in sorted(files(project)) if "stac/items" not in name]
    checked = [name for name in names if name.endswith(".tif") or "tfrecord-" in name]
    path = project.folder / draws.choice(draws.choice([checked, names]))
    how, other = draws.choice(["deleted", "cut", "replaced"]), project.folder / draws.choice(checked)
    if how == "deleted" or str(path.relative_to(project.folder)) not in checked:
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif path != other:
        shutil.copyfile(other, path)
        os.utime(path, (1e9, 1e9))


def lose_records(project: Project, draws: random.Random) -> None:
    """Delete what Snakemake has recorded, or what is known of a portion, or of all."""
    lost, some = draws.choice(["snakemake", "one", "all"]), sorted(project.results().glob(".portions/*/*#*"))
    if lost == "snakemake":
        shutil.rmtree(project.folder / ".snakemake", ignore_errors=True)
    for path in {"snakemake": [], "one": some[:1], "all": some}[lost]:
        path.unlink()


ACTS: list[Act] = [
    change_key,
    change_key,
    change_key,
    change_portions,
    spoil_a_result,
    move_a_polygon,
    resize_area,
    lose_records,
]


def run_a_while(project: Project, seconds: float) -> None:
    run = project.start(output=subprocess.DEVNULL)
    try:
        run.wait(seconds)
    except subprocess.TimeoutExpired:
        kill_run(run)


def files_without_moves(project: Project) -> dict[str, bytes]:
    """The results, with a ledger that does not say where tiles have moved from, and without what holds its checksum."""
    return {
        name: re.sub(rb",moved from [^,]+,", b",,", text) if name.endswith("ledger.csv") else text
        for name, text in files(project).items()
        if not name.endswith("croissant.json")
    }


def run(projects: list[Project], what: str, has_killed: bool = False) -> None:
    """Run both, in which the same tiles fail, and compare them.

    A killed run may have ended before its kill in one of them alone, which then has another ledger to compare with.
    """
    results = [project.run() for project in projects]
    said = "\n".join([what, *(result.stdout for result in results)])
    assert "Traceback" not in said, said
    assert results[0].returncode == results[1].returncode, said
    failed = [[row["tile"] for row in project.ledger() if row["state"] == "failed"] for project in projects]
    assert failed[0] == failed[1] and (failed[0] or results[0].returncode == 0), said
    one, other = map(files_without_moves if has_killed else files, projects)
    if failed[0]:  # in portions, no shard is written then
        one, other = ({name: text for name, text in each.items() if name.endswith(".tif")} for each in (one, other))
    assert [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)] == [], said


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 3])
def test_random_changes_leave_the_same_bytes(project: Project, portions: Project, tmp_path: Path, seed: int) -> None:
    draws, both, done, has_killed = random.Random(seed), [project, portions], list[str](), False
    project.change("tiles_per_job", 1)
    for _ in range(ROUNDS):
        for _ in range(draws.randint(1, DRAWN)):
            act, number = draws.choice(ACTS), draws.random()
            for each in both:
                act(each, random.Random(number))
            done.append(f"{act.__name__} {number}")
        mends = [damage(each) for each in both] if draws.random() < 0.4 else []
        seconds = draws.uniform(1, 10) if draws.random() < 0.5 else 0
        done += ["damaged" for _ in mends[:1]] + [f"killed after {seconds} s" for _ in range(seconds > 0)]
        for each in both if seconds else ():
            run_a_while(each, seconds)
        has_killed |= seconds > 0
        run(both, f"seed {seed}: {done}", has_killed)
        for mend in mends:
            mend()
    for each in both:
        (each.results() / "ledger.csv").unlink(missing_ok=True)  # it says where tiles have moved from
    run(both, f"seed {seed}: {done}, and mended")
    clean = Project(tmp_path / "clean")
    shutil.copytree(portions.folder, clean.folder, ignore=shutil.ignore_patterns("results", ".snakemake", "logs"))
    assert (result := clean.run()).returncode == 0, result.stdout
    for each in (*both, clean):
        assert (result := each.run("prune")).returncode == 0, result.stdout
    here, there = files(portions), files(clean)
    assert [name for name in here.keys() | there.keys() if here.get(name) != there.get(name)] == [], done
