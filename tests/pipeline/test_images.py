from collections import Counter
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest
import rasterio

from support.projects import Project, chips_and_shards


def test_bands_remake_all_images_and_no_label(project: Project) -> None:
    labels = project.file_bytes("results/*/labels/*")
    project.change("defaults.imagery.products", [{"id": "sample-l2a", "bands": ["B08"]}])
    made = project.run_and_count()
    assert (made["images"], made["labels"], made["scenes"]) == (6, 0, 0)
    assert project.file_bytes("results/*/labels/*") == labels
    for path in project.results().glob("images/*.tif"):
        with rasterio.open(path) as chip:
            assert chip.descriptions == ("B08",)


def orders(project: Project, day: str, first: str, last: str) -> dict[str, list[str]]:
    """For each tile its scenes between two days, nearest to the reference day first, then nearer to its midnight."""
    reference = datetime.fromisoformat(day).replace(tzinfo=UTC)
    lock = pq.read_table(project.results() / "scenes.parquet").to_pylist()
    order: dict[str, list[tuple[object, ...]]] = {row["tile"]: [] for row in project.ledger()}
    for scene in lock:
        acquired = scene["acquired"].astimezone(UTC)
        nearness = abs((acquired.date() - reference.date()).days), abs(acquired - reference), scene["scene"]
        for tile in scene["tiles"] if first <= str(acquired.date()) <= last else ():
            order[tile].append(nearness)
    return {tile: [scene[-1] for scene in sorted(found)] for tile, found in order.items()}


@pytest.mark.slow
def test_dates_remake_the_tiles_whose_scenes_or_their_order_change(project: Project) -> None:
    imagery = project.config["defaults"]["imagery"]
    year = str(imagery["start"]), str(imagery["end"])
    before = orders(project, str(imagery["reference_date"]), *year)
    counts = []
    for key, value in (("reference_date", "2023-07-01"), ("reference_date", "2023-02-08"), ("end", "2023-09-01")):
        after = orders(project, value if key != "end" else "2023-02-08", year[0], value if key == "end" else year[1])
        project.change(f"defaults.imagery.{key}", value)
        counts.append(project.run_and_count()["images"])
        assert counts[-1] == sum(after[tile] != before[tile] for tile in before)
        before = after
    assert max(counts) > 0


@pytest.mark.slow
def test_a_cloud_limit_that_drops_no_scene_remakes_no_image(project: Project) -> None:
    project.change("defaults.imagery.max_cloud", 0.91)
    jobs = project.run_and_count()
    assert jobs["scenes"] == 1 and chips_and_shards(jobs) == {}


@pytest.mark.slow
def test_min_valid_keeps_chips_and_leaves_them_out_of_the_shards(project: Project) -> None:
    project.change("defaults.imagery.start", "2023-02-01")
    project.change("defaults.imagery.end", "2023-02-28")
    project.change("defaults.imagery.reference_date", "2023-02-14")
    project.change("defaults.imagery.min_valid", 0.97)
    assert project.run_and_count()["images"] == 6
    for row in project.ledger():
        assert row["state"] == ("made" if float(row["valid"]) >= 0.97 else "below min_valid")
        assert row["state"] == "made" or ("0.97" in row["reason"] and row["valid"] in row["reason"])
    assert {row["state"] for row in project.ledger()} == {"made", "below min_valid"}


def test_provenance_comes_with_the_images(project: Project) -> None:
    before = project.chip_contents("results/*/images/*")
    project.change("defaults.imagery.provenance", True)
    made = project.run_and_count()
    assert (made["provenance"], made["images"], made["labels"]) == (6, 0, 0)
    assert project.chip_contents("results/*/images/*") == before
    for path in project.results().glob("images/*.tif"):
        with rasterio.open(path.parents[1] / "provenance" / path.name) as origin, rasterio.open(path) as chip:
            assert origin.descriptions[:4] == tuple(f"{band} scene" for band in chip.descriptions)
            assert ((origin.read()[:4] == -32768) == (chip.read() == 0)).all()
            assert origin.tags()["SCENES"] == chip.tags()["SCENES"]


@pytest.mark.slow
def test_provenance_follows_the_reference_date(project: Project) -> None:
    project.change("defaults.imagery.provenance", True)
    project.run_and_count()
    assert project.run_and_count() == Counter()
    next(project.results().glob("provenance/*.tif")).unlink()
    assert project.run_and_count()["provenance"] == 1
    project.change("defaults.imagery.reference_date", "2023-07-01")
    assert project.run_and_count()["provenance"] == 6
    project.change("defaults.imagery.provenance", False)
    project.run_and_count()
    assert project.run_and_count("prune") == Counter(prune=1)
    assert not list(project.results().glob("provenance/*.tif")) and len(project.ledger()) == 6
