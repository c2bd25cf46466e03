import json
import os
from collections import Counter
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely

from segchips.grids.tile import Tile
from support.projects import Project


def regions(project: Project, share: float = 0.7) -> None:
    """Regions: the west of the area, two of three columns, for training, the east for tests."""
    west, south, east, north = geopandas.read_file(project.folder / "resources/sample/aoi.gpkg").total_bounds
    middle = west + share * (east - west)
    boxes = [shapely.box(west - 1, south - 1, middle, north + 1), shapely.box(middle, south - 1, east + 1, north + 1)]
    geopandas.GeoDataFrame({"fold": ["train", "test"]}, geometry=boxes, crs=4326).to_file(project.folder / "folds.gpkg")
    project.change("defaults.splitting", {"by": "region", "path": "folds.gpkg", "attribute": "fold"})
    project.change("defaults.tfrecords.splits", {"train": 2, "test": 1})


def chip(project: Project, tile: Tile) -> Path:
    return project.results() / "labels" / f"{tile.name}.tif"


def names(project: Project, kind: str) -> set[str]:
    return {path.stem.replace("#", ":") for path in project.results().glob(f"{kind}/*.tif")}


@pytest.mark.slow
def test_tiles_that_overlap_another_split_get_no_chip(fresh: Project) -> None:
    regions(fresh)
    made = fresh.run_and_count()
    rows = {row["tile"]: row for row in fresh.ledger()}
    dropped = {key for key, row in rows.items() if row["state"] == "dropped"}
    assert len(rows) == 6 and 0 < len(dropped) < 6 and made["images"] == made["labels"] == 6 - len(dropped)
    assert names(fresh, "images") == names(fresh, "labels") == rows.keys() - dropped
    assert {rows[key]["reason"] for key in dropped} == {"guard: it overlaps split test"}
    boxes = {key: shapely.box(*Tile.from_key(key).bounds) for key in rows}
    for one in rows.keys() - dropped:
        for other in rows.keys() - dropped:
            if rows[one]["split"] != rows[other]["split"]:
                assert boxes[one].intersection(boxes[other]).area == 0
    audit = json.loads((fresh.results() / "audit.json").read_text())
    assert audit["shared"]["pairs"] == 0 and audit["least_distance"]["test-train"] >= 0
    counts = Counter(row["split"] for row in rows.values() if row["state"] == "made")
    assert audit["tiles"] == {"train": counts["train"], "test": counts["test"]}
    assert fresh.run_and_count() == Counter()


def test_the_audit_counts_what_tiles_split_one_by_one_share(sample_run: Project) -> None:
    audit = json.loads((sample_run.results() / "audit.json").read_text())
    assert audit["allow_overlap"] is True and audit["shared"]["pairs"] > 0
    assert {row["state"] for row in sample_run.ledger()} == {"made"}
    assert f"{audit['shared']['pairs']} pairs of tiles" in (sample_run.folder / "logs/sample/audit.log").read_text()


@pytest.mark.slow
def test_other_regions_remake_shards_and_what_they_need_alone(project: Project) -> None:
    regions(project)
    made = project.run_and_count()
    assert (made["images"], made["labels"], made["splits"], made["audit"]) == (0, 0, 1, 1)
    assert made["tfrecords"] and {row["split"] for row in project.ledger() if row["state"] == "made"} == {
        "train",
        "test",
    }
    before = project.file_bytes("results/**/*.tif")
    project.change("defaults.splitting.allow_overlap", True)
    assert project.run_and_count()["splits"] == 1
    audit = json.loads((project.results() / "audit.json").read_text())
    assert audit["shared"]["pairs"] > 0 and audit["shared"]["pixels"] > 0
    assert {row["state"] for row in project.ledger()} == {"made"}
    assert project.file_bytes("results/**/*.tif") == before


def let_audit_fail(path: Path) -> None:
    """Change the verdict in an audit file, whose age stays, so that the workflow takes it for the file that it made."""
    status = path.stat()
    path.write_text(json.dumps({**json.loads(path.read_text()), "passed": False}))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_failed_audit_is_shown_and_ends_the_run(project: Project) -> None:
    path = project.results() / "audit.json"
    audit = json.loads(path.read_text())
    let_audit_fail(path)
    result = project.run()
    assert result.returncode != 0, result.stdout
    one = audit["shared"]["listed"][0]
    message = " ".join(result.stdout.split())
    assert f"{one['first']} ({one['splits'][0]}) and {one['second']} ({one['splits'][1]}) share" in message
    assert "splitting.allow_overlap: true" in message and "Traceback" not in message
    assert "<b>Failed.</b>" in (project.results() / "report/index.html").read_text()


@pytest.mark.slow
def test_a_failed_audit_fails_again_until_it_is_made_again(project: Project) -> None:
    path = project.results() / "audit.json"
    let_audit_fail(path)
    project.run()
    ledger = project.results() / "ledger.csv"
    age = ledger.stat().st_mtime_ns
    assert project.run().returncode != 0 and ledger.stat().st_mtime_ns == age
    path.unlink()
    assert project.run_and_count() == Counter(audit=1, report=1, audit_check=1, all=1)
    assert "<b>Failed.</b>" not in (project.results() / "report/index.html").read_text()


