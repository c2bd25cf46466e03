"""Real scenes and labels, checked pixel by pixel against a slow computation that shares no code with the library."""

import json
from datetime import UTC, date, datetime
from itertools import product
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
from rasterio.features import rasterize

import segchips
from support.projects import Project

BANDS = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]
WINTER = {"start": "2016-12-01", "end": "2017-02-28", "reference_date": "2017-01-05"}
CLEAR = {"asset": "cloud_mask", "clear": [0]}
DATASETS: dict[str, dict[str, Any]] = {
    "closest": WINTER,
    "closest_clear": {**WINTER, "max_cloud": 0.5, "cloud_mask": CLEAR},
    "median_all": {"start": "2015-01-01", "end": "2017-12-31", "composite": "median", "cloud_mask": CLEAR},
    "mean_all": {"start": "2015-01-01", "end": "2017-12-31", "composite": "mean"},
}


@pytest.fixture(scope="module")
def run(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("real"))
    project.write(
        {
            "defaults": {
                "tiles": {"aoi": str(real_data / "aoi.gpkg")},
                "imagery": {"catalog": str(real_data / "catalog.json"), "products": [{"id": "s2-l1c", "bands": BANDS}]},
                "labels": {"path": str(real_data / "labels.gpkg"), "attribute": "LULC_ID"},
                "tfrecords": {"shards": 1},
            },
            "datasets": {name: {"imagery": {"composite": "closest", **imagery}} for name, imagery in DATASETS.items()},
        }
    )
    result = project.run()
    assert result.returncode == 0, result.stdout
    return project


def scenes(folder: Path, imagery: dict[str, Any]) -> list[tuple[datetime, dict[str, np.ndarray], Any]]:
    """The scenes that count, in the order in which `closest` takes them: acquisition, arrays, ground to pixel."""
    found = []
    for path in sorted(folder.glob("s2-l1c/*/*.json")):
        item = json.loads(path.read_text())
        when = datetime.fromisoformat(item["properties"]["datetime"])
        if not imagery["start"] <= str(when.date()) <= imagery["end"]:
            continue
        if item["properties"]["eo:cloud_cover"] / 100 >= imagery.get("max_cloud", 9):
            continue
        arrays = {}
        for name in [*BANDS, "cloud_mask"]:
            with rasterio.open(path.parent / f"{name}.tif") as band:
                arrays[name], transform = band.read(1), band.transform
        found.append((when, arrays, ~transform))
    reference = date.fromisoformat(imagery.get("reference_date", "2000-01-01"))
    midnight = datetime(reference.year, reference.month, reference.day, tzinfo=UTC)
    return sorted(found, key=lambda scene: (abs((scene[0].date() - reference).days), abs(scene[0] - midnight)))


def expected_pixel(found: list[Any], band: str, x: float, y: float, imagery: dict[str, Any]) -> int:
    values = []
    for _, arrays, inverse in found:
        column, row = inverse @ (x, y)
        height, width = arrays[band].shape
        if not (0 <= column < width and 0 <= row < height):
            continue
        value, mask = int(arrays[band][int(row), int(column)]), int(arrays["cloud_mask"][int(row), int(column)])
        if value != 0 and (mask == 0 or "cloud_mask" not in imagery):
            values.append(value)
    if not values:
        return 0
    match imagery.get("composite"):
        case "median":
            return round(float(np.median(values)))
        case "mean":
            return round(sum(values) / len(values))
    return values[0]


@pytest.mark.parametrize("name", DATASETS)
def test_every_pixel_is_what_a_slow_computation_says(run: Project, real_data: Path, name: str) -> None:
    found = scenes(real_data, DATASETS[name])
    chips = sorted(run.results(name).glob("images/*.tif"))
    assert len(chips) == 9
    rng = np.random.default_rng(0)
    for path in chips:
        with rasterio.open(path) as chip:
            pixels, transform = chip.read(), chip.transform
        assert (transform.a, transform.e) == (10, -10)
        for row, column in product(sorted(rng.choice(64, 12, False)), sorted(rng.choice(64, 12, False))):
            x, y = transform @ (column + 0.5, row + 0.5)
            wanted = [expected_pixel(found, band, x, y, DATASETS[name]) for band in BANDS]
            assert pixels[:, row, column].tolist() == wanted, (path.name, row, column)


