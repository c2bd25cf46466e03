import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio

from support.projects import Project


def locked(project: Project) -> list[str]:
    return pq.read_table(project.results() / "scenes.parquet")["scene"].to_pylist()


def withdraw(project: Project, part: str) -> str:
    """Take the scene whose id holds `part` out of the catalogue."""
    path = project.folder / "resources/sample/sample-l2a/collection.json"
    collection = json.loads(path.read_text())
    gone = next(link["href"] for link in collection["links"] if part in link["href"])
    collection["links"] = [link for link in collection["links"] if link["href"] != gone]
    path.write_text(json.dumps(collection))
    return Path(gone).stem


def test_scenes_stay_pinned_until_resolved(project: Project) -> None:
    before, chips = locked(project), project.file_bytes("results/*/images/*")
    gone = withdraw(project, "20230628")
    assert project.run_and_count() == Counter()
    assert locked(project) == before
    result = project.run("resolve")
    assert result.returncode == 0
    assert f"- sample-l2a/{gone}" in result.stdout
    assert "tiles have other scenes than before" in result.stdout
    assert locked(project) == [scene for scene in before if scene != gone]
    assert project.run_and_count()["images"] > 0
    assert project.file_bytes("results/*/images/*") != chips


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        (2, "'png' holds 1 or 3 bands, and the products have 2; choose 'array', or other bands"),
        (3, "'png' holds 8-bit pixels, and product 'files' has uint16; choose 'array' or 'encoded'"),
    ],
)
def test_files_that_pictures_cannot_hold_are_refused_before_images_are_made(
    bands: int, message: str, project: Project
) -> None:
    scenes = sorted((project.folder / "resources/sample/sample-l2a").glob("*/B04.tif"))
    with rasterio.open(scenes[0]) as band:
        pixels, profile = band.read(1), band.profile
    with rasterio.open(project.folder / "bands.tif", "w", **profile | {"count": bands}) as file:
        file.write(np.stack([pixels] * bands))
    chips = project.file_bytes("results/*/images/*")
    project.change("defaults.imagery", {"source": "files", "path": "bands.tif"})
    project.change("defaults.tfrecords.storage", "png")
    result = project.run()
    assert result.returncode == 1
    assert f"tfrecords.storage: {message}" in " ".join(result.stdout.split())
    assert project.file_bytes("results/*/images/*") == chips


@pytest.mark.slow
def test_new_tiles_are_resolved_without_touching_the_others(project: Project) -> None:
    keys = [row["tile"] for row in project.ledger()]
    project.change("defaults.tiles", {"keys": keys[:5]})
    assert project.run_and_count()["images"] == 0
    before = {row["tile"]: row["scenes"] for row in project.ledger()}
    withdraw(project, "20230628")
    project.change("defaults.tiles", {"keys": keys})
    (project.results() / "images" / f"{keys[5].replace(':', '#')}.tif").unlink()
    assert project.run_and_count()["images"] == 1
    after = {row["tile"]: row["scenes"] for row in project.ledger()}
    assert {key: after[key] for key in before} == before
    assert len(locked(project)) == 11


@pytest.mark.slow
def test_tiles_without_scenes_cost_no_job_and_are_in_the_ledger(fresh: Project) -> None:
    fresh.run("results/sample/tiles.parquet")
    keys = pq.read_table(fresh.results() / "tiles.parquet")["key"].to_pylist()
    far = keys[0].rsplit(":", 2)[0] + ":-100:8908"
    fresh.change("defaults.tiles", {"keys": [*keys, far]})
    made = fresh.run_and_count()
    assert (made["images"], made["labels"]) == (6, 6)
    row = next(row for row in fresh.ledger() if row["tile"] == far)
    assert (row["state"], row["scenes"], row["valid"]) == ("no scenes", "0", "")
    assert "no scene of sample-l2a" in row["reason"]


@pytest.mark.slow
def test_the_lock_names_no_folder_of_this_machine(project: Project) -> None:
    assets = pq.read_table(project.results() / "scenes.parquet")["assets"].to_pylist()
    assert all('"resources/sample/sample-l2a/' in text and str(project.folder) not in text for text in assets)
    moved = Project(Path(shutil.move(project.folder, project.folder.with_name("moved"))))
    assert moved.run_and_count() == Counter()
