from collections import Counter

import geopandas
import pyarrow.parquet as pq
import pytest
import shapely

from support.projects import Project


def test_an_area_grown_by_one_tile_makes_that_tile_alone(project: Project) -> None:
    before, ledger = project.file_bytes("results/**/*.tif"), project.ledger()
    source = project.folder / "resources/sample/aoi.gpkg"
    area = geopandas.read_file(source)
    west, south, east, north = area.total_bounds
    spot = shapely.box(east + 0.004, (south + north) / 2, east + 0.0041, (south + north) / 2 + 0.0001)
    area.geometry = area.union(
        shapely.union_all([spot, shapely.LineString([(east, north), (east, south)]).buffer(1e-7)])
    )
    area.to_file(project.folder / "grown.gpkg")
    project.change("defaults.tiles.aoi", "grown.gpkg")
    grown = project.run_and_count()
    new = {row["tile"] for row in project.ledger()} - {row["tile"] for row in ledger}
    assert len(new) >= 1
    assert grown["images"] == grown["labels"] == len(new)
    assert grown["tfrecords"] <= len(new)
    after = project.file_bytes("results/**/*.tif")
    assert {path: after[path] for path in before} == before
    assert [row for row in project.ledger() if row["tile"] not in new] == ledger


@pytest.mark.slow
def test_a_smaller_area_makes_no_chip(project: Project) -> None:
    keys = [row["tile"] for row in project.ledger()]
    project.change("defaults.tiles", {"keys": keys[:4]})
    made = project.run_and_count()
    assert made["images"] == made["labels"] == made["scenes"] - 1 == 0
    assert [row["tile"] for row in project.ledger()] == keys[:4]
    assert len(list(project.results().glob("images/*.tif"))) == 6


def test_tiles_follow_the_labels_where_nothing_else_is_named(fresh: Project) -> None:
    config = fresh.config
    del config["defaults"]["tiles"]["aoi"]
    fresh.write(config)
    assert fresh.run("results/sample/tiles.parquet").returncode == 0
    manifest = geopandas.read_parquet(fresh.results() / "tiles.parquet")
    labels = geopandas.read_file(fresh.folder / "resources/sample/labels.gpkg").to_crs(4326)
    assert list(manifest.columns) == ["key", "split", "shard", "state", "reason", "unit", "geometry"]
    assert manifest.geometry.apply(lambda tile: labels.intersects(tile).any()).all()
    assert labels.within(manifest.union_all().buffer(1e-5)).all()


def test_chips_of_tiles_that_are_gone_stay_until_pruned(project: Project) -> None:
    chips = project.file_bytes("results/*/*/*.tif")
    keys = [row["tile"] for row in project.ledger()]
    project.change("defaults.tiles", {"keys": keys[:4]})
    shown = " ".join(project.run().stdout.split())
    assert "sample: 4 chips belong to no tile, layer or target any more; `snakemake prune` removes them" in shown
    assert project.file_bytes("results/*/*/*.tif") == chips
    gone = {path for path in chips if any(key.replace(":", "#") in path for key in keys[4:])}
    listed = (project.folder / "logs/sample/ledger.log").read_text().splitlines()[1:]
    assert {line.removeprefix("belongs to nothing any more: ") for line in listed} == gone
    assert project.run_and_count("prune") == Counter(prune=1)
    assert set(project.file_bytes("results/*/*/*.tif")) == set(chips) - gone
    assert {
        line.removeprefix("removed ") for line in (project.folder / "logs/prune.log").read_text().splitlines()
    } == gone


@pytest.mark.slow
def test_a_shared_label_chip_is_pruned_when_no_dataset_needs_it(project: Project) -> None:
    keys = [row["tile"] for row in project.ledger()]
    project.change("datasets.few", {"tiles": {"aoi": None, "keys": keys[:2]}})
    project.change("datasets.later", {"imagery": {"reference_date": "2023-12-31"}})
    project.run_and_count()
    assert project.run_and_count("prune") == Counter(prune=1)
    assert (project.folder / "logs/prune.log").read_text() == ""


def test_a_manifest_of_an_earlier_release_is_made_again(project: Project) -> None:
    manifest = project.results() / "tiles.parquet"
    before = manifest.read_bytes()
    pq.write_table(pq.read_table(manifest).drop_columns(["reason", "unit"]), manifest)
    made = project.run_and_count()
    assert made["tiles"] == 1 and made["images"] == made["labels"] == 0
    assert manifest.read_bytes() == before