def test_labels_are_the_layer_burned_whole(run: Project, real_data: Path) -> None:
    layer = geopandas.read_file(real_data / "labels.gpkg").to_crs("EPSG:32633")
    for path in sorted(run.results("closest").glob("labels/*.tif")):
        with rasterio.open(path) as chip:
            pixels, transform = chip.read(1), chip.transform
        shapes = list(zip(layer.geometry, layer["LULC_ID"], strict=True))
        wanted = rasterize(shapes, (64, 64), fill=255, transform=transform, all_touched=True, dtype="uint8")
        assert (pixels == wanted).all(), path.name


def test_the_ledger_tells_the_share_of_valid_pixels(run: Project) -> None:
    for name in DATASETS:
        rows = run.ledger(name)
        assert len(rows) == 9
        for row in rows:
            with rasterio.open(run.results(name) / "images" / f"{row['tile'].replace(':', '#')}.tif") as chip:
                assert float(row["valid"]) == (chip.read() != 0).all(axis=0).mean()


@pytest.mark.parametrize("name", DATASETS)
def test_statistics_are_those_of_all_chips_at_once(run: Project, name: str) -> None:
    found = segchips.statistics(run.results(name) / "tfrecords")
    for split, of_split in found.items():
        tiles = [row["tile"].replace(":", "#") for row in run.ledger(name) if row["split"] == split]
        assert of_split.chips == len(tiles)
        if not tiles:
            continue
        images, labels = [], []
        for tile in tiles:
            with rasterio.open(run.results(name) / "images" / f"{tile}.tif") as chip:
                images.append(chip.read().reshape(len(BANDS), -1))
            with rasterio.open(run.results(name) / "labels" / f"{tile}.tif") as chip:
                labels.append(chip.read(1).ravel())
        image, label = np.concatenate(images, axis=1), np.concatenate(labels)
        assert of_split.classes is not None and list(of_split.classes) == np.unique(label).tolist()
        for value, where in [(None, label == label), *((value, label == value) for value in of_split.classes)]:
            bands = of_split.bands if value is None else of_split.classes[value].bands
            for plane, band in zip(image[:, where], bands, strict=True):
                pixels = plane[plane != 0].astype(np.float64)
                assert band.count == pixels.size
                assert band.nodata_share == pytest.approx((plane == 0).mean())
                if pixels.size:
                    assert (band.min, band.max) == (pixels.min(), pixels.max())
                    assert (band.mean, band.std) == pytest.approx((pixels.mean(), pixels.std()), rel=1e-12)
                    expected = np.percentile(pixels, list(band.percentiles or ()))
                    np.testing.assert_allclose(list((band.percentiles or {}).values()), expected, rtol=1e-12)


def test_labels_from_the_records_are_the_layer_burned_at_once(run: Project, real_data: Path, tmp_path: Path) -> None:
    directory = run.results("closest") / "tfrecords"
    records = [record for split in segchips.statistics(directory) for record in segchips.load(directory, split)]
    (path,) = segchips.mosaic(
        ((one["identifier"], one["label"]) for one in records), tmp_path / "labels.tif", nodata=255
    )
    layer = geopandas.read_file(real_data / "labels.gpkg").to_crs("EPSG:32633")
    shapes = list(zip(layer.geometry, layer["LULC_ID"], strict=True))
    with rasterio.open(path) as mosaic:
        assert mosaic.shape == (180, 180) and mosaic.crs == "EPSG:32633"
        wanted = rasterize(shapes, (180, 180), fill=255, transform=mosaic.transform, all_touched=True, dtype="uint8")
        np.testing.assert_array_equal(mosaic.read(1), wanted)
