"""Which results a change of config, labels or regions outdates, asked of the digests without running Snakemake.

Rules make a result again when its digest changes or when a file that it is made from is new.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import pytest
import shapely

from segchips.config.loading import load_config
from segchips.grids.tile import Tile
from segchips.pipeline.datasets import Datasets
from segchips.pipeline.digests import Digests
from segchips.pipeline.steps.labels import make_label_lock
from support.projects import Project, chips_touched

Found = dict[str, Any]
OTHER_PRODUCT = [{"id": "sample-l2a", "bands": ["B08"]}]
FEW_KEYS = {"keys": ["60:2:10.0:33:-334:8903"]}


def datasets_of(project: Project) -> Datasets:
    return Datasets(load_config(project.config))


def digests(project: Project) -> Found:
    """The digest of each rule's result; for images, provenance, labels and shards those of all tiles or shards."""
    datasets = datasets_of(project)
    rules = Digests(datasets)
    tiles = [Tile.from_key(key).name for key in datasets.keys("sample")]
    records = datasets["sample"].tfrecords
    shards = [(split, shard) for split in records.splits for shard in range(records.shards)]
    return {
        "tiles": rules.tiles("sample"),
        "scenes": rules.scenes("sample"),
        "label_lock": rules.labels("sample"),
        "splits": rules.splits("sample"),
        "images": [rules.image("sample", "", tile) for tile in tiles],
        "provenance": [rules.provenance("sample", "", tile) for tile in tiles],
        "labels": [rules.label("sample", "", tile) for tile in tiles],
        "tfrecords": [rules.shard("sample", *shard) for shard in shards],
        "tfrecords_info": rules.dataset_info("sample"),
        "conflicts": rules.conflicts("sample"),
        "ledger": rules.ledger("sample"),
        "audit": rules.audit("sample"),
        "descriptors": rules.descriptors("sample"),
        "report": rules.report("sample"),
    }


def outdated(before: Found, after: Found) -> set[str]:
    return {rule for rule in before if before[rule] != after[rule]}


