"""COCO and panoptic annotations, read by COCO's own library and compared with the chips."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from pycocotools.coco import COCO

from segchips.cli import main
from segchips.grids.tile import chip_filename
from segchips.labels.chip import make_label
from segchips.records.dataset_files import write_description
from segchips.records.dataset_info import ChipLayout, DatasetInfo
from support.chips import write_chip
from support.label_features import TILE, UTM, read_features, star_polygons
from support.vectors import write_vectors

EMPTY = replace(TILE, path=TILE.path + 5)


@pytest.fixture
def dataset(tmp_path):
    """A folder of results with the chips of two tiles, and a ledger."""
    tiles = [TILE, replace(TILE, path=TILE.path + 1)]
    polygons = star_polygons(np.random.default_rng(5), TILE, 25, radius=70)
    path = write_vectors(tmp_path / "a.gpkg", polygons, UTM, kind=[1 + n % 3 for n in range(25)])
    features = read_features(path, kind="instances", attribute="kind", background=0)
    with (tmp_path / "ledger.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["tile", "split", "state"])
        for tile, indices in zip(tiles, features.intersecting(tiles), strict=True):
            make_label(features, tile, indices, tmp_path / "labels" / chip_filename(tile.key))
            rows.writerow([tile.key, "train", "made"])
    return tmp_path, [tile.key for tile in tiles]


def read_chip(folder, key):
    with rasterio.open(folder / "labels" / chip_filename(key)) as chip:
        return chip.read(1), json.loads(chip.tags()["INSTANCES"])


def test_coco_reads_the_masks_of_the_chips(dataset, capsys):
    folder, keys = dataset
    main(["coco", str(folder)])
    assert "coco/train.json" in capsys.readouterr().out
    coco = COCO(folder / "coco/train.json")
    assert len(coco.imgs) == 2 and {category["id"] for category in coco.cats.values()} == {1, 2, 3}
    for image, key in zip(coco.loadImgs(coco.getImgIds()), keys, strict=True):
        numbers, listed = read_chip(folder, key)
        assert image["file_name"] == f"images/{chip_filename(key)}" and (image["height"], image["width"]) == (32, 32)
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        assert len(annotations) == len(listed) > 3
        for annotation, (number, layer, fid, value) in zip(annotations, listed, strict=True):
            mask = coco.annToMask(annotation)
            np.testing.assert_array_equal(mask == 1, numbers == number)
            assert annotation["area"] == mask.sum() and annotation["feature"] == [layer, fid]
            left, top, width, height = annotation["bbox"]
            assert mask[top : top + height, left : left + width].sum() == mask.sum()
            assert annotation["category_id"] == value


def test_classes_have_the_names_of_the_config_in_every_split(dataset):
    folder, keys = dataset
    with (folder / "ledger.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["tile", "split", "state"], [keys[0], "train", "made"], [keys[1], "test", "made"]])
    layout = ChipLayout("uint16", (32, 32), "GTiff", 0)
    names = {1: "house", 2: "shed, barn", 4: "silo"}
    parts = {"": layout}, {"": layout}, {"": None}, {"": "instances"}, {"": names}
    (folder / "tfrecords").mkdir()
    write_description(folder / "tfrecords", DatasetInfo("a", "array", None, {"train": (2,)}, *parts), {"train": 1})
    main(["coco", str(folder)])
    for file in ("train.json", "test.json", "panoptic_train.json"):
        categories = json.loads((folder / "coco" / file).read_text())["categories"]
        assert {one["id"]: one["name"] for one in categories} == names | {3: "class 3"}
    for key in keys:
        (folder / "images").mkdir(exist_ok=True)
        shutil.copy(folder / "labels" / chip_filename(key), folder / "images")
    main(["rcnn-masks", str(folder)])
    described = json.loads((folder / "rcnn_masks" / "esri_model_definition.emd").read_text())["Classes"]
    assert [one["Name"] for one in described] == ["house", "shed, barn", "3"]


def test_panoptic_images_hold_the_numbers(dataset):
    folder, keys = dataset
    main(["coco", str(folder)])
    content = json.loads((folder / "coco/panoptic_train.json").read_text())
    assert all(category["isthing"] for category in content["categories"])
    for annotation, key in zip(content["annotations"], keys, strict=True):
        numbers, listed = read_chip(folder, key)
        with rasterio.open(folder / "coco/panoptic_train" / annotation["file_name"]) as image:
            red, green, blue = image.read().astype(int)
        np.testing.assert_array_equal(red + 256 * green + 65536 * blue, numbers)
        assert [segment["id"] for segment in annotation["segments_info"]] == [number for number, *_ in listed]
    assert {path.suffix for path in (folder / "coco/panoptic_train").iterdir()} == {".png"}


def test_a_folder_without_objects_is_named(tmp_path):
    with pytest.raises(SystemExit, match="has no ledger.csv of a finished run"):
        main(["coco", str(tmp_path)])


def test_rcnn_masks_number_the_objects_of_each_class(dataset, capsys):
    folder, keys = dataset
    with (folder / "ledger.csv").open("a", newline="") as file:
        csv.writer(file).writerow([EMPTY.key, "val", "made"])
    write_chip(folder / "labels" / chip_filename(EMPTY.key), np.zeros((32, 32, 1), "uint16"), tags={"INSTANCES": "[]"})
    for key in [*keys, EMPTY.key]:
        write_chip(folder / "images" / chip_filename(key), np.full((32, 32, 3), 7, "uint8"))
    for _ in range(2):
        main(["rcnn-masks", str(folder)])
    out = folder / "rcnn_masks"
    assert str(out) in capsys.readouterr().out
    assert {path.name for path in (out / "images").iterdir()} == set(map(chip_filename, keys))
    listed = [line.split("\t") for line in (out / "map.txt").read_text().splitlines()]
    counts = {value: 0 for value in (1, 2, 3)}
    for key in keys:
        numbers, objects = read_chip(folder, key)
        for value in counts:
            some = [number for number, _, _, kind in objects if kind == value]
            path = out / "labels" / str(value) / chip_filename(key)
            assert ([f"images/{chip_filename(key)}", f"labels/{value}/{chip_filename(key)}"] in listed) == bool(some)
            assert path.exists() == bool(some)
            if some:
                with rasterio.open(path) as masks:
                    found = masks.read(1)
                assert {tuple(np.flatnonzero(found == one)) for one in range(1, len(some) + 1)} == {
                    tuple(np.flatnonzero(numbers == number)) for number in some
                }
                assert found.max() == len(some)
            counts[value] += len(some)
    statistics = json.loads((out / "esri_accumulated_stats.json").read_text())
    assert statistics["MetaDataMode"] == "RCNN_Masks"
    assert statistics["FeatureStats"]["NumFeaturesPerClass"] == list(counts.values())
    classes = json.loads((out / "esri_model_definition.emd").read_text())["Classes"]
    assert [(one["Value"], one["Name"]) for one in classes] == [(value, str(value)) for value in counts]
