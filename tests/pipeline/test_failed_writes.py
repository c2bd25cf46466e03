"""Runs in which a file cannot be written: the next run ends in the bytes of a run from nothing.

The failure is that of a full disk: `os.replace`, by which every file takes its place, fails for files of one pattern.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import geopandas
import pytest
import shapely

from support.projects import Project

FULL_DISK = """
import errno, fnmatch, os
replace = os.replace
def fail(source, target, **options):
    if any(fnmatch.fnmatch(str(target), pattern) for pattern in os.environ["FULL_FOR"].split("|")):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source), None, str(target))
    replace(source, target, **options)
os.replace = fail
"""
RESULTS = "results/**/*"
HISTORY = ("/ledger.csv", "/croissant.json")
"""Files that say where tiles have moved from, and so differ from those of a first run."""


def move_labels(project: Project) -> None:
    layer = geopandas.read_file(project.folder / "resources/sample/labels.gpkg")
    layer["geometry"] = [shapely.affinity.translate(shape, 60, 40) for shape in layer.geometry]
    layer.to_file(project.folder / "moved.gpkg")
    project.change("defaults.labels.path", "moved.gpkg")


def change_composite(project: Project) -> None:
    project.change("defaults.imagery.composite", "median")


def resize_area(project: Project, metres: float) -> None:
    area = geopandas.read_file(project.folder / "resources/sample/aoi.gpkg")
    area["geometry"] = area.to_crs(32633).buffer(metres, join_style="mitre").to_crs(area.crs)
    area.to_file(project.folder / "area.gpkg")
    project.change("defaults.tiles.aoi", "area.gpkg")


def cover_a_part(project: Project) -> None:
    area = geopandas.read_file(project.folder / "resources/sample/aoi.gpkg").to_crs(32633)
    west, south, east, north = area.total_bounds
    part = shapely.box(west - 900, south - 900, east - 800, north + 900)
    geopandas.GeoDataFrame(geometry=[part], crs=32633).to_file(project.folder / "seen.gpkg")
    project.change("defaults.labels.coverage", {"path": "seen.gpkg"})
    project.change("defaults.labels.unknown", 254)


LOCKS = "*/scenes.parquet|*/labels.parquet|*/splits.parquet"
CHIPS = "*/images/*3.tif|*/labels/*3.tif|*/images/*/*3.tif|*/labels/*/*3.tif|*/provenance/*3.tif"
SHARDS = "*-train.tfrecord-*|*-val.index-*|*-test.statistics-*"
LAST = ("*/ledger.csv", "*/audit.json|*/README.md|*/croissant.json", "*/report/index.html|*/stac/*")
CHANGES: dict[str, tuple[Callable[[Project], None], tuple[str, ...]]] = {
    "labels": (move_labels, (LOCKS, f"{CHIPS}|*/conflicts.parquet", SHARDS, "*/statistics.json", *LAST)),
    "composite": (change_composite, (CHIPS, SHARDS, "*/statistics.json", *LAST, "*.made_from")),
    "dates": (lambda project: project.change("defaults.imagery.end", "2023-06-30"), (LOCKS, CHIPS, SHARDS, *LAST)),
    "storage": (
        lambda project: project.change("defaults.tfrecords.storage", "encoded"),
        (SHARDS, "*/metadata.json", "*/ledger.csv", "*/README.md|*/report/index.html"),
    ),
    "shards": (
        lambda project: project.change("defaults.tfrecords.shards", 3),
        ("*/tiles.parquet", LOCKS, SHARDS, *LAST),
    ),
    "splits": (
        lambda project: project.change("defaults.splitting.seed", 7),
        ("*/tiles.parquet", LOCKS, SHARDS, *LAST),
    ),
    "larger area": (
        lambda project: resize_area(project, 600),
        ("*/tiles.parquet", LOCKS, f"{CHIPS}|*/conflicts.parquet", SHARDS, "*/statistics.json", *LAST),
    ),
    "coverage": (cover_a_part, ("*/labels.parquet", CHIPS, SHARDS, *LAST)),
}
"""What the user changes, and which writes fail then, in one run after another."""


@pytest.fixture(scope="module")
def from_nothing(sample_run: Project, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, bytes]]:
    """Returns the files of a first run with a change, each made once."""
    made: dict[str, dict[str, bytes]] = {}

    def files(name: str) -> dict[str, bytes]:
        if name not in made:
            folder = tmp_path_factory.mktemp("first")
            shutil.copytree(sample_run.folder / "resources", folder / "resources")
            shutil.copy(sample_run.folder / "config.yaml", folder)
            project = Project(folder)
            CHANGES[name][0](project)
            assert project.run().returncode == 0
            made[name] = project.file_bytes(RESULTS)
        return made[name]

    return files


CASES = [pytest.param(name, patterns, id=name, marks=pytest.mark.slow) for name, (_, patterns) in CHANGES.items()]


@pytest.mark.parametrize(("name", "patterns"), [pytest.param("labels", (SHARDS,), id="shards of labels"), *CASES])
def test_failed_writes_leave_nothing_that_is_out_of_date(
    project: Project, from_nothing: Callable[[str], dict[str, bytes]], name: str, patterns: tuple[str, ...]
) -> None:
    CHANGES[name][0](project)
    fault = project.folder / "fault"
    fault.mkdir()
    (fault / "sitecustomize.py").write_text(FULL_DISK)
    for number, pattern in enumerate(patterns):
        failing = Project(project.folder, os.environ | {"PYTHONPATH": str(fault), "FULL_FOR": pattern})
        result = failing.run()
        has_failed = result.returncode != 0 and "No space left on device" in result.stdout
        finished_before = number > 0 and result.returncode == 0  # what is the same as before the change is not written
        assert has_failed or finished_before, (pattern, result.stdout)
    again = project.run()
    assert again.returncode == 0, again.stdout
    files, right = project.file_bytes(RESULTS), from_nothing(name)
    history = HISTORY if name in ("shards", "splits") else ()
    assert [path for path in right if files.get(path) != right[path] and not path.endswith(history)] == []
    assert all("/images/" in path or "/labels/" in path for path in files.keys() - right.keys())
    assert "Nothing to be done" in project.run().stdout


def test_results_are_recognised_without_snakemakes_records(project: Project, tmp_path: Path) -> None:
    before = project.file_bytes(RESULTS)
    shutil.rmtree(project.folder / ".snakemake")
    assert "Nothing to be done" in project.run().stdout
    shutil.rmtree(project.folder / ".snakemake")
    shutil.move(project.folder / "results", project.folder / "elsewhere")
    shutil.copytree(project.folder / "elsewhere", project.folder / "results", copy_function=shutil.copyfile)
    assert project.run_and_count()["images"] == 0
    assert project.file_bytes(RESULTS) == before
    shutil.rmtree(project.folder / ".snakemake")
    chip = next(project.results().glob("images/*.tif"))
    chip.unlink()
    change_composite(project)
    planned = project.run("--dry-run").stdout
    assert "images" in planned and "params have changed since last execution" in planned.lower()
    made = project.run_and_count()
    assert (made["images"], made["labels"]) == (6, 0)
    assert chip.exists()


def test_snakemake_without_its_private_parts_makes_the_same(
    project: Project, fresh: Project, from_nothing: Callable[[str], dict[str, bytes]]
) -> None:
    plain = os.environ | {"SEGCHIPS_PLAIN_SNAKEMAKE": "all"}
    fresh.environment = plain
    first = fresh.run("--workflow-profile", "none")
    assert first.returncode == 0 and "is used without checkpoints, groups, " in first.stdout
    assert fresh.file_bytes(RESULTS) == project.file_bytes(RESULTS)
    move_labels(fresh)
    fault = fresh.folder / "fault"
    fault.mkdir()
    (fault / "sitecustomize.py").write_text(FULL_DISK)
    failing = Project(fresh.folder, plain | {"PYTHONPATH": str(fault), "FULL_FOR": "*.tfrecord-*"})
    assert failing.run().returncode != 0
    assert fresh.run().returncode == 0
    assert fresh.file_bytes(RESULTS) == from_nothing("labels")
