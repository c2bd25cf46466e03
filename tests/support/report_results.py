"""Files of results of a small dataset, from which the report is made; its tiles are in all states."""

import contextlib
import json
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import rasterio
import shapely

from segchips.chips.chip_file import write_chip
from segchips.config.imagery import CloudMask, ImageryConfig, Product
from segchips.config.labels import LabelLayer, LabelsConfig
from segchips.config.layers import ImageLayers, LabelTargets
from segchips.config.model import Dataset
from segchips.config.splitting import Range, SelectConfig, SplittingConfig
from segchips.config.tfrecords import TFRecordsConfig
from segchips.config.tiles import TilesConfig
from segchips.grids.outlines import core_outlines
from segchips.grids.tile import Grid, Tile
from segchips.records.dataset_files import write_description
from segchips.records.dataset_info import ChipLayout, DatasetInfo
from segchips.records.file_names import index_name
from segchips.records.part_counts import PartCounts
from segchips.records.shard_index import IndexEntry, write_index
from segchips.records.statistics import write_statistics
from segchips.reports.audit import write_audit
from segchips.reports.ledger import FAILED, NO_SCENES, STATES, UNFINISHED, LedgerRow, write_ledger
from segchips.reports.report import write_report
from segchips.scenes.lock import write_locks
from segchips.scenes.model import Scene
from segchips.scenes.pinning import SceneLock
from segchips.tiles.assignment import DROPPED, EXCLUDED, MADE, TOO_FEW_VALID
from segchips.vectors.geoparquet import write_geoparquet
from support.assignments import write_dataset_manifest
from support.vectors import write_vectors

SPLITS = ("train", "val", "test")


SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}


BANDS = ("B04", "B08", "B03", "B02")


GRID = Grid(16, 2, 10.0)


TILES = [Tile(GRID, 33, path, 8465 - row) for row in range(4) for path in range(-60, -55)]


SCALE = [(0.0001, 0.0), (0.0001, 0.0), (0.0001, -0.1), (0.0001, 0.0)]


CLASSES = {"<b>wheat</b>": 1, "rye & oats": 2, "none": None, "never": 9}


BACKGROUND = 255


def make_scene(product, name, day, cloud):
    return Scene(product, name, datetime(2017, 6, day, 10, 30, tzinfo=UTC), cloud, {}, b"")


# Two scenes share a day; ids contain markup.
SCENES = (
    make_scene("mask", "m1", 1, None),
    make_scene("s2", "<i>one</i>", 1, 0.05),
    make_scene("s2", "two&2", 11, 0.25),
    make_scene("s2", "three", 11, None),
    make_scene("s2", "four", 21, 0.0),
)


def state_of_tile(number):
    return STATES[number % 11 - 4] if number % 11 > 4 else MADE


REASONS = {
    MADE: "",
    NO_SCENES: "no scene of s2 meets the tile within the dates and the cloud limit",
    TOO_FEW_VALID: "{} of the pixels are valid, min_valid is 0.5",
    FAILED: "<script>alert(1)</script> https://me:pw@host.org/a.tif?sig=SECRET: cut short, see /secret/folder/b.tif",
    UNFINISHED: "not sharded yet; run again",
    EXCLUDED: "EarthOne: reading scene 'a' of product 's2': not there (404)",
    DROPPED: "guard: it overlaps split val",
}


def ledger_rows():
    rows = []
    for number, tile in enumerate(TILES):
        state = state_of_tile(number)
        valid = 0.01 * number if state in (MADE, TOO_FEW_VALID) else None
        rows.append(LedgerRow(tile.key, SPLITS[number % 3], 0, state, REASONS[state].format(valid), valid, 3))
    return rows


def report_dataset():
    mask = CloudMask(None, "mask", "scl", (4, 5), None)
    return Dataset(
        name="cropland",
        tiles=TilesConfig(16, 2, 10.0, "aoi.gpkg", None, None),
        imagery=ImageLayers(
            {
                "": ImageryConfig(
                    source="stac",
                    catalog="catalog.json",
                    sign=None,
                    products=(Product("s2", BANDS, "nearest", None, None),),
                    start=date(2017, 6, 1),
                    end=date(2017, 6, 30),
                    max_cloud=0.4,
                    composite="closest",
                    reference_date=date(2017, 6, 15),
                    cloud_mask=mask,
                    min_valid=0.5,
                    provenance=False,
                )
            }
        ),
        labels=LabelTargets(
            {
                "": LabelsConfig(
                    layers=(LabelLayer("crops.gpkg", attribute="kind", classes=CLASSES),), background=BACKGROUND
                )
            }
        ),
        tfrecords=TFRecordsConfig("array", 1, None, SHARES),
        splitting=SplittingConfig(SHARES, "tile", 960.0, 0, True, False, 0, None, None, "split"),
        select=SelectConfig(Range(), {}, None),
    )


def image_pixels(number, dtype="uint16", count=4):
    rng = np.random.default_rng(number)
    image = rng.integers(1, 4000, (count, 16, 16)).astype(dtype)
    if np.dtype(dtype).kind == "f":
        image = 1e6 + image / 1e4
        image[0, 3] = np.nan
        image[1, 4] = np.inf
        image = image.astype(dtype)
    image[:, :5, : number % 16] = 0
    image[number % count, 9] = 0
    return image


