"""Files that cannot be written by rules that run on request, and by conversions: the next run mends what is left."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from support.chips import write_png_pairs
from support.full_disk import MESSAGE, with_full_disk
from support.projects import REPOSITORY, Project

RESULTS = "results/**/*"
slow = pytest.mark.slow


def cases(quick: str, *others: str) -> list[object]:
    """Patterns of files, of which one is tried with every test."""
    return [pytest.param(quick, id=quick), *(pytest.param(one, id=one, marks=slow) for one in others)]


def fail(project: Project, patterns: str, *arguments: str) -> None:
    result = with_full_disk(project, patterns).run(*arguments)
    assert result.returncode != 0 and MESSAGE in result.stdout, result.stdout


def from_nothing(project: Project, folder: Path) -> dict[str, bytes]:
    """The results of a first run with the project's config and data."""
    shutil.copytree(project.folder, folder, ignore=shutil.ignore_patterns("results", "logs", ".snakemake", "fault"))
    first = Project(folder)
    assert first.run().returncode == 0
    return first.file_bytes(RESULTS)


def leave_a_scene_out(project: Project) -> None:
    """Take the newest scene out of the catalogue, as a search of it finds then."""
    collection = project.folder / "resources/sample/sample-l2a/collection.json"
    content = json.loads(collection.read_text())
    scene = next(link for link in content["links"] if "20230705" in link["href"])
    content["links"].remove(scene)
    collection.write_text(json.dumps(content))


@slow
@pytest.mark.parametrize("then", ["", "resolve"])
@pytest.mark.parametrize("patterns", ["*/.scenes.parquet.made_from", "*/scenes.parquet"])
def test_resolve(project: Project, tmp_path: Path, patterns: str, then: str) -> None:
    before = project.file_bytes(RESULTS)
    leave_a_scene_out(project)
    fail(project, patterns, "resolve")
    if then:
        assert project.run(then).returncode == 0
    assert project.run().returncode == 0
    is_resolved = then or "made_from" in patterns
    right = from_nothing(project, tmp_path / "first") if is_resolved else before
    assert project.file_bytes(RESULTS) == right
    assert "Nothing to be done" in project.run().stdout


@pytest.mark.parametrize("patterns", cases("*/plan.json", "*/.plan.json.made_from", "*/plan.log"))
def test_plan(project: Project, patterns: str) -> None:
    assert project.run("plan").returncode == 0
    project.change("defaults.imagery.end", "2023-06-30")
    fail(project, patterns, "plan")
    assert project.run("plan").returncode == 0
    written = project.results() / "plan.json", project.folder / "logs/plan.log"
    plans = [path.read_bytes() for path in written]
    written[0].unlink()
    assert project.run("plan").returncode == 0
    assert [path.read_bytes() for path in written] == plans


@slow
def test_prune(project: Project) -> None:
    project.change("defaults.tiles.aoi", None)
    keys = [row["tile"] for row in project.ledger()]
    project.change("defaults.tiles.keys", keys[:3])
    assert project.run().returncode == 0
    fail(project, "*/prune.log", "prune")
    assert project.run("prune").returncode == 0
    kept = sorted(key.replace(":", "#") for key in keys[:3])
    for kind in ("images", "labels"):
        assert sorted(path.stem for path in project.results().glob(f"{kind}/*.tif")) == kept
    assert "Nothing to be done" in project.run().stdout


@pytest.mark.parametrize("name", cases("SHA256SUMS", "README.md", "tfrecords/statistics.json"))
def test_publish(project: Project, tmp_path: Path, name: str) -> None:
    to = ("publish", "--config", f"publish={tmp_path / 'copies'}")
    assert project.run(*to).returncode == 0
    project.change("defaults.imagery.composite", "median")
    assert project.run().returncode == 0
    copy = tmp_path / "copies/sample" / name
    copy.unlink()
    (copy / "in the way").mkdir(parents=True)
    result = project.run(*to)
    assert result.returncode == 1 and "run `snakemake publish` again: it continues" in result.stdout
    shutil.rmtree(copy)
    assert project.run(*to).returncode == 0
    fresh = ("publish", "--config", f"publish={tmp_path / 'others'}")
    assert project.run(*fresh).returncode == 0
    copies, others = (
        {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "copies", tmp_path / "others")
    )
    assert copies == others != {}


def change_label(project: Project) -> None:
    shutil.copy(project.folder / "chips/labels/chip 1.png", project.folder / "chips/labels/chip 2.png")


def change_storage(project: Project) -> None:
    project.change("datasets.foreign.tfrecords.storage", "array")


CONVERTED = (
    "*.tfrecord-*0-of*|*.index-*1-of*",
    "*.statistics-*",
    "*/features.json",
    "*/dataset_info.json|*/metadata.json",
    "*/statistics.json|*/rejected.csv",
    "*/ledger.csv",
    "*/README.md",
    "*/croissant.json",
    "*/stac/*",
    "*/report/index.html",
    "*/audit.json",
    "*.made_from",
)


@slow
@pytest.mark.parametrize("change", [change_label, change_storage])
def test_convert(fresh: Project, tmp_path: Path, change: Callable[[Project], None]) -> None:
    write_png_pairs(fresh.folder, 6)
    shards = {"storage": "png", "shards": 2, "splits": {"train": 1}}
    chips = {"images": "chips/images", "labels": "chips/labels"}
    fresh.write({"datasets": {"foreign": {"chips": chips, "tfrecords": shards}}})
    assert fresh.run().returncode == 0
    change(fresh)
    for patterns in CONVERTED:
        fail(fresh, patterns)
    assert fresh.run().returncode == 0
    assert fresh.file_bytes(RESULTS) == from_nothing(fresh, tmp_path / "first") != {}
    assert "Nothing to be done" in fresh.run().stdout


@slow
def test_notebooks(tmp_path: Path) -> None:
    project = Project(tmp_path)
    shutil.copy(REPOSITORY / "config/config.yaml", project.folder / "config.yaml")
    assert project.run().returncode == 0
    page = "results/notebooks/2_translating_to_tfrecords.html"
    fail(project, "*/notebooks/*", page)
    assert not (project.folder / page).exists()
    assert project.run(page).returncode == 0
    assert "data:image/png;base64," in (project.folder / page).read_text()
