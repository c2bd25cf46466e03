"""Named layers and targets: their files and records, and what runs again when one of them changes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio

import segchips
from segchips.config.loading import load_config
from segchips.grids.tile import Tile
from segchips.pipeline.datasets import Datasets
from segchips.pipeline.digests import Digests
from segchips.pipeline.steps.labels import make_label_lock
from segchips.pipeline.steps.scenes import make_scenes
from segchips.records.dataset_files import made_entries, read_info
from segchips.training.verification import verify
from support.projects import Project

BANDS = [{"id": "sample-l2a", "bands": ["B04", "B08"]}]
PERIODS = [["2023-02-01", "2023-02-28"], ["2023-06-01", "2023-06-30"]]
LAYERS = {
    "s2": {"products": BANDS, "periods": PERIODS},
    "mean": {"products": BANDS, "composite": "mean", "resolution": 20, "min_valid": 0.1},
    "dem": {"source": "files", "path": "dem", "optional": True},
}
CLASSES = ("water", "forest", "field", "built", "road")
TARGETS = {"cover": {"unknown": 254}, "road": {"classes": {name: 1 if name == "road" else None for name in CLASSES}}}


def add_layers(project: Project) -> None:
    """Give the sample three layers and two targets, and heights that cover its western tiles."""
    tiles = [Tile.from_key(row["tile"]) for row in project.ledger()]
    shutil.rmtree(project.results())
    west, top = min(tile.bounds[0] for tile in tiles), max(tile.bounds[3] for tile in tiles)
    (project.folder / "dem").mkdir()
    grid = {"transform": rasterio.transform.from_origin(west, top, 10, 10), "crs": tiles[0].crs}
    shape = {"height": 200, "width": 80, "count": 1}
    with rasterio.open(
        project.folder / "dem" / "a.tif", "w", driver="GTiff", dtype="float32", nodata=-1, **grid, **shape
    ) as file:
        file.write(np.arange(16_000, dtype="float32").reshape(1, 200, 80))
    config = project.config
    imagery = config["defaults"]["imagery"]
    del imagery["products"]
    imagery["layers"] = LAYERS
    config["defaults"]["labels"]["targets"] = TARGETS
    project.write(config)


def digests(project: Project) -> dict[str, list[str]]:
    """The digests of all chips of each layer and target, after scenes and labels are resolved again."""
    datasets = Datasets(load_config(project.config))
    rules, lock = Digests(datasets), project.results() / "scenes.parquet"
    make_scenes(datasets, "sample", str(lock))
    make_label_lock(datasets, "sample", str(project.results() / "labels.parquet"))
    names = [key.replace(":", "#") for key in datasets.keys("sample")]
    found = {layer: [rules.image("sample", layer, name) for name in names] for layer in datasets.layers("sample")}
    return found | {part: [rules.label("sample", part, name) for name in names] for part in datasets.targets("sample")}


@pytest.fixture(scope="module")
def finished(sample_run: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The sample with layers and targets, run once; not to be changed."""
    project = Project(Path(shutil.copytree(sample_run.folder, tmp_path_factory.mktemp("layers") / "project")))
    add_layers(project)
    jobs = project.run_and_count()
    assert (jobs["series"], jobs["images"], jobs["labels"]) == (6, 12, 12)
    return project


@pytest.fixture
def layered(finished: Project, tmp_path: Path) -> Project:
    """A copy of it, to be changed."""
    return Project(Path(shutil.copytree(finished.folder, tmp_path / "project")))


def test_layers_and_targets_from_config_to_records(finished: Project) -> None:
    project = finished
    shards = project.results() / "tfrecords"
    info = read_info(shards)
    shapes = {name: layout.shape for name, layout in info.images.items()}
    assert shapes == {"s2": (2, 64, 64, 2), "mean": (32, 32, 2), "dem": (64, 64, 1)}
    assert list(info.labels) == ["cover", "road"] and info.unknown == {"cover": 254, "road": None}
    assert verify(shards) == []
    empty = 0
    for key in made_entries(shards, info):
        record, name = segchips.read(shards, key), f"{key.replace(':', '#')}.tif"
        for layer, image in info.images.items():
            with rasterio.open(project.results() / "images" / layer / name) as chip:
                pixels = chip.read().reshape(*image.shape[:-3], image.shape[-1], *image.shape[-3:-1])
            np.testing.assert_array_equal(record[layer], np.moveaxis(pixels, -3, -1))
        with rasterio.open(project.results() / "labels" / "road" / name) as chip:
            np.testing.assert_array_equal(record["road"], chip.read(1))
        assert (record["road"][record["cover"] == 5] == 1).all()
        empty += bool((record["dem"] == -1).all())
    assert 0 < empty < 6
    statistics = segchips.statistics(shards)
    train = statistics["train"]
    pixels = [segchips.read(shards, row["tile"]) for row in project.ledger() if row["split"] == "train"]
    for step in range(2):
        values = np.concatenate([record["s2"][step, ..., 0].ravel() for record in pixels])
        band = train.steps["s2"][step][0]
        assert (band.count, band.max) == ((values > 0).sum(), values.max())
        assert band.mean == pytest.approx(values[values > 0].mean())
    everything = np.concatenate([record["s2"][..., 1].ravel() for record in pixels])
    assert train.layers["s2"][1].mean == pytest.approx(everything[everything > 0].mean())
    heights = np.concatenate([record["dem"].ravel() for record in pixels])
    assert train.layers["dem"][0].count == (heights != -1).sum()
    card = (project.results() / "README.md").read_text()
    for text in ("| cover: labels | uint8", "| road: labels | uint8", "| s2/B04 | train |", "| dem/1 | train |"):
        assert text in card
    report = (project.results() / "report" / "index.html").read_text()
    assert "s2: 2 steps of 2 bands of uint16; mean: 2 bands of uint16; dem: 1 band of float32" in report
    assert "1-01-01" not in report, "files have no date"
    assert train.targets["road"][1].pixels == sum(int((record["road"] == 1).sum()) for record in pixels)
    assert list(train.targets["cover"][1].layers) == ["s2", "dem"]