def test_a_plan_retrieves_nothing(fresh: Project) -> None:
    regions(fresh)
    result = fresh.run("plan")
    assert result.returncode == 0, result.stdout
    assert not names(fresh, "images") and not names(fresh, "labels")
    assert json.loads((fresh.results() / "plan.json").read_text())["tiles"] == 6
    assert "label pixels of train" in result.stdout and "tiles are dropped: guard" in result.stdout
    assert "image chips and" in result.stdout and "label chips are missing; to make them takes about" in result.stdout


@pytest.mark.slow
def test_a_plan_says_what_is_made(fresh: Project) -> None:
    regions(fresh)
    fresh.run("plan")
    plan = json.loads((fresh.results() / "plan.json").read_text())
    fresh.run_and_count()
    rows = fresh.ledger()
    assert plan["tiles"] == len(rows) and plan["dropped"] == {"guard": sum(row["state"] == "dropped" for row in rows)}
    made = [row for row in rows if row["state"] == "made"]
    assert plan["made"] == dict(Counter(row["split"] for row in made))
    assert plan["scenes"] == {"sample-l2a": 11}
    reads = sum(int(row["scenes"]) for row in made) * 5
    assert plan["band_reads"] == {"at_least": len(made) * 5, "at_most": reads}
    pixels: dict[str, Counter[str]] = {"train": Counter(), "test": Counter()}
    for row in made:
        with rasterio.open(fresh.results() / "labels" / f"{row['tile'].replace(':', '#')}.tif") as chip:
            values, counts = np.unique(chip.read(1), return_counts=True)
        pixels[row["split"]].update(dict(zip(map(str, values.tolist()), counts.tolist(), strict=True)))
    assert plan["class_pixels"] == pixels


@pytest.mark.slow
def test_tiles_with_too_little_of_a_class_get_no_chip(fresh: Project, sample_run: Project) -> None:
    shares = {}
    for path in sample_run.results().glob("labels/*.tif"):
        with rasterio.open(path) as chip:
            shares[path.stem.replace("#", ":")] = float((chip.read(1) == 2).mean())
    limit = sorted(shares.values())[3]
    fresh.change("defaults.select", {"classes": {"forest": {"min": limit}}})
    made = fresh.run_and_count()
    kept = {key for key, share in shares.items() if share >= limit}
    assert 0 < made["images"] == len(kept) < 6 and names(fresh, "images") == kept
    for row in fresh.ledger():
        assert (row["state"] == "made") == (row["tile"] in kept)
        assert row["state"] == "made" or row["reason"].endswith(f"select.classes.2.min is {limit:g}")
    assert fresh.run_and_count() == Counter()


@pytest.mark.slow
def test_a_coverage_remakes_labels_and_drops_tiles_outside(project: Project) -> None:
    keys = sorted(row["tile"] for row in project.ledger())
    tiles = [Tile.from_key(key) for key in keys]
    west, south, east, north = shapely.total_bounds([shapely.box(*tile.bounds) for tile in tiles])
    edge = min(tile.core_bounds[0] for tile in tiles) + 600 + 300
    geopandas.GeoDataFrame(geometry=[shapely.box(west - 9, south - 9, edge, north + 9)], crs=tiles[0].crs).to_file(
        project.folder / "known.gpkg"
    )
    project.change("defaults.labels.unknown", 254)
    project.change("defaults.labels.coverage", {"path": "known.gpkg"})
    ages = {tile.name: chip(project, tile).stat().st_mtime_ns for tile in tiles}
    assert project.run_and_count()["images"] == 0
    rows = {row["tile"]: row for row in project.ledger()}
    first = min(tile.path for tile in tiles)
    whole = [tile for tile in tiles if tile.path == first]
    partly = [tile for tile in tiles if tile.path == first + 1]
    outside = [tile for tile in tiles if tile.path == first + 2]
    remade = {tile.name for tile in tiles if chip(project, tile).stat().st_mtime_ns != ages[tile.name]}
    assert {tile.name for tile in partly} <= remade and not remade & {tile.name for tile in whole}
    assert {rows[tile.key]["state"] for tile in outside} == {"dropped"}
    assert all("labels.coverage" in rows[tile.key]["reason"] for tile in outside)
    for tile in (*whole, *partly):
        assert rows[tile.key]["state"] == "made"
        with rasterio.open(chip(project, tile)) as label:
            x = label.transform.c + (np.arange(label.width) + 0.5) * 10
            np.testing.assert_array_equal(label.read(1) == 254, np.broadcast_to(x >= edge, label.shape))
    assert project.run_and_count() == Counter()


@pytest.mark.slow
def test_labels_are_unknown_where_the_image_shows_nothing(project: Project) -> None:
    import segchips

    labels = project.file_bytes("results/*/labels/*")
    project.change("defaults.labels.unknown", 254)
    project.change("defaults.imagery.start", "2023-02-01")
    project.change("defaults.imagery.end", "2023-02-28")
    project.change("defaults.imagery.reference_date", "2023-02-14")
    assert project.run_and_count()["labels"] == 0
    assert project.file_bytes("results/*/labels/*") == labels
    unknown = segchips.read_info(project.results() / "tfrecords").unknown[""]
    assert unknown == 254
    hidden = 0
    for split in ("train", "val", "test"):
        for record in segchips.load(project.results() / "tfrecords", split).as_numpy_iterator():
            name = f"{record['identifier'].decode().replace(':', '#')}.tif"
            with rasterio.open(project.results() / "labels" / name) as chip:
                burned = chip.read(1)
            unseen = (record["image"] == 0).any(axis=2)
            np.testing.assert_array_equal(record["label"], np.where(unseen, unknown, burned))
            hidden += int(unseen.sum())
    assert hidden > 0
