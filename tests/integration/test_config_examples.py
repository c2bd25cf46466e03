"""Every example config is valid, and runs on generated files wherever no account is needed."""

from datetime import date, timedelta
from itertools import cycle, islice
from itertools import product as product_of
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import yaml

from segchips.cli import main
from segchips.config.imagery import ImageryConfig
from segchips.config.labels import LabelLayer
from segchips.config.loading import load_config
from segchips.config.model import Config, Dataset
from segchips.grids.tile import Tile
from support.catalogues import make_asset, make_item, write_catalogue
from support.chips import write_chip_folders
from support.datasets import tile_at, tile_outline
from support.projects import REPOSITORY, Project
from support.rasters import raster_outline, transform_over, write_raster
from support.vectors import write_vectors

EXAMPLES = sorted((REPOSITORY / "config" / "examples").glob("*.yaml"))
LOCAL = [path for path in EXAMPLES if path.stem != "pleiades_1m_rgb"]


def read(path: Path) -> tuple[dict[str, Any], Config]:
    raw = yaml.safe_load(path.read_text())
    return raw, load_config(raw)


def tile_of(dataset: Dataset, zone: int = 33) -> Tile:
    return tile_at(dataset.tiles.size, dataset.tiles.pad, dataset.tiles.resolution or 10, zone)


def zones_of(dataset: Dataset) -> list[int]:
    """UTM zones in which the dataset has ground: points lie far apart."""
    return [33, 31] if dataset.tiles.centers else [33]


def side_of(dataset: Dataset) -> int | None:
    """Pixels along a side of scenes that have to cover tiles of another grid."""
    return None if dataset.tiles.grid == "dltile" else 4 * dataset.tiles.size


def write_scene(
    path: Path, tile: Tile, kind: str, value: int | None = None, bands: int = 1, side: int | None = None
) -> Path:
    side = side or tile.grid.size + 8
    noise = np.random.default_rng(len(str(path))).integers(1, 200, (bands, side, side))
    data = (noise if value is None else np.full_like(noise, value)).astype(kind)
    return write_raster(path, data, transform_over(tile, (side, side), tile.grid.resolution), tile.crs, nodata=None)


def write_scenes(dataset: Dataset, folder: Path) -> list[dict[str, Any]]:
    """Two scenes of each product in each layer, with the mask where one is configured."""
    layers = [(name, layer) for name, layer in dataset.imagery.layers.items() if layer.source == "stac"]
    return [scene for name, layer in layers for scene in write_layer(dataset, name, layer, folder)]


def write_layer(dataset: Dataset, layer: str, imagery: ImageryConfig, folder: Path) -> list[dict[str, Any]]:
    made = []
    first, last = imagery.start or date(2021, 4, 12), imagery.end or date(2021, 5, 2)
    days = (first + timedelta(10), last - timedelta(10))
    for number, (day, zone) in enumerate(product_of(days, zones_of(dataset))):
        tile, side = tile_of(dataset, zone), side_of(dataset)
        for product in imagery.products:
            name = f"{dataset.name}{layer}-{product.id}-{number}"
            kind = "uint8" if dataset.tfrecords.storage == "png" else "uint16"
            assets = {
                band: make_asset(write_scene(folder / name / f"{band}.tif", tile, kind, side=side))
                for band in product.bands
            }
            if imagery.cloud_mask and imagery.cloud_mask.asset:
                clear = (imagery.cloud_mask.clear or (0,))[0]
                key = imagery.cloud_mask.asset
                assets[key] = make_asset(write_scene(folder / name / f"{key}.tif", tile, "uint16", clear, side=side))
            outline = raster_outline(folder / name / f"{product.bands[0]}.tif")
            made.append(make_item(name, f"{day}T10:00:00Z", assets, outline, product.id, cloud=5))
    return made


