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
    if fnmatch.fnmatch(str(target), os.environ["FULL_FOR"]):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source), None, str(target))
    replace(source, target, **options)
os.replace = fail
"""
RESULTS = "results/sample/**/*"
HISTORY = ("ledger.csv", "croissant.json")
"""Files that say where tiles have moved from, and so differ from those of a first run."""


def move_labels(project: Project) -> None:
    layer = geopandas.read_file(project.folder / "resources/sample/labels.gpkg")
    layer["geometry"] = [shapely.affinity.translate(shape, 60, 40) for shape in layer.geometry]
    layer.to_file(project.folder / "moved.gpkg")
    project.change("defaults.labels.path", "moved.gpkg")


def change_composite(project: Project) -> None:
    project.change("defaults.imagery.composite", "median")


def change_storage(project: Project) -> None:
    project.change("defaults.tfrecords.storage", "encoded")


CHANGES: dict[str, tuple[Callable[[Project], None], list[str]]] = {
    "labels": (
        move_labels,
        ["*/labels.parquet", "*/labels/*.tif", "*.tfrecord-*", "*.index-*.csv", "*.statistics-*.npz", "*/ledger.csv"],
    ),
    "composite": (
        change_composite,
        ["*/images/*3.tif", "*.tfrecord-*", "*/statistics.json", "*/ledger.csv", "*/audit.json", "*.made_from"],
    ),
    "storage": (
        change_storage,
        ["*.tfrecord-00000-*", "*/metadata.json", "*/ledger.csv", "*/README.md", "*/report/index.html"],
    ),
}
CHANGES["shards"] = (
    lambda project: project.change("defaults.tfrecords.shards", 3),
    ["*/tiles.parquet", "*/splits.parquet", "*.tfrecord-00001-*"],
)
QUICK = [("labels", "*.tfrecord-*")]
CASES = [(name, pattern) for name, (_, patterns) in CHANGES.items() for pattern in patterns]


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


@pytest.mark.parametrize(
    ("name", "pattern"),
    [pytest.param(*case, marks=[] if case in QUICK else pytest.mark.slow) for case in CASES],
)
def test_a_failed_write_leaves_nothing_that_is_out_of_date(
    project: Project, from_nothing: Callable[[str], dict[str, bytes]], name: str, pattern: str
) -> None:
    CHANGES[name][0](project)
    fault = project.folder / "fault"
    fault.mkdir()
    (fault / "sitecustomize.py").write_text(FULL_DISK)
    failing = Project(project.folder, os.environ | {"PYTHONPATH": str(fault), "FULL_FOR": pattern})
    result = failing.run()
    assert result.returncode != 0 and "No space left on device" in result.stdout, result.stdout
    again = project.run()
    assert again.returncode == 0, again.stdout
    files, right = project.file_bytes(RESULTS), from_nothing(name)
    different = [path for path in files if files[path] != right.get(path)]
    assert [path for path in different if name != "shards" or not path.endswith(HISTORY)] == []
    assert files.keys() == right.keys()
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
