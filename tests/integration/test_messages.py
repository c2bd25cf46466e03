"""What users do wrong, and what they are told: one line that names file, key or feature, and says what to do.

`test_bad_input.py` has those that end a run of the workflow.
"""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from rasterio.transform import Affine

import segchips
from segchips.cli import main
from segchips.config.loading import load_config
from segchips.errors import SegchipsError
from segchips.pipeline.checks import check_catalogue, check_conversion, check_inputs, check_writable
from segchips.pipeline.datasets import Datasets
from segchips.tiles.area import aoi_layers, find_tiles
from support.chips import records_config as records
from support.chips import write_chip_folders
from support.datasets import tile_at, tile_outline
from support.projects import Project, sample_config
from support.rasters import transform_over, write_raster
from support.vectors import write_vectors

GROUND = tile_outline(tile_at())
Do = Callable[[], object]


def configured(path: str, value: Any, *more: tuple[str, Any]) -> Do:
    """The sample's config with another value, read and its inputs looked at."""

    def do() -> None:
        raw = sample_config()
        for place, wanted in ((path, value), *more):
            *blocks, key = place.split(".")
            block = raw
            for name in blocks:
                block = block.setdefault(name, {})
            if wanted is KeyError:
                del block[key]
            else:
                block[key] = wanted
        config = load_config(raw)
        check_writable(config.results)
        for dataset in config.datasets.values():
            check_inputs(Datasets(config), dataset.name)
            check_catalogue(Datasets(config), dataset.name)
            find_tiles(dataset.tiles, aoi_layers(dataset.tiles, dataset.labels))
        for conversion in config.conversions.values():
            check_conversion(conversion)

    return do


def prepared(prepare: Do, do: Do) -> Do:
    def both() -> None:
        prepare()
        do()

    return both


def vectors(path: str, geometries: Any = (GROUND,), crs: str | None = "EPSG:4326", **columns: Any) -> Do:
    return lambda: write_vectors(Path(path), list(geometries), crs, **(columns or {"name": ["x"] * len(geometries)}))


def text(path: str, content: str) -> Do:
    return lambda: Path(path).write_text(content)


def raster(path: str, **options: Any) -> Do:
    tile = tile_at()
    crs = options.pop("crs", tile.crs)
    return lambda: write_raster(Path(path), np.ones((8, 8), "uint8"), transform_over(tile, (8, 8), 10), crs, **options)


def run(*arguments: str) -> Do:
    return lambda: main(arguments)


SHARDS = "results/sample/tfrecords"
CHIPS = {"chips": {"images": "a/images", "labels": "a/labels"}}
REGIONS = {"by": "region", "path": "regions.gpkg"}
PRODUCT = {"id": "sample-l2a", "bands": ["B04"]}
CATALOGUE, LABELS = "resources/sample/catalog.json", "resources/sample/labels.gpkg"
LINE = shapely.LineString([(14, 46), (14.1, 46)])

