import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import rasterio

from support.projects import REPOSITORY, Project, chips_and_shards


def test_every_tile_is_made_and_in_the_ledger(sample_run: Project) -> None:
    rows = sample_run.ledger()
    assert len(rows) == len({row["tile"] for row in rows}) == 6
    assert {row["state"] for row in rows} == {"made"}
    for row in rows:
        name = row["tile"].replace(":", "#")
        with rasterio.open(sample_run.results() / "images" / f"{name}.tif") as image:
            pixels, grid = image.read(), (image.crs, image.transform, image.shape)
            assert (image.count, image.dtypes[0], image.nodata) == (4, "uint16", 0)
            assert image.descriptions == ("B04", "B03", "B02", "B08")
            assert float(row["valid"]) == (pixels != 0).all(axis=0).mean()
        with rasterio.open(sample_run.results() / "labels" / f"{name}.tif") as label:
            assert (label.crs, label.transform, label.shape) == grid
            assert (label.count, label.dtypes[0], label.nodata) == (1, "uint8", 255)
            assert np.unique(label.read()).size > 1


def test_a_second_run_has_nothing_to_do(project: Project) -> None:
    before = project.file_bytes("results/**/*.*")
    assert project.run_and_count() == Counter()
    assert project.file_bytes("results/**/*.*") == before


def test_two_runs_make_the_same_bytes(sample_run: Project, fresh: Project) -> None:
    assert fresh.run(cores=1).returncode == 0
    for pattern in (
        "results/*/images/*",
        "results/*/labels/*",
        "results/*/tfrecords/*",
        "results/*/*.*",
        "results/*/report/*",
        "results/*/stac/**/*.json",
    ):
        assert fresh.file_bytes(pattern) == sample_run.file_bytes(pattern) != {}


def test_a_deleted_chip_is_made_again_with_its_shard(project: Project) -> None:
    before = project.file_bytes("results/**/*.tif")
    chip = next(project.results().glob("images/*.tif"))
    chip.unlink()
    assert chips_and_shards(project.run_and_count()) == {"images": 1, "tfrecords": 1}
    assert project.file_bytes("results/**/*.tif") == before


def test_a_deleted_shard_is_made_again(project: Project) -> None:
    deleted_and_made_again(project, next((project.results() / "tfrecords").glob("*.tfrecord-*")))


@pytest.mark.slow
def test_every_deleted_result_is_made_again(project: Project) -> None:
    kinds = {re.sub("[0-9]+|train|val|test", "", path): path for path in project.file_bytes("results/*/**/*")}
    assert len(kinds) > 20
    for path in kinds.values():
        if "/stac/items/" not in path:  # written with the collection, and no results by themselves
            deleted_and_made_again(project, project.folder / path)


def deleted_and_made_again(project: Project, path: Path) -> None:
    before = project.file_bytes("results/**/*")
    path.unlink()
    assert project.run().returncode == 0
    assert project.file_bytes("results/**/*") == before, path


@pytest.mark.slow
def test_the_ledger_of_a_failed_run_is_not_taken_for_a_changed_file(project: Project) -> None:
    scene = next(project.folder.glob("resources/sample/sample-l2a/*20230705*/B04.tif"))
    content = scene.read_bytes()
    scene.write_bytes(content[: len(content) // 2])
    project.change("defaults.imagery.composite", "median")
    assert project.run().returncode == 1
    scene.write_bytes(content)
    result = project.run()
    assert result.returncode == 0 and "not the file that was made" not in result.stdout


@pytest.mark.slow
def test_an_unrelated_key_remakes_nothing(project: Project) -> None:
    project.change("datasets.other", {"tiles": {"size": 128}})
    assert project.run_and_count("results/sample/ledger.csv") == Counter()


@pytest.mark.parametrize(
    ("kind", "damages"),
    [
        ("labels", ["retouched"]),
        pytest.param("images", ["truncated", "empty", "swapped", "retouched"], marks=pytest.mark.slow),
        pytest.param("labels", ["truncated", "empty", "swapped"], marks=pytest.mark.slow),
    ],
)
def test_a_damaged_chip_is_made_again_with_its_shard(project: Project, kind: str, damages: list[str]) -> None:
    before = project.file_bytes("results/**/*.tif")
    chip, other = sorted(project.results().glob(f"{kind}/*.tif"))[:2]
    contents = {
        "truncated": chip.read_bytes()[:-50],
        "empty": b"",
        "swapped": other.read_bytes(),
        "retouched": retouched(chip),
    }
    for damaged in (contents[damage] for damage in damages):
        chip.write_bytes(damaged)
        planned = " ".join(project.run("--dry-run").stdout.split())
        assert f"{chip.name} is not the file that was made" in planned
        assert f"params have changed since last execution: {kind}" in planned
        assert chips_and_shards(project.run_and_count()) == {kind: 1, "tfrecords": 1}
        assert project.file_bytes("results/**/*.tif") == before
        assert project.run_and_count() == Counter()


def retouched(path: Path) -> bytes:
    """The chip with one pixel changed, as another program would save it."""
    with rasterio.open(path) as chip:
        pixels, profile, tags = chip.read(), chip.profile, chip.tags()
    pixels[0, 3, 4] += 1
    with rasterio.MemoryFile() as memory:
        with memory.open(**profile) as copy:
            copy.write(pixels)
            copy.update_tags(**tags)
        return bytes(memory.read())


def test_touched_and_copied_results_are_left_alone(project: Project) -> None:
    for path in (*project.folder.glob("resources/**/*.*"), *project.results().glob("**/*.tif")):
        path.touch()
    assert project.run_and_count() == Counter()
    copy = Project(project.folder.with_name("copy"))
    shutil.copytree(project.folder, copy.folder, copy_function=shutil.copyfile)
    assert copy.run_and_count() == Counter()


@pytest.mark.parametrize(
    ("module", "old", "new", "made"),
    [
        ("chips/composite", "valid.copy()", "valid | False", {"images": 6, "labels": 0}),
        pytest.param(
            "labels/chip", "pixels[None]", "pixels[None, :]", {"images": 0, "labels": 6}, marks=pytest.mark.slow
        ),
        pytest.param("chips/composite", '"""', '"""Edited. ', {}, marks=pytest.mark.slow),
    ],
)
def test_changed_code_remakes_what_depends_on_it(
    project: Project, module: str, old: str, new: str, made: dict[str, int]
) -> None:
    chips = project.chip_contents("results/**/*.tif")
    project.workflow = project.folder / "release" / "workflow"
    shutil.copytree(REPOSITORY / "workflow", project.workflow, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "environment.yml", project.workflow.parent)
    assert project.run_and_count() == Counter()
    path = project.workflow / "scripts" / "segchips" / f"{module}.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    jobs = project.run_and_count()
    assert {rule: jobs[rule] for rule in made} == made
    assert bool(jobs) == bool(made)
    assert project.chip_contents("results/**/*.tif") == chips
