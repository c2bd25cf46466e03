"""Runs in which a file cannot be written: the next run ends in the bytes of a run from nothing."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import geopandas
import pytest
import shapely

from support.full_disk import MESSAGE, with_full_disk
from support.projects import Project

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
INFO = ("*/tfrecords/features.json", "*/tfrecords/dataset_info.json", "*/metadata.json|*/statistics.json")
RECORDS_OF_LOCKS = "*/.scenes.parquet.made_from|*/.labels.parquet.made_from|*/.splits.parquet.made_from"
RECORDS_OF_SHARDS = ("*/tfrecords/.*0-of*.made_from", "*/.features.json.made_from")
LAST = (
    "*/ledger.csv|*/conflicts.parquet",
    "*/.ledger.csv.made_from|*/.conflicts.parquet.made_from",
    "*/audit.json|*/README.md|*/croissant.json",
    "*/.audit.json.made_from|*/map.txt|*/*.emd",
    "*/.README.md.made_from|*/report/index.html",
    "*/report/.index.html.made_from|*/stac/*",
)
FROM_SHARDS = (SHARDS, *RECORDS_OF_SHARDS, *INFO, *LAST)
FROM_LOCKS = (LOCKS, RECORDS_OF_LOCKS, CHIPS, *FROM_SHARDS)
FROM_TILES = ("*/tiles.parquet", "*/.tiles.parquet.made_from", *FROM_LOCKS)
CHANGES: dict[str, tuple[Callable[[Project], None], tuple[str, ...]]] = {
    "labels": (move_labels, FROM_LOCKS),
    "composite": (change_composite, (CHIPS, *FROM_SHARDS, "*.made_from")),
    "dates": (lambda project: project.change("defaults.imagery.end", "2023-06-30"), FROM_LOCKS),
    "storage": (lambda project: project.change("defaults.tfrecords.storage", "encoded"), FROM_SHARDS),
    "shards": (lambda project: project.change("defaults.tfrecords.shards", 3), FROM_TILES),
    "splits": (lambda project: project.change("defaults.splitting.seed", 7), FROM_TILES),
    "larger area": (lambda project: resize_area(project, 600), FROM_TILES),
    "coverage": (cover_a_part, FROM_LOCKS),
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
    for number, pattern in enumerate(patterns):
        result = with_full_disk(project, pattern).run()
        has_failed = result.returncode != 0 and MESSAGE in result.stdout
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
    assert with_full_disk(fresh, "*.tfrecord-*", plain).run().returncode != 0
    assert fresh.run().returncode == 0
    assert fresh.file_bytes(RESULTS) == from_nothing("labels")
