"""Descriptors of a finished dataset, read by the tools that they are for, or as these tools read them."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import mlcroissant
import numpy as np
import pystac
import pytest
import rasterio
import rustac
import shapely
import yaml
from pystac.extensions.label import LabelExtension, LabelType
from pystac.validation import JsonSchemaSTACValidator, set_validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from segchips.config.loading import load_config
from segchips.reports.descriptors import write_descriptors
from segchips.scenes.stac_catalogue import StacCatalogue
from support.datasets import make_dataset
from support.projects import Project

CLASSES = {1: "water", 2: "forest", 3: "field", 4: "built", 5: "road", 255: "background"}
CORE = Path(pystac.__file__).parent / "validation" / "jsonschemas"
SCHEMAS = Path(__file__).parents[1] / "schemas"
CHECKED: Counter[str] = Counter()


def read_chips(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Image and label of every tile."""
    chips = {}
    for path in sorted(folder.glob("images/*.tif")):
        with rasterio.open(path) as image, rasterio.open(folder / "labels" / path.name) as label:
            chips[path.stem.replace("#", ":")] = image.read(), label.read(1)
    return chips


class OfflineValidator(JsonSchemaSTACValidator):
    """The core schemas that pystac brings with it; those of extensions as their authors published them."""

    def validate_extension(self, stac_dict: dict[str, Any], *about: Any) -> str | None:
        uri = about[2]
        _, extension, version, _ = uri.rsplit("/", 3)
        path = SCHEMAS / f"{extension}-{version}.json"
        if not path.exists():
            assert extension in ("classification", "raster")
            return None
        jsonschema.Draft7Validator(json.loads(path.read_text()), registry=Registry(retrieve=resolve_schema)).validate(
            stac_dict
        )
        CHECKED[extension] += 1
        return uri


def resolve_schema(uri: str) -> Resource:
    """GeoJSON's schemas come with pystac; that of PROJ is for a field we do not write."""
    path = CORE / "geojson" / uri.rpartition("/")[2]
    return DRAFT7.create_resource(json.loads(path.read_text()) if "geojson.org" in uri else {})


@pytest.fixture
def _offline() -> Any:
    from pystac.validation import RegisteredValidator

    before = RegisteredValidator.get_validator()
    set_validator(OfflineValidator())
    yield
    set_validator(before)


@pytest.mark.usefixtures("_offline")
def test_stac_is_valid_and_finds_the_chips(sample_run: Project) -> None:
    folder, rows = sample_run.results(), {row["tile"]: row for row in sample_run.ledger()}
    collection = pystac.Collection.from_file(str(folder / "stac" / "collection.json"))
    CHECKED.clear()
    assert collection.validate_all() == 6
    assert CHECKED == {"label": 6, "projection": 6, "ml-aoi": 6}
    items = {item.properties["title"]: item for item in collection.get_items(recursive=True)}
    assert set(items) == set(rows)
    for key, item in items.items():
        split = rows[key]["split"]
        assert item.properties["ml-aoi:split"] == {"val": "validate"}.get(split, split)
        assert LabelExtension.ext(item).label_type == LabelType.RASTER
        assert item.properties["label:classes"][0]["classes"] == list(CLASSES)
        classes = item.assets["label"].extra_fields["classification:classes"]
        assert {one["value"]: one["description"] for one in classes} == CLASSES
        for name in ("image", "label"):
            with rasterio.open(unquote(item.assets[name].get_absolute_href())) as chip:
                assert chip.tags()["TILE"] == key
                assert item.ext.proj.code == chip.crs.to_string() and item.ext.proj.shape == list(chip.shape)
                assert tuple(item.ext.proj.transform) == tuple(chip.transform)[:6]
                assert item.assets[name].extra_fields["data_type"] == chip.dtypes[0]
                assert item.assets[name].extra_fields["nodata"] == chip.nodata
                corners = shapely.box(*rasterio.warp.transform_bounds(chip.crs, 4326, *chip.bounds))
                footprint = shapely.geometry.shape(item.geometry)
                assert footprint.exterior.is_ccw and footprint.within(corners.buffer(1e-6))
                assert footprint.area > 0.9 * corners.area
                times = [
                    scene["acquired"] for scene in json.loads(chip.tags().get("SCENES", "{}")).get("sample-l2a", ())
                ]
            if times:
                assert (item.properties["start_datetime"], item.properties["end_datetime"]) == (min(times), max(times))


