"""Report and STAC of chips made elsewhere: what they show, against the files of the chips."""

import json
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyproj
import pystac
import pytest
import rasterio

from segchips.config.chips import ChipsConfig
from segchips.config.model import Conversion
from segchips.config.splitting import SplittingConfig
from segchips.config.tfrecords import TFRecordsConfig
from segchips.records.conversion import convert_chips
from segchips.reports.chips_audit import audit_chips
from segchips.reports.chips_report import describe_pixels, write_chips_report
from segchips.reports.chips_stac import write_chips_stac
from segchips.reports.ledger import converted_rows
from segchips.tiles.assignment import MADE
from support.chips import random_pixels, write_chip
from support.report_page import Page, decode_png

SIZE, STEP, COUNT = 12, 10.0, 6
SHARES = {"train": 0.5, "test": 0.5}


def label_of(number):
    label = np.zeros((SIZE, SIZE, 1), np.uint8)
    label[: number + 1] = 255
    return label


def place_of(number):
    return rasterio.Affine(STEP, 0, 500000 + SIZE * STEP * number, 0, -STEP, 5400000)


def export(folder, crs):
    for number in range(COUNT):
        place = {"crs": crs, "transform": place_of(number) if crs else rasterio.Affine.identity()}
        image = random_pixels("uint16", (SIZE, SIZE, 4), number)
        write_chip(folder / f"images/scene {number}.tif", image, **place)
        write_chip(folder / f"labels/scene {number}.tif", label_of(number), **place)
    write_chip(folder / "images/alone.tif", random_pixels("uint16", (SIZE, SIZE, 4)))


def describe(folder, crs="EPSG:32633", **keys):
    """Convert an export and describe it as the workflow does; returns the config, the ledger and the page."""
    export(folder, crs)
    chips = ChipsConfig(str(folder / "images"), str(folder / "labels"), **keys)
    splitting = SplittingConfig().completed_for_chips(SHARES)
    config = Conversion(
        name="fields", chips=chips, tfrecords=TFRecordsConfig("array", 1, None, SHARES), splitting=splitting
    )
    results, shards = folder / "results", folder / "results" / "tfrecords"
    made = convert_chips(chips, config.splitting, shards, "fields", config.tfrecords, 1, recipe="1")
    rows = converted_rows(made.entries, shards)
    splits = {row.tile: row.split for row in rows if row.state == MADE}
    audit, _ = audit_chips(made.grounds, splits, list(SHARES), shards, True, {chips.background})
    write_chips_report(config, results, rows, made.grounds, audit, made.rule, results / "index.html")
    write_chips_stac(config, results, rows, made.pairs, made.grounds)
    return config, rows, Page((results / "index.html").read_text())


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fields")
    return folder, *describe(folder, classes={"0": 0, "255": 300 % 256}, background=0)


def test_the_page_counts_chips_and_gives_reasons(described):
    _, _, rows, page = described
    head, *body = page.tables["states"]
    made = Counter(row.split for row in rows if row.state == MADE)
    counts = dict(zip(head[1:], next(row for row in body if row[0] == "made")[1:], strict=True))
    assert counts == {"train": str(made["train"]), "test": str(made["test"]), "none": "0", "all": str(COUNT)}
    assert [row[:2] for row in page.tables["left-out"][1:]] == [["alone", "–"]]
    assert "no label of the same name" in page.tables["reasons"][1][1]
    assert "follows from a hash of its name" in page.all and "10 m" in page.all
    assert page.open_tags == [] and "scenes" not in page.tables and "conflicts" not in page.texts


def test_the_page_draws_every_chip_with_its_classes(described):
    _, _, _, page = described
    assert len(page.figure("map").split("<path d=")) - 1 >= COUNT
    pictures = {image["alt"]: decode_png(image["src"]) for image in page.elements["img"]}
    for number in range(COUNT):
        drawn = pictures[f"label of scene {number}"]
        colours = [tuple(drawn[row, 0, :3]) for row in range(SIZE)]
        assert len(set(colours[: number + 1])) == 1 and len(set(colours)) == 2
    classes = {row[0]: row[1:] for row in page.tables["classes"][1:]}
    pixels = sum(int(cell.replace(",", "")) for cell in classes["44 255"][::2])
    assert pixels == sum(SIZE * (number + 1) for number in range(COUNT))


def test_items_lead_to_the_files_and_lie_where_the_chips_do(described):
    folder, _, rows, _ = described
    collection = pystac.Collection.from_file(str(folder / "results/stac/collection.json"))
    items = {item.properties["title"]: item for item in collection.get_items()}
    assert set(items) == {row.tile for row in rows if row.state == MADE} and len(items) == COUNT
    project = pyproj.Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True).transform
    for number in range(COUNT):
        item = items[f"scene {number}"]
        for kind in ("image", "label"):
            path = Path(item.get_self_href()).parent / unquote(item.assets[kind].href)
            assert path.resolve() == (folder / f"{kind}s/scene {number}.tif").resolve()
        west, north = project(*place_of(number) @ (0, 0))
        assert np.allclose([item.bbox[0], item.bbox[3]], [west, north], atol=1e-4)
        assert item.properties["proj:transform"] == list(place_of(number))[:6]
        assert "classification:classes" not in item.assets["label"].extra_fields  # the file holds 255
        assert "255 is 44" in item.properties["label:description"]


def test_chips_without_location_have_no_map_and_no_geometry(tmp_path):
    _, rows, page = describe(tmp_path, crs=None)
    assert "No chip has a location" in page.all and "without location" in page.all
    assert "except 6 without a location" in page.all
    items = [json.loads(path.read_text()) for path in (tmp_path / "results/stac/items").iterdir()]
    assert len(items) == COUNT and all(item["geometry"] is None and "bbox" not in item for item in items)
    classes = items[0]["assets"]["label"]["classification:classes"]
    assert [entry["value"] for entry in classes] == [0, 255]


def test_pixels_of_several_sizes_and_units_are_described():
    from segchips.records.chip_ground import Ground

    grounds = {
        "a": Ground.of("EPSG:32633", (0, 10, 0, 0, 0, -10), 4, 4),
        "b": Ground.of("EPSG:32634", (0, 20, 0, 0, 0, -20), 4, 4),
        "c": Ground.of("EPSG:4326", (0, 0.5, 0, 0, 0, -0.5), 4, 4),
    }
    assert describe_pixels(grounds) == "10 to 20 m and 0.5 °" and describe_pixels({}) == "without location"
