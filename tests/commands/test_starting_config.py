"""A starting config contains what the user's files say, and the workflow accepts it."""

import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import yaml
from shapely.geometry import box

from segchips.cli import main
from segchips.commands.imagery_survey import survey_imagery
from segchips.commands.labels_block import LabelsSurvey
from segchips.commands.starting_config import config_notes
from segchips.config.imagery import Nodata
from segchips.config.loading import load_config
from segchips.labels.features import LabelFeatures
from support.datasets import tile_at, tile_outline
from support.rasters import transform_over, write_raster
from support.vectors import write_vectors

TILE = tile_at()
GROUND = tile_outline(TILE)
MIDDLE = GROUND.centroid
PARTS = [box(MIDDLE.x + at, MIDDLE.y, MIDDLE.x + at + 1e-5, MIDDLE.y + 1e-5) for at in (0, 2e-5, 4e-5)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scenes(folder, names=("a_20170301", "a_20170501", "a_20170601"), bands=3, step=10):
    for name in names:
        data = np.ones((bands, 40, 40), "uint16")
        write_raster(folder / f"{name}.tif", data, transform_over(TILE, (40, 40), step), TILE.crs, nodata=0)


def labels(path, **attributes):
    return write_vectors(path, PARTS, "EPSG:4326", **attributes)


def init(*arguments):
    """Run the command, and read the config as the workflow does."""
    main(["init", *map(str, arguments)])
    (path,) = Path("config").glob("*.yaml")
    raw = yaml.safe_load(path.read_text())
    ((name, dataset),) = load_config(raw).datasets.items()
    assert name == path.stem
    path.unlink()
    return dataset


def test_everything_is_found_in_one_folder(here, capsys):
    scenes(here / "My data")
    labels(here / "My data" / "fields.gpkg", kind=["rye", "oats", "rye"])
    write_vectors(here / "My data" / "aoi.geojson", [GROUND], "EPSG:4326", name=["x"])
    dataset = init("My data")
    assert dataset.name == "my_data"
    assert dataset.tiles.aoi == "My data/aoi.geojson"
    assert dataset.tiles.resolution == 10
    (layer,) = dataset.labels.first.layers
    assert (layer.path, layer.attribute, layer.classes) == ("My data/fields.gpkg", "kind", {"oats": 1, "rye": 2})
    imagery = dataset.imagery.first
    assert (imagery.catalog, imagery.products[0].id) == ("resources/My-data/catalog.json", "My-data")
    assert imagery.products[0].bands == ("image:1", "image:2", "image:3")
    assert (imagery.start, imagery.end) == (date(2017, 3, 1), date(2017, 6, 1))
    assert imagery.reference_date == date(2017, 5, 1), "the scene in the middle"
    assert dataset.splitting.cover, "among few tiles chance leaves splits empty"
    said = capsys.readouterr().out
    assert "aoi.geojson: 2 tiles" in said
    assert "snakemake --configfile config/my_data.yaml" in said
    assert "3 bands" in said


@pytest.mark.parametrize(("nodata", "expected"), [(0, Nodata(0, "all")), (None, None)])
def test_nodata_of_pictures_has_to_be_in_all_bands(here, nodata, expected):
    data = np.ones((3, 40, 40), "uint8")
    transform = transform_over(TILE, (40, 40), 10)
    write_raster(here / "in" / "a_20170301.tif", data, transform, TILE.crs, nodata=nodata, photometric="RGB")
    labels(here / "labels.gpkg")
    (product,) = init("in", "--labels", here / "labels.gpkg").imagery.first.products
    assert product.nodata_rule == expected


@pytest.mark.parametrize(
    ("crs", "step", "metres", "off_utm"),
    [
        ("EPSG:4326", 0.0001, 0.0001 * 111320 * np.cos(np.radians(46.05)), False),
        ("EPSG:32633", 10.0, 10.0, False),
        ("EPSG:3413", 11.0, 11.0, True),
        ("+proj=utm +zone=33 +units=us-ft", 30.0, 30 * 0.3048, True),
    ],
)
def test_pixel_size_in_metres_and_whether_utm(here, crs, step, metres, off_utm):
    transform = transform_over(TILE, (40, 40), step, crs)
    write_raster(here / "in" / "a_20170301.tif", np.ones((40, 40), "uint8"), transform, crs)
    imagery = survey_imagery(["in"])[0]
    assert imagery.pixel_size == pytest.approx(metres, rel=0.01)
    assert imagery.off_utm == off_utm
    notes = "\n".join(config_notes([imagery], LabelsSurvey("labels.gpkg")))
    assert ("grid: imagery" in notes) == off_utm


def test_fine_pixels_get_larger_chips(here):
    scenes(here, step=1)
    labels(here / "roofs.gpkg", name=["a", "b", "c"])
    dataset = init()
    assert (dataset.tiles.resolution, dataset.tiles.size, dataset.tiles.pad) == (1, 256, 8)
    assert dataset.tiles.aoi is None, "the labels' ground"


@pytest.mark.parametrize(
    ("attributes", "attribute", "classes"),
    [
        ({"fid_old": [1, 2, 3], "name": ["a", "b", "c"]}, None, None),
        ({"code": [5, 7, 5]}, "code", None),
        ({"code": [5, 700, 5]}, None, None),
        ({"code": [5, 7, 5], "lulc": ["rye", "oats", "rye"]}, "lulc", {"rye": 5, "oats": 7}),
        ({"code": [5, 7, 5], "lulc": ["rye", "", "rye"]}, "lulc", {"rye": 5, "": 7}),
        ({"lulc": ["rye", "", "rye"]}, "lulc", {"rye": 1, "": None}),
        ({"lulc": ["rye", None, "rye"]}, "lulc", {"rye": 1, "": None}),
        ({"owner": ["x", "y", "x"], "crop": ["rye", "oats", "rye"]}, "crop", {"oats": 1, "rye": 2}),
        ({"other": [1, 1, 2], "crop": ["rye", "oats", "rye"]}, "crop", {"oats": 1, "rye": 2}),
    ],
    ids=[
        *("no classes", "numbers", "too large", "names of numbers", "a blank name", "a blank", "nothing", "by name"),
        "text before number",
    ],
)
def test_the_attribute_that_looks_like_classes_is_taken(here, attributes, attribute, classes):
    scenes(here / "in")
    path = labels(here / "labels.gpkg", **attributes)
    (layer,) = init("in", "--labels", path).labels.layers
    assert (layer.attribute, layer.classes) == (attribute, classes)


def test_a_catalogue_tells_its_mask(here, sample_folder):
    sample = sample_folder / "resources" / "sample"
    dataset = init(
        "--imagery", sample / "catalog.json", "--labels", sample / "labels.gpkg", "--aoi", sample / "aoi.gpkg"
    )
    assert (dataset.imagery.first.cloud_mask.asset, dataset.imagery.first.cloud_mask.clear) == ("cloud_mask", (0,))
    assert dataset.imagery.first.products[0].bands == ("B02", "B03", "B04", "B08")
    (layer,) = dataset.labels.first.layers
    assert layer.classes == {"water": 1, "forest": 2, "field": 3, "built": 4, "road": 5}
    assert (dataset.imagery.first.start, dataset.imagery.first.end) == (date(2023, 2, 8), date(2023, 10, 16))


@pytest.mark.parametrize("described", [True, False])
def test_an_api_is_asked_for_the_bands_and_their_pixel_size_before_a_file_is_read(
    here, sample_folder, stac_api, described
):
    import json

    sample = sample_folder / "resources" / "sample"
    items = []
    for path in sorted(sample.glob("sample-l2a/*/*.json")):
        item = json.loads(path.read_text()) | {"links": []}
        for key, asset in item["assets"].items():
            asset["href"] = f"http://127.0.0.1:9/{item['id']}/{key}.tif"
            if not described:
                item["assets"][key] = {name: asset[name] for name in ("href", "type")}
        if not described:
            item["properties"] = {name: item["properties"][name] for name in ("datetime", "eo:cloud_cover")}
        items.append(item)
    collection = json.loads((sample / "sample-l2a" / "collection.json").read_text()) | {"links": []}
    if not described:
        collection |= {"summaries": {}, "item_assets": {}}
    url = stac_api(items, [collection])
    arguments = "--imagery", url, "--labels", sample / "labels.gpkg"
    if described:
        assert init(*arguments).imagery.first.products[0].bands == ("B02", "B03", "B04", "B08")
    else:
        with pytest.raises(SystemExit, match="band 'B02' of scene .* cannot be read"):
            init(*arguments)


def two_vectors(here):
    for name in ("one", "two", "three"):
        labels(here / f"{name}.gpkg", kind=["a", "b", "a"])


def two_layers(here):
    path = here / "many.gpkg"
    write_vectors(path, PARTS, "EPSG:4326", layer="a", kind=["x", "y", "x"])
    write_vectors(path, PARTS, "EPSG:4326", layer="b", kind=["x", "y", "x"])


def there_already(here):
    labels(here / "labels.gpkg", kind=["a", "b", "a"])
    (here / "config").mkdir()
    (here / "config" / "mine.yaml").write_text("")


@pytest.mark.parametrize(
    ("prepare", "arguments", "words"),
    [
        (lambda here: None, [], ["no label layer found", "--labels"]),
        (two_vectors, [], ["several vector files", "'one.gpkg'", "--labels", "--aoi"]),
        (two_layers, [], ["several layers", "'a', 'b'"]),
        (lambda here: None, ["--labels", "no.gpkg"], ["'no.gpkg' does not exist"]),
        (there_already, ["--name", "mine"], ["'config/mine.yaml' is there already", "--output"]),
        (there_already, ["--imagery", "no/catalog.json"], ["catalogue no/catalog.json: no such file"]),
        (
            there_already,
            ["--product", "b", "--imagery", "resources/in/catalog.json"],
            ["no product 'b'", "--product: in"],
        ),
    ],
)
def test_missing_information_is_requested(here, prepare, arguments, words, capsys):
    scenes(here / "in")
    main(["catalog", "in"])
    assert "resources/in/catalog.json: 3 scenes of product 'in'" in capsys.readouterr().out
    prepare(here)
    with pytest.raises(SystemExit) as error:
        main(["init", *arguments])
    for word in words:
        assert word in str(error.value)
    assert not [path for path in here.glob("config/*") if path.read_text()]


def test_a_folder_without_rasters_is_said(here):
    labels(here / "labels.gpkg", kind=["a", "b", "a"])
    shutil.rmtree(here / "resources", ignore_errors=True)
    with pytest.raises(SystemExit, match="holds neither catalog.json nor GeoTIFFs; .* --imagery"):
        main(["init"])


def raster_labels(here, data, nodata=None, table=""):
    path = write_raster(here / "map.tif", data, transform_over(TILE, data.shape, 10), TILE.crs, nodata=nodata)
    if table:
        names = "".join(f"<Category>{name}</Category>" for name in table.split(","))
        (here / "map.tif.aux.xml").write_text(
            f"<PAMDataset><PAMRasterBand band='1'><CategoryNames>{names}</CategoryNames></PAMRasterBand></PAMDataset>"
        )
    return path


@pytest.mark.parametrize(
    ("data", "nodata", "names", "block"),
    [
        (np.array([[0, 3, 7, 255]], "uint8"), 255, "", {"classes": None, "background": 255, "unknown": 254}),
        (np.array([[0, 3, 7, 255]], "uint8"), None, "", {"classes": None, "background": 254, "unknown": None}),
        (np.array([[1, 2, 2, 3]], "uint8"), 3, "none,tree,10", {"classes": {"tree": 1, "2": 2}, "unknown": 254}),
        (np.array([[11, 300, 300, -4]], "int16"), None, "", {"classes": {"-4": 1, "11": 2, "300": 3}}),
        (np.array([[1, 2, 2, 4]], "float32"), None, "", {"classes": None, "kind": "classes"}),
        (np.array([[1.5, 2, 2, 4]], "float32"), None, "", {"classes": None, "kind": "continuous"}),
        (np.arange(1600, dtype="int16").reshape(40, 40), None, "", {"kind": "continuous"}),
    ],
    ids=["nodata", "255", "names", "numbers", "whole floats", "floats", "heights"],
)
def test_rasters_tell_their_classes(here, data, nodata, names, block, capsys):
    scenes(here / "in")
    path = raster_labels(here, np.resize(data, (40, 40)), nodata, names)
    dataset = init("in", "--labels", path)
    (layer,) = dataset.labels.first.layers
    found = {key: getattr(layer if key == "classes" else dataset.labels.first, key) for key in block}
    assert found == block
    assert f"labels   {path}" in capsys.readouterr().out
    features = LabelFeatures(dataset.labels.first)
    known = features.describe(TILE, []).known
    assert known == int((features.burn(TILE, []) != (254 if nodata is not None else -1)).sum()) > 0