def write_labels(layer: LabelLayer, kind: str, dataset: Dataset, ground: shapely.Geometry, path: Path) -> None:
    if path.suffix == ".tif":
        values = ("float32", None) if kind == "continuous" else ("uint8", 10)
        write_scene(path.with_name(path.name.replace("*", "all")), tile_of(dataset), *values)
        return
    if dataset.tiles.centers:
        points = [tile_outline(tile_of(dataset, zone)).centroid for zone in zones_of(dataset)]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_vectors(path, points, "EPSG:4326", **{str(layer.attribute): [1, 2]})
        return
    west, south, east, north = ground.bounds
    columns = np.linspace(west, east, 7)
    boxes = [shapely.box(left, south, right, north) for left, right in zip(columns[:-2:2], columns[1::2], strict=False)]
    values = list(layer.classes) if layer.classes else [1, 2, 3]
    attributes = {layer.attribute or "name": list(islice(cycle(values), len(boxes)))}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_vectors(path, boxes, "EPSG:4326", layer=layer.layer, **attributes)


def prepare(config: Config, raw: dict[str, Any], folder: Path) -> None:
    """Files where the config has them; a catalogue that is far away gets a place nearby."""
    first = next(iter(config.datasets.values()))
    ground = tile_outline(tile_of(first)).buffer(-1e-4)
    for target in first.labels.targets.values():
        for layer in target.layers:
            write_labels(layer, target.kind, first, ground, folder / layer.path)
    if first.tiles.aoi:
        # On grid `imagery` the tile of the scenes is none of the grid's, and one alone may lie at the edge of a block.
        area = ground if first.tiles.grid == "imagery" else ground.centroid.buffer(1e-4)
        write_vectors(folder / first.tiles.aoi, [area], "EPSG:4326", name=["area"])
    if first.name == "roofs":
        for year in (2016, 2021):
            write_scene(folder / "data/orthophotos" / f"ortho_{year}-05-01.tif", tile_of(first), "uint8", bands=3)
        main(["catalog", "data/orthophotos"])
        return
    for layer in first.imagery.layers.values():
        if layer.source == "files":
            path = folder / str(layer.path) / "part.tif"
            write_scene(path, tile_of(first), "uint8", bands=3, side=side_of(first))
    if first.imagery.first.source == "files":
        return
    place = raw["defaults"]["imagery"]["catalog"]
    if place.startswith("https://"):
        place = raw["defaults"]["imagery"]["catalog"] = "data/nearby/catalog.json"
        raw["defaults"]["imagery"].pop("sign", None)
    scenes = [scene for dataset in config.datasets.values() for scene in write_scenes(dataset, folder / "scenes")]
    write_catalogue((folder / place).parent, scenes)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_is_valid_and_in_the_manual(path: Path) -> None:
    raw, config = read(path)
    assert config.datasets or config.conversions
    assert path.read_text().startswith("# "), "says what it is for"
    assert f"examples/{path.name}" in (REPOSITORY / "config" / "README.md").read_text()
    assert all(dataset.imagery.first.on_platform for dataset in config.datasets.values()) or path in LOCAL


FAST = ("arcgis_chips", "earth_search")


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[] if path.stem in FAST else pytest.mark.slow) for path in LOCAL],
    ids=lambda path: path.stem,
)
def test_runs_on_generated_files(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    raw, config = read(path)
    if config.conversions:
        (tmp_path / "data" / "arcgis").mkdir(parents=True)
        write_chip_folders(tmp_path / "data/arcgis", ["000000000", "000000001", "000000002"])
    else:
        prepare(config, raw, tmp_path)
    project = Project(tmp_path)
    project.write(raw)
    result = project.run(*(f"results/{name}/ledger.csv" for name in raw["datasets"]))
    assert result.returncode == 0, result.stdout
    for name, dataset in {**config.datasets, **config.conversions}.items():
        rows = project.ledger(name)
        states = {row["state"] for row in rows}
        assert "made" in states and states <= ({"made"} if len(rows) == 1 else {"made", "dropped"}), rows
        if name in config.datasets:
            if dataset.labels.first.kind == "instances":
                main(["coco", f"results/{name}"])
                assert list((tmp_path / "results" / name / "coco").glob("panoptic_*.json"))
            bands = bands_of(project.results(name))
            for layer, imagery in dataset.imagery.layers.items():
                assert list((tmp_path / "results" / name / "images" / layer).glob("*.tif"))
                assert bands[layer] == (sum(len(product.bands) for product in imagery.products) or 3)


def bands_of(folder: Path) -> dict[str, int]:
    import segchips

    images = segchips.read_info(folder / "tfrecords").images
    return {layer: layout.shape[-1] for layer, layout in images.items()}