def test_the_stac_output_is_a_catalogue_for_a_next_dataset(sample_run: Project) -> None:
    """Chips are found as scenes with their bands, nodata, scale and offset; the JSON is strict."""

    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is not JSON")

    for path in sample_run.results().glob("stac/**/*.json"):
        json.loads(path.read_text(), parse_constant=refuse)
    catalog = str(sample_run.results() / "stac" / "collection.json")
    names = ["B02", "B03", "B04", "B08"]
    imagery = {"catalog": catalog, "products": [{"id": "sample", "bands": names}], "start": None, "end": None}
    catalogue = StacCatalogue(make_dataset(imagery={**imagery, "reference_date": None}).imagery.first)
    scenes = catalogue.search(np.array([shapely.box(-180, -90, 180, 90)]))
    assert len(scenes) == len(sample_run.ledger()) and not catalogue.skipped_items
    for scene in scenes:
        bands = [scene.band(name) for name in names]
        with rasterio.open(bands[0].href) as chip:
            assert [chip.descriptions[band.index - 1] for band in bands] == names
            assert [band.scaling for band in bands] == list(zip(chip.scales, chip.offsets, strict=True))
            assert {band.nodata for band in bands} == {chip.nodata} and bands[0].scale != 1.0


def without_nulls(value: Any) -> Any:
    """JSON without fields that are null, which a table has and a file of an item may lack."""
    if isinstance(value, dict):
        return {key: without_nulls(entry) for key, entry in value.items() if entry is not None}
    return [without_nulls(entry) for entry in value] if isinstance(value, list | tuple) else value