def label_pixels(number):
    return np.random.default_rng(100 + number).choice([0, 1, 2, 2, BACKGROUND], (1, 16, 16)).astype("uint8")


def used_scenes(number):
    return [scene.id for scene in SCENES[1:4] if (number + len(scene.id)) % 3]


def pinned_scenes(number):
    return [index for index in range(len(SCENES)) if (number + index) % 4]


def conflict_pixels(number):
    return (0, 1, 2, 5, 40, 256)[number % 6]


def write_conflicts(folder, tiles):
    columns = {"key": [tile.key for tile in tiles], "label": [""] * len(tiles)}
    pixels = [conflict_pixels(number) for number in range(len(tiles))]
    write_geoparquet(folder / "conflicts.parquet", columns | {"pixels": pixels}, core_outlines(tiles))


def area_polygons():
    """Two polygons side by side, in UTM, whose outline runs through the tiles."""
    bounds = np.array([tile.core_bounds for tile in TILES])
    (west, south), (east, north) = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
    middle = (west + east) / 2 + 7
    return [shapely.box(west + 31, south + 40, middle, north - 35), shapely.box(middle, south + 40, east - 44, north)]


def build_results(folder, rows=None, dtype="uint16", bands=BANDS, nodata=0, splitting=None):
    """Write the files of results that the report reads; returns the rows of the ledger."""
    rows = ledger_rows() if rows is None else rows
    write_vectors(folder / "aoi.gpkg", area_polygons(), "EPSG:32633")
    write_conflicts(folder, TILES)
    write_dataset_manifest(folder / "tiles.parquet", TILES, report_dataset())
    tiles = {tile.key: tuple(pinned_scenes(number)) for number, tile in enumerate(TILES)}
    write_locks(folder / "scenes.parquet", {"": SceneLock.of("{}", SCENES, tiles)})
    write_ledger(folder / "ledger.csv", rows)
    for number, (tile, row) in enumerate(zip(TILES, rows, strict=True)):
        if row.state in (MADE, TOO_FEW_VALID):
            tags = {"SCENES": json.dumps({"s2": [{"id": name} for name in used_scenes(number)]})}
            image = image_pixels(number, dtype, len(bands))
            write_chip(folder / "images" / f"{tile.name}.tif", image, tile, bands, nodata, tags, SCALE[: len(bands)])
            write_chip(folder / "labels" / f"{tile.name}.tif", label_pixels(number), tile, ["label"], BACKGROUND, {})
    made = {split: (sum(row.state == MADE and row.split == split for row in rows),) for split in SPLITS}
    label = ChipLayout("uint8", (16, 16), "GTiff", BACKGROUND)
    image = ChipLayout(dtype, (16, 16, len(bands)), "GTiff", nodata, tuple(bands))
    info = DatasetInfo("cropland", "array", None, made, {"": image}, {"": label}, {"": None})
    write_description(folder / "tfrecords", info, dict.fromkeys(SPLITS, 0))
    write_indices(folder / "tfrecords", rows)
    count_pixels(folder, rows)
    plain = report_dataset()
    write_audit(replace(plain, splitting=splitting or plain.splitting), folder, folder / "audit.json", folder / "a.log")
    return rows


def write_indices(folder, rows):
    for split in SPLITS:
        scenes = [
            IndexEntry(row.tile, row.state, "", None, scenes=tuple(("s2", name) for name in used_scenes(number)))
            for number, row in enumerate(rows)
            if row.split == split and row.state in (MADE, TOO_FEW_VALID)
        ]
        write_index(folder / index_name("cropland", split, 0, 1), scenes)


def write_page(folder, dataset, output):
    """Write the report with the folder as working directory, so that relative paths of the config are valid."""
    with contextlib.chdir(folder):
        write_report(dataset, folder, output)


def count_pixels(folder, rows):
    """Write pixel counts and statistics as the writer of shards does."""
    for split in SPLITS:
        counts = PartCounts([""], [""])
        for row in (row for row in rows if row.state == MADE and row.split == split):
            name = f"{row.tile.replace(':', '#')}.tif"
            with rasterio.open(folder / "images" / name) as image, rasterio.open(folder / "labels" / name) as chip:
                counts.add([image.read().transpose(1, 2, 0)], [chip.read().transpose(1, 2, 0)], [image.nodata])
        counts.save(counts_path(folder, split))
    write_statistics(folder / "tfrecords", {split: [counts_path(folder, split)] for split in SPLITS})


def counts_path(folder, split):
    return folder / "tfrecords" / f"cropland-{split}.statistics-00000-of-00001.npz"


def with_imagery(dataset, **keys):
    """The dataset with other keys of its only layer."""
    return replace(dataset, imagery=ImageLayers({"": replace(dataset.imagery.first, **keys)}))


def with_labels(dataset, **keys):
    """The dataset with other keys of its only target."""
    return replace(dataset, labels=LabelTargets({"": replace(dataset.labels.first, **keys)}))