CASES: dict[str, Do] = {
    # the config
    "no datasets": configured("datasets", {}),
    "a dataset's name": configured("datasets.Crops-2020", {}),
    "results in a bucket": configured("results", "s3://bucket/chips"),
    "a key of another block": configured("defaults.imagery.pad", 2),
    "a misspelt key": configured("defaults.tiles.resolutoin", 10),
    "text for a number": configured("defaults.tiles.size", "64 px"),
    "a fraction of a pixel": configured("defaults.tiles.size", 64.5),
    "cloud in percent": configured("defaults.imagery.max_cloud", 40),
    "an invalid day": configured("defaults.imagery.start", "2023-13-01"),
    "German days": configured("defaults.imagery.start", "01.04.2023"),
    "no products": configured("defaults.imagery.products", KeyError),
    "a product without bands": configured("defaults.imagery.products", [{"id": "sample-l2a", "bands": []}]),
    "a band twice": configured("defaults.imagery.products", [{"id": "sample-l2a", "bands": ["B04", "B04"]}]),
    "no reference date": configured("defaults.imagery.reference_date", KeyError),
    "an unknown composite": configured("defaults.imagery.composite", "mosaic"),
    "clear and bits": configured("defaults.imagery.cloud_mask.bits", [0]),
    "a layer named like a key of records": configured("defaults.imagery.layers", {"image": {}}),
    "a layer and a target of one name": configured(
        "defaults.imagery.layers", {"s2": {}}, ("defaults.labels.targets", {"s2": {}})
    ),
    "a length of periods": configured("defaults.imagery.periods", {"every": "1 fortnight"}),
    "periods that overlap": configured(
        "defaults.imagery.periods", [["2023-01-01", "2023-01-31"], ["2023-01-31", "2023-03-01"]]
    ),
    "periods and scenes": configured("defaults.imagery.scenes", 3, ("defaults.imagery.periods", {"every": "1 month"})),
    "a resolution that is no multiple": configured("defaults.imagery.resolution", 15),
    "files without path": configured("defaults.imagery.source", "files"),
    "no raster at the path": configured("defaults.imagery.source", "files", ("defaults.imagery.path", "dem/*.tif")),
    "a band that the file lacks": prepared(
        raster("dem.tif"), configured("defaults.imagery.source", "files", ("defaults.imagery.path", "dem.tif"))
    ),
    "no catalogue": configured("defaults.imagery.catalog", KeyError),
    "AOI and keys": configured("defaults.tiles.keys", ["60:2:10.0:33:-334:8908"]),
    "classes without attribute": configured("defaults.labels.attribute", None),
    "unknown is the background": configured("defaults.labels.unknown", 255),
    "shares of nothing": configured("defaults.tfrecords.splits", {"train": 1, "val": 0}),
    "shares below nothing": configured("defaults.tfrecords.splits", {"train": 1.1, "val": -0.1}),
    "an unknown storage": configured("defaults.tfrecords.storage", "npz"),
    "png of four bands": configured("defaults.tfrecords.storage", "png"),
    "a class that is none": configured("defaults.select", {"classes": {"sea": {"min": 0.1}}}),
    "no tile has so much": configured("defaults.select", {"labelled": {"min": 0.8, "max": 0.2}}),
    "blocks below a tile": configured("defaults.splitting", {"by": "block", "block": 100}),
    "a guard between tiles": configured("defaults.splitting", {"guard": 100}),
    "too fine a resolution": configured("defaults.tiles.resolution", 0.12345678),
    "a grid in degrees": configured("defaults.tiles.grid", {"crs": "EPSG:4326"}),
    "a grid in an unknown CRS": configured("defaults.tiles.grid", {"crs": "EPSG:999999"}),
    "a CRS without code": configured("defaults.tiles.grid", {"crs": "+proj=laea +lat_0=47 +lon_0=8 +ellps=GRS80"}),
    "a CRS for a grid": configured("defaults.tiles.grid", "EPSG:2056"),
    "an origin as text": configured("defaults.tiles.grid", {"crs": "EPSG:2056", "origin": "0, 0"}),
    "a stride with gaps": configured("defaults.tiles.stride", 100),
    "AOI and centers": configured("defaults.tiles.centers", "points.gpkg"),
    "keys of mixed grids": configured(
        "defaults.tiles", {"keys": ["60:2:10.0:33:-334:8908", "60:2:10.0:EPSG3035:7700:4300"]}
    ),
    "polygons for centers": prepared(vectors("areas.gpkg"), configured("defaults.tiles", {"centers": "areas.gpkg"})),
    "datasets as a list": configured("datasets", ["sample"]),
    "a key that is none": configured("default", {}),
    "an unknown source": configured("defaults.imagery.source", "gee"),
    "start after end": configured("defaults.imagery.start", "2029-01-01"),
    "a filter that cannot be read": configured("defaults.imagery.filter", "cloud <"),
    "an unknown resampling": configured("defaults.imagery.products", [{**PRODUCT, "resampling": "nearby"}]),
    "a product twice": configured("defaults.imagery.products", [PRODUCT, PRODUCT]),
    "no patience": configured("defaults.imagery.patience", 0),
    "bits that are no neighbours": configured(
        "defaults.imagery.cloud_mask", {"asset": "cloud_mask", "fields": [{"bits": [1, 3], "clear": [0]}]}
    ),
    "a mask product without band": configured("defaults.imagery.cloud_mask", {"product": "clouds", "clear": [0]}),
    "a mask whose limits are swapped": configured(
        "defaults.imagery.cloud_mask", {"asset": "cloud_mask", "min": 60, "max": 40}
    ),
    "padding that leaves no core": configured("defaults.tiles.pad", 40),
    "a resolution of nothing": configured("defaults.tiles.resolution", 0),
    "a split of a reserved name": configured("defaults.tfrecords.splits", {"all": 1}),
    "no shards at all": configured("defaults.tfrecords.shards", 0),
    "an unknown compression": configured("defaults.tfrecords.compression", "ZIP"),
    "a class above 255": configured("defaults.labels.classes", {"water": 300}),
    "measurements with classes": configured("defaults.labels.kind", "continuous"),
    "measurements spread over splits by class": configured(
        "defaults.labels",
        {"path": LABELS, "kind": "continuous", "attribute": "class_id"},
        ("defaults.splitting", {"by": "block", "cover": True}),
    ),
    "one pattern of names without the other": configured(
        "datasets", {"old": {"chips": {**CHIPS["chips"], "image_names": "{name}_sat"}}}
    ),
    "a colour that is none": configured("datasets", {"old": {"chips": {**CHIPS["chips"], "classes": {"#ff": 1}}}}),
    # files
    "labels that are nowhere": configured("defaults.labels.path", "nowhere.gpkg"),
    "an attribute that is not there": configured("defaults.labels.attribute", "klass"),
    "a layer that is not there": configured("defaults.labels.layer", "fields"),
    "labels without CRS": prepared(
        vectors("plain.gpkg", crs=None), configured("defaults.labels", {"path": "plain.gpkg"})
    ),
    "an area that is nowhere": configured("defaults.tiles.aoi", "nowhere.geojson"),
    "an area that is no vector file": prepared(
        text("area.geojson", "{}"), configured("defaults.tiles.aoi", "area.geojson")
    ),
    "regions that are nowhere": configured("defaults.splitting", REGIONS),
    "keys that are nowhere": configured("defaults.tiles", {"keys": "nowhere.txt"}),
    "a catalogue that is nowhere": configured("defaults.imagery.catalog", "nowhere/catalog.json"),
    "a web page for a catalogue": prepared(
        text("page.json", "<html>"), configured("defaults.imagery.catalog", "page.json")
    ),
    "a product that the catalogue lacks": configured("defaults.imagery.products", [{**PRODUCT, "id": "s2"}]),
    "a band that no scene has": configured("defaults.imagery.products", [{**PRODUCT, "bands": ["B99"]}]),
    "days without scenes": configured("defaults.imagery.start", "1999-01-01", ("defaults.imagery.end", "1999-12-31")),
    "a raster that is damaged": prepared(
        text("dem.tif", "II*"), configured("defaults.imagery.source", "files", ("defaults.imagery.path", "dem.tif"))
    ),
    "a picture for labels": prepared(raster("labels.tif"), configured("defaults.labels.path", "labels.tif")),
    "lines for an area": prepared(vectors("lines.gpkg", [LINE]), configured("defaults.tiles.aoi", "lines.gpkg")),
    "fractions for classes": prepared(
        vectors("half.gpkg", value=[1.5]), configured("defaults.labels", {"path": "half.gpkg", "attribute": "value"})
    ),
    "a class that equals the background": prepared(
        vectors("full.gpkg", value=[255]), configured("defaults.labels", {"path": "full.gpkg", "attribute": "value"})
    ),
    "degrees that are metres": prepared(
        vectors("far.gpkg", [shapely.box(4e5, 5e6, 5e5, 5.1e6)]), configured("defaults.tiles.aoi", "far.gpkg")
    ),
    "a region of no split": prepared(vectors("regions.gpkg", name=["x"]), configured("defaults.splitting", REGIONS)),
    "keys that are none": prepared(text("keys.txt", "33TVM\n"), configured("defaults.tiles", {"keys": "keys.txt"})),
    "an empty list of keys": prepared(text("keys.txt", "\n"), configured("defaults.tiles", {"keys": "keys.txt"})),
    "an item for a catalogue": prepared(
        text("item.json", '{"type": "Feature", "stac_version": "1.0.0"}'),
        configured("defaults.imagery.catalog", "item.json"),
    ),
    "no folder of chips": configured("datasets", {"old": CHIPS}),
    "chips without partner": prepared(
        lambda: (folders_of("a"), [path.unlink() for path in Path("a/labels").iterdir()]),
        configured("datasets", {"old": CHIPS}),
    ),
    # commands
    "no rasters": prepared(lambda: Path("empty").mkdir(), run("catalog", "empty")),
    "a file for a folder": prepared(raster("in.tif"), run("catalog", "in.tif")),
    "a pattern without scene and band": prepared(
        raster("in/x_20200101.tif"), run("catalog", "in", "--pattern", "*.tif")
    ),
    "a pattern that nothing matches": prepared(
        raster("in/x_20200101.tif"), run("catalog", "in", "--pattern", "{scene}.img")
    ),
    "a day that no calendar has": prepared(raster("in/x_20230231T101010.tif"), run("catalog", "in")),
    "a raster without place": prepared(
        lambda: write_raster(Path("in/x.tif"), np.ones((8, 8), "uint8"), Affine.identity(), "EPSG:32633"),
        run("init", "--labels", LABELS, "--imagery", "in/x.tif"),
    ),
    "a raster of Mars": prepared(
        raster("mars.tif", crs="+proj=longlat +R=3396190"), run("init", "--labels", LABELS, "--imagery", "mars.tif")
    ),
    "imagery that is nowhere": run("init", "--labels", LABELS, "--imagery", "nowhere.tif"),
    "imagery elsewhere": prepared(
        vectors("far.gpkg", [shapely.box(0, 0, 0.1, 0.1)]), run("init", "--labels", "far.gpkg", "--imagery", CATALOGUE)
    ),
    "a product to choose": run("init", "--labels", LABELS, "--imagery", CATALOGUE, "--product", "s2"),
    "a config that is there already": prepared(
        text("mine.yaml", ""), run("init", "--labels", LABELS, "--imagery", CATALOGUE, "--output", "mine.yaml")
    ),
    "several files of labels": prepared(
        prepared(lambda: Path("in").mkdir(), lambda: [vectors(f"in/{name}.gpkg")() for name in "abc"]),
        run("init", "in", "--imagery", CATALOGUE),
    ),
    "a dataset to look at": run("look", "nowhere"),
    "objects of a dataset without any": run("coco", "results/sample"),
    "a raster without day": prepared(raster("in/x.tif"), run("catalog", "in")),
    "no labels to look at": prepared(raster("in/x_20200101.tif"), run("init", "in")),
    # training code
    "no shards": lambda: segchips.read_info("nowhere"),
    "no such split": lambda: segchips.load(SHARDS, "dev"),
    "no such chip": lambda: segchips.read(SHARDS, "60:2:10.0:33:0:0"),
    "a shard gone": prepared(
        lambda: next(Path(SHARDS).glob("*train.tfrecord-*")).unlink(), lambda: segchips.load(SHARDS, "train")
    ),
    "statistics of no split": lambda: segchips.load(SHARDS, "train", normalise="dev"),
    "no predictions": lambda: segchips.mosaic([], "map.tif"),
    "a prediction of another size": lambda: segchips.mosaic(
        [("60:2:10.0:33:-334:8908", np.zeros((10, 10), "uint8"))], "map.tif"
    ),
    "a prediction without place": lambda: segchips.mosaic([("a|null|", np.zeros((10, 10), "uint8"))], "map.tif"),
    "a name that TensorFlow Datasets refuses": prepared(
        lambda: folders_of("a"), lambda: segchips.convert("a/images", "a/labels", "out", "my-chips", records())
    ),
    "an unknown storage for chips": prepared(
        lambda: folders_of("a"), lambda: segchips.convert("a/images", "a/labels", "out", "chips", records("npz"))
    ),
}


def folders_of(root: str) -> None:
    Path(root).mkdir()
    write_chip_folders(Path(root), ["one", "two"])


@pytest.fixture
def here(sample_run: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The finished sample as links: cases add and remove files, and change none."""
    folder = Path(shutil.copytree(sample_run.folder, tmp_path / "project", copy_function=os.link))
    monkeypatch.chdir(folder)
    return folder


PAGE = Path(__file__).with_name("messages.md").read_text(encoding="utf-8")
TOLD = dict(line[4:].split("**: ", 1) for line in PAGE.splitlines() if line.startswith("- **"))


@pytest.mark.parametrize("name", CASES)
def test_message(here: Path, name: str) -> None:
    with pytest.raises((SegchipsError, SystemExit)) as told:
        CASES[name]()
    assert str(told.value) == TOLD[name]


def test_every_message_is_one_line() -> None:
    assert len(CASES) >= 100 and set(CASES) == set(TOLD)
    for message in TOLD.values():
        assert "\n" not in message
        assert len(message) < 300
        assert not re.search(r"Traceback|Errno|\b[A-Z]\w+(Error|Exception)\b", message)