def test_items_of_many_chips_lie_in_a_table(
    sample_run: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "sample"
    shutil.copytree(sample_run.results(), folder)
    items = {path.stem: json.loads(path.read_text()) for path in (folder / "stac" / "items").glob("*.json")}
    monkeypatch.chdir(sample_run.folder)
    monkeypatch.setattr("segchips.reports.stac.MAX_ITEM_FILES", 2)
    write_descriptors(load_config(sample_run.config).datasets["sample"], folder)
    assert sorted(path.name for path in (folder / "stac").iterdir()) == ["collection.json", "items.parquet"]
    assert "item" not in {link["rel"] for link in json.loads((folder / "stac/collection.json").read_text())["links"]}

    table = rustac.read_sync(str(folder / "stac" / "items.parquet"))
    found = {item["id"]: without_nulls(item) for item in table["features"]}
    for item in items.values():
        for asset in item["assets"].values():
            asset["href"] = asset["href"].removeprefix("../")
        for link in item["links"]:
            link["href"] = link["href"].removeprefix(".")
    assert found == {name: without_nulls(item) for name, item in items.items()}
    imagery = {"catalog": str(folder / "stac" / "items.parquet"), "products": [{"id": "sample", "bands": ["B02"]}]}
    catalogue = StacCatalogue(make_dataset(imagery={**imagery, "start": None, "end": None}).imagery.first)
    assert len(catalogue.search(np.array([shapely.box(-180, -90, 180, 90)]))) == len(items)
    monkeypatch.undo()
    monkeypatch.chdir(sample_run.folder)
    write_descriptors(load_config(sample_run.config).datasets["sample"], folder)
    assert not (folder / "stac" / "items.parquet").exists()


def test_croissant_is_valid_and_reads_the_tiles(sample_run: Project) -> None:
    dataset = mlcroissant.Dataset(jsonld=str(sample_run.results() / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    records = [{key.rpartition("/")[2]: value for key, value in one.items()} for one in dataset.records("tiles")]
    assert {one["tile"].decode(): one["split"].decode() for one in records} == {
        row["tile"]: row["split"] for row in sample_run.ledger()
    }
    patterns = [one.includes for one in dataset.metadata.distribution if getattr(one, "includes", None)]
    assert all(list(sample_run.results().glob(pattern[0])) for pattern in patterns) and len(patterns) == 3


def test_the_card_has_front_matter_and_the_true_figures(sample_run: Project) -> None:
    text = (sample_run.results() / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    about = yaml.safe_load(front)
    assert about["task_categories"] == ["image-segmentation"] and about["size_categories"] == ["n<1K"]
    rows = {tuple(cell.strip() for cell in line.strip("|").split("|"))[:2]: line for line in body.splitlines()}
    chips = read_chips(sample_run.results())
    for split in ("train", "val", "test"):
        tiles = [row["tile"] for row in sample_run.ledger() if row["split"] == split]
        assert (split, str(len(tiles))) in rows
        if tiles:
            pixels = np.concatenate([chips[tile][0][3].ravel() for tile in tiles])
            pixels = pixels[pixels != 0]
            figures = f"{pixels.min():.6g} | {pixels.max():.6g} | {pixels.mean():.6g} | {pixels.std():.6g}"
            assert figures in rows["B08", split]
    for value, name in CLASSES.items():
        assert (str(value), name) in rows
    assert str(sample_run.folder) not in text


def test_arcgis_learn_finds_what_it_reads(sample_run: Project) -> None:
    """The keys, files and arithmetic of arcgis.learn.prepare_data for Classified Tiles."""
    folder = sample_run.results()
    definition = json.loads((folder / "esri_model_definition.emd").read_text())
    statistics = json.loads((folder / "esri_accumulated_stats.json").read_text())
    assert definition["MetaDataMode"] == statistics["MetaDataMode"] == "Classified_Tiles"
    pairs = [line.split() for line in (folder / "map.txt").read_text().splitlines()]
    chips = read_chips(folder)
    assert len(pairs) == statistics["NumTiles"] == len(chips)
    for image, label in pairs:
        image_path = folder / image
        assert image_path.exists() and folder / label == image_path.parents[1] / "labels" / (image_path.stem + ".tif")
    labels = np.stack([label for _, label in chips.values()])
    values = [one["Value"] for one in definition["Classes"]]
    assert {one["Value"]: one["Name"] for one in definition["Classes"]} == {
        value: name for value, name in CLASSES.items() if (labels == value).any()
    }
    assert all(
        len(one["Color"]) == 3 and 0 <= min(one["Color"]) <= max(one["Color"]) < 256 for one in definition["Classes"]
    )
    counted = statistics["ClassPixelStats"]
    assert counted["NumPixelsPerClass"] == [int((labels == value).sum()) for value in values]
    assert counted["NumImagesPerClass"] == [sum((label == value).any() for label in labels) for value in values]
    images = np.stack([image for image, _ in chips.values()]).astype(np.float64)
    assert definition["InputRastersProps"]["BandNames"] == ["B04", "B03", "B02", "B08"]
    for band, (of_tiles, state) in enumerate(
        zip(definition["AllTilesStats"], statistics["BandStatsState"], strict=True)
    ):
        pixels = images[:, band][images[:, band] != 0]
        assert (of_tiles["Min"], of_tiles["Max"], state["Num"]) == (pixels.min(), pixels.max(), pixels.size)
        assert (of_tiles["Mean"], state["M1"]) == pytest.approx((pixels.mean(), pixels.mean()), rel=1e-9)
        assert of_tiles["StdDev"] == pytest.approx(pixels.std(), rel=1e-9)
        assert (state["M2"] / state["Num"]) ** 0.5 == pytest.approx(pixels.std(), rel=1e-9)
    assert "WellKnownBandNames (FYI, these band names can be used in ExtractBands)" in definition


@pytest.mark.slow
def test_another_name_for_a_class_remakes_the_descriptors_and_no_chip(project: Project) -> None:
    classes = project.config["defaults"]["labels"]["classes"]
    project.change("defaults.labels.classes", {**classes, "lake": 1})
    made = project.run_and_count()
    assert (made["descriptors"], made["labels"], made["tfrecords"]) == (1, 0, 0)
    assert "| 1 | water, lake |" in (project.results() / "README.md").read_text()