@pytest.fixture
def here(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The finished sample as the working directory."""
    monkeypatch.chdir(project.folder)
    return project


IMAGERY = {"images", "provenance", "tfrecords", "descriptors", "report"}
CHANGES: dict[str, tuple[str, Any, set[str]]] = {
    "bands": ("defaults.imagery.products", OTHER_PRODUCT, IMAGERY | {"tfrecords_info"}),
    "composite": ("defaults.imagery.composite", "median", IMAGERY),
    "cloud mask": ("defaults.imagery.cloud_mask", None, IMAGERY),
    "dates": ("defaults.imagery.end", "2023-06-30", {"scenes", "descriptors", "report"}),
    "cloud limit that drops no scene": ("defaults.imagery.max_cloud", 0.91, {"scenes", "descriptors", "report"}),
    "an excluded id that no scene has": ("defaults.imagery.exclude", ["none"], {"scenes", "descriptors", "report"}),
    "requests": ("requests", 3, set()),
    "patience": ("defaults.imagery.patience", 60, set()),
    "min_valid": ("defaults.imagery.min_valid", 0.97, {"tfrecords", "descriptors", "report"}),
    "storage": ("defaults.tfrecords.storage", "encoded", {"tfrecords", "tfrecords_info", "report"}),
    "compression": ("defaults.tfrecords.compression", "GZIP", {"tfrecords", "tfrecords_info", "report"}),
    "shards": ("defaults.tfrecords.shards", 3, {"tiles", "splits", "tfrecords", "tfrecords_info", "ledger", "report"}),
    "all_touched": ("defaults.labels.all_touched", False, {"label_lock", "descriptors", "report"}),
    "tiles": ("defaults.tiles", FEW_KEYS, {"tiles", "descriptors", "report"}),
    "splitting": ("defaults.splitting.seed", 5, {"tiles", "splits", "audit", "report"}),
    "another dataset": ("datasets.other", {"tiles": {"size": 128}}, set()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_the_config_outdates_these_results_alone(here: Project, name: str) -> None:
    path, value, rules = CHANGES[name]
    before = digests(here)
    here.change(path, value)
    assert outdated(before, digests(here)) == rules


@pytest.mark.parametrize("day", ["2023-07-01", "2023-02-08"])
def test_a_reference_date_outdates_the_tiles_whose_scenes_it_reorders(here: Project, day: str) -> None:
    before = digests(here)
    here.change("defaults.imagery.reference_date", day)
    after = digests(here)
    assert {"provenance", "descriptors", "report"} <= outdated(before, after) <= IMAGERY
    assert all(one != other for one, other in zip(before["provenance"], after["provenance"], strict=True))


def lock_labels(project: Project) -> None:
    make_label_lock(datasets_of(project), "sample", "results/sample/labels.parquet")


def moved(layer: geopandas.GeoDataFrame, number: int) -> geopandas.GeoDataFrame:
    layer.loc[number, "geometry"] = shapely.affinity.translate(layer.geometry[number], 0.0006, 0)
    return layer


def reclassified(layer: geopandas.GeoDataFrame, number: int) -> geopandas.GeoDataFrame:
    layer.loc[number, "class"] = next(value for value in layer["class"] if value != layer["class"][number])
    return layer


def deleted(layer: geopandas.GeoDataFrame, number: int) -> geopandas.GeoDataFrame:
    return layer.drop(index=number)


@pytest.mark.parametrize("edit", [moved, reclassified, deleted])
def test_an_edited_feature_outdates_the_label_chips_it_touches(
    here: Project, edit: Callable[[geopandas.GeoDataFrame, int], geopandas.GeoDataFrame]
) -> None:
    layer = geopandas.read_file("resources/sample/labels.gpkg").to_crs(4326)
    layer.to_file("mine.gpkg")
    here.change("defaults.labels.path", "mine.gpkg")
    lock_labels(here)
    before, tiles = digests(here), [Tile.from_key(key).name for key in datasets_of(here).keys("sample")]
    number = next(n for n, shape in enumerate(layer.geometry) if len(chips_touched(here, [shape])) == 1)
    shapes = [layer.geometry[number]]
    edited = edit(layer, number)
    shapes += [edited.geometry[number]] if number in edited.index else []
    edited.to_file("mine.gpkg")
    assert outdated(before, digests(here)) == {"label_lock"}
    lock_labels(here)
    after = digests(here)
    assert outdated(before, after) == {"label_lock", "labels", "tfrecords", "conflicts"}
    changed = {
        f"{tile}.tif" for tile, one, other in zip(tiles, before["labels"], after["labels"], strict=True) if one != other
    }
    assert changed == chips_touched(here, shapes)


def test_a_touched_or_copied_label_file_outdates_nothing(here: Project) -> None:
    before = digests(here)
    labels = here.folder / "resources/sample/labels.gpkg"
    labels.touch()
    assert outdated(before, digests(here)) == set()
    (here.folder / "mine.gpkg").write_bytes(labels.read_bytes())
    here.change("defaults.labels.path", "mine.gpkg")
    lock_labels(here)
    assert "labels" not in outdated(before, digests(here))


def test_a_shard_is_outdated_when_another_of_its_tiles_is_excluded(here: Project) -> None:
    datasets = datasets_of(here)
    shards = [("sample", split, shard) for split in datasets["sample"].tfrecords.splits for shard in range(4)]
    shard = max(shards, key=lambda shard: len(datasets.shard_tiles(*shard)))
    seen = [Digests(datasets).shard(*shard)]
    for chip in map(Path, datasets.image_chips("sample", datasets.shard_tiles(*shard))):
        content = chip.read_bytes()
        chip.write_bytes(b"")  # as while a run excludes the tile
        seen.append(Digests(datasets).shard(*shard))
        chip.write_bytes(content)
    assert len(seen) > 2 and len(set(seen)) == len(seen)


def test_another_region_outdates_the_splits(here: Project) -> None:
    west, south, east, north = geopandas.read_file("resources/sample/aoi.gpkg").total_bounds
    here.change("defaults.splitting", {"by": "region", "path": "folds.gpkg", "attribute": "fold"})
    here.change("defaults.tfrecords.splits", {"train": 2, "test": 1})
    seen = []
    for share in (0.5, 0.7):
        middle = west + share * (east - west)
        boxes = [shapely.box(west, south, middle, north), shapely.box(middle, south, east, north)]
        folds = geopandas.GeoDataFrame({"fold": ["train", "test"]}, geometry=boxes, crs=4326)
        folds.to_file("folds.gpkg")
        seen.append(digests(here))
    assert outdated(*seen) == {"tiles", "splits"}