def test_the_card_and_the_files_for_arcgis_know_layers_steps_and_targets(finished: Project) -> None:
    folder = finished.results()
    card, statistics = (folder / "README.md").read_text(), segchips.statistics(folder / "tfrecords")
    for layer, bands in statistics["train"].layers.items():
        for band in bands:
            assert (
                f"| {layer}/{band.name or 'band 1'} | train | {100 * band.nodata_share:.2f} % | {band.min:.6g} |"
                in card
            )
    assert "### cover" in card and f"| 1 | road | {statistics['train'].targets['road'][1].pixels:,} |" in card
    model = json.loads((folder / "esri_model_definition.emd").read_text())
    assert model["InputRastersProps"]["BandNames"] == ["1/B04", "1/B08", "2/B04", "2/B08"] and model["NumBands"] == 4
    image, label = (folder / "map.txt").read_text().splitlines()[0].split("\t")
    with rasterio.open(folder / image) as chip, rasterio.open(folder / label):
        assert chip.count == 4
    steps = [split.steps["s2"][1][0] for split in statistics.values()]
    assert model["AllTilesStats"][2]["Max"] == max(band.max for band in steps if band.max is not None)


NEW = {"products": BANDS, "max_cloud": 0.5}
CHANGES = {
    "a layer added": ("imagery.layers.new", NEW, set()),
    "a layer removed": ("imagery.layers", {name: LAYERS[name] for name in ("s2", "dem")}, set()),
    "a composite": ("imagery.layers.s2.composite", "median", {"s2"}),
    "a resolution": ("imagery.layers.mean.resolution", 10, {"mean"}),
    "dates": ("imagery.layers.mean.end", "2023-06-30", {"mean"}),
    "a period added": ("imagery.layers.s2.periods", [*PERIODS, ["2023-08-01", "2023-08-31"]], {"s2"}),
    "a mask beside the layers": ("imagery.cloud_mask", None, {"s2", "mean"}),
    "a source of files": ("imagery.layers.dem.path", "dem/*.tif", set()),
    "whether it is optional": ("imagery.layers.mean.optional", True, set()),
    "min_valid": ("imagery.layers.mean.min_valid", 0.2, set()),
    "a target added": ("labels.targets.all", {}, set()),
    "how a target is burned": ("labels.targets.road.all_touched", False, {"road"}),
}


def test_what_a_change_of_one_layer_or_target_outdates(layered: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(layered.folder)
    before, config = digests(layered), layered.config
    for name, (key, value, outdated) in CHANGES.items():
        layered.change(f"defaults.{key}", value)
        after = digests(layered)
        assert {part for part in before if after.get(part, before[part]) != before[part]} == outdated, name
        layered.write(config)
        assert digests(layered) == before, name
    with rasterio.open("dem/a.tif", "r+") as file:
        file.write(file.read() + 1)
    after = digests(layered)
    assert {part for part in before if after[part] != before[part]} == {"dem"}
    assert 0 < sum(one != other for one, other in zip(after["dem"], before["dem"], strict=True)) < 6


def test_a_period_added_searches_and_makes_that_period_alone(layered: Project) -> None:
    mean = layered.file_bytes("results/*/images/mean/*")
    layered.change("defaults.imagery.layers.s2.periods", [*PERIODS, ["2023-08-01", "2023-08-31"]])
    jobs = layered.run_and_count()
    assert (jobs["series"], jobs["images"], jobs["labels"]) == (6, 0, 0)
    assert layered.file_bytes("results/*/images/mean/*") == mean
    assert read_info(layered.results() / "tfrecords").images["s2"].shape == (3, 64, 64, 2)


@pytest.mark.slow
def test_chips_of_a_removed_layer_and_target_are_pruned_alone(layered: Project) -> None:
    before = layered.file_bytes("results/*/*/*/*.tif")
    gone = {path for path in before if path.split("/")[3] in ("mean", "road")}
    layered.change("defaults.imagery.layers", {name: LAYERS[name] for name in ("s2", "dem")})
    layered.change("defaults.labels.targets", {"cover": TARGETS["cover"]})
    shown = " ".join(layered.run().stdout.split())
    assert f"sample: {len(gone)} chips belong to no tile, layer or target any more" in shown
    layered.run_and_count("prune")
    kept = layered.file_bytes("results/*/*/*/*.tif")
    assert len(gone) == 12 and kept == {path: content for path, content in before.items() if path not in gone}
    assert not layered.run_and_count()
