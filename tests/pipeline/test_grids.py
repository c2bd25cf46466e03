"""The workflow on other grids: tiles around points across the antimeridian, and overlapping tiles of the own pixels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import Affine

import segchips
from segchips.grids.tile import Tile
from support.catalogues import make_asset, make_item, write_catalogue
from support.projected_grids import to_crs
from support.projects import Project
from support.rasters import raster_outline
from support.vectors import write_vectors

CRS = "EPSG:2193"
X, Y = to_crs(CRS).transform(180.0, -38.0)
WEST, NORTH = round(X) - 2000 + 3, round(Y) + 1500 - 2
"""The corner of a raster of 400 x 300 pixels of 10 m, in whose middle the antimeridian is."""


def point(east: float, north: float) -> shapely.Point:
    return shapely.Point(*to_crs(CRS).transform(WEST + east, NORTH - north, direction="INVERSE"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("grids")
    data = np.random.default_rng(1).integers(1, 60000, (2, 300, 400), dtype=np.uint16)
    profile = {"width": 400, "height": 300, "count": 2, "dtype": "uint16", "crs": CRS, "driver": "GTiff"}
    with rasterio.open(folder / "photo.tif", "w", **profile, transform=Affine(10, 0, WEST, 0, -10, NORTH)) as file:
        file.write(data)
    asset = make_asset(folder / "photo.tif", bands=[{"name": "a"}, {"name": "b"}])
    outline = raster_outline(folder / "photo.tif")
    item = make_item("photo", "2024-05-01T10:00:00Z", {"photo": asset}, outline, "photos")
    write_catalogue(folder / "catalog", [item])
    points = [
        point(600, 600),
        point(1995, 1500),
        point(2030, 1500),
        point(3500, 700),
        point(3501, 702),
        point(600, 2500),
    ]
    write_vectors(folder / "points.gpkg", points, "EPSG:4326", name=["x"] * len(points))
    fields = [shapely.box(WEST + x, NORTH - 2500, WEST + x + 300, NORTH - 200) for x in range(200, 3800, 600)]
    write_vectors(folder / "labels.gpkg", fields, CRS, kind=[1, 2] * 3)
    area = shapely.box(WEST + 100, NORTH - 2800, WEST + 3900, NORTH - 100)
    write_vectors(folder / "area.gpkg", [area], CRS, name=["x"])
    imagery = {"catalog": "catalog/catalog.json", "products": [{"id": "photos", "bands": ["a", "b"]}]}
    imagery |= {"start": "2024-01-01", "end": "2024-12-31", "composite": "median"}
    labels = {"path": "labels.gpkg", "attribute": "kind", "background": 0, "all_touched": False}
    common: dict[str, Any] = {"imagery": imagery, "labels": labels, "tfrecords": {"shards": 1}}
    grid = {"crs": CRS, "origin": [WEST, NORTH]}
    tiles = {
        "around": {"size": 32, "pad": 2, "grid": grid, "centers": "points.gpkg"},
        "strided": {"size": 64, "pad": 2, "grid": "imagery", "stride": 30, "aoi": "area.gpkg"},
    }
    splitting = {"around": {"by": "block", "block": 1000}, "strided": {"by": "block", "block": 1500, "cover": False}}
    project = Project(folder)
    datasets = {name: {"tiles": block, "splitting": splitting[name]} for name, block in tiles.items()}
    project.write({"results": "results", "defaults": common, "datasets": datasets})
    result = project.run()
    assert result.returncode == 0, result.stdout
    return project


def chips(project: Project, dataset: str) -> list[Path]:
    return sorted((project.results(dataset) / "images").glob("*.tif"))


@pytest.mark.parametrize("dataset", ["around", "strided"])
def test_chips_equal_windows_of_the_source(project: Project, dataset: str) -> None:
    assert chips(project, dataset)
    with rasterio.open(project.folder / "photo.tif") as source:
        for path in chips(project, dataset):
            tile = Tile.from_name(path.stem)
            with rasterio.open(path) as chip:
                assert chip.crs.to_string() == tile.crs == CRS and chip.transform.to_gdal() == tile.geotransform
                column, row = (round(value) for value in ~source.transform * (chip.transform.c, chip.transform.f))
                window = rasterio.windows.Window(column, row, chip.width, chip.height)
                expected = source.read(window=window, boundless=True, fill_value=0)
                covered = expected[0] != 0
                assert covered.any() and (chip.read()[:, covered] == expected[:, covered]).all()


def test_points_on_both_sides_have_their_tiles_and_what_is_shared_is_told(project: Project) -> None:
    rows = project.ledger("around")
    assert len(rows) == 5 and {row["state"] for row in rows} <= {"made", "dropped"}
    lines = (project.folder / "logs" / "around" / "tiles.log").read_text()
    assert "1 points have the same tile as a point before them and add none: FID 5" in lines
    assert "2 of 5 tiles share ground with another" in lines
    outlines = [json.loads(path.read_text()) for path in (project.results("around") / "stac" / "items").glob("*.json")]
    assert all(item["bbox"][0] >= -180 and item["bbox"][2] <= 180 for item in outlines)
    assert any(item["geometry"]["type"] == "MultiPolygon" for item in outlines)
    assert {item["properties"]["proj:code"] for item in outlines} == {CRS}


@pytest.mark.parametrize("dataset", ["around", "strided"])
def test_no_ground_is_shared_between_splits(project: Project, dataset: str) -> None:
    made = [row for row in project.ledger(dataset) if row["state"] == "made"]
    boxes = [shapely.box(*Tile.from_key(row["tile"]).bounds) for row in made]
    for one, first in zip(made, boxes, strict=True):
        for other, second in zip(made, boxes, strict=True):
            assert one["split"] == other["split"] or first.intersection(second).area < 1e-6
    assert json.loads((project.results(dataset) / "audit.json").read_text())["passed"]
    assert "UTM zone" not in (project.results(dataset) / "report" / "index.html").read_text()


def test_a_mosaic_of_labels_is_read_back_equal(project: Project, tmp_path: Path) -> None:
    predictions = []
    for path in chips(project, "strided"):
        tile = Tile.from_name(path.stem)
        with rasterio.open(project.results("strided") / "labels" / path.name) as chip:
            predictions.append((tile.key, chip.read(1)))
    (written,) = segchips.mosaic(predictions, tmp_path / "labels.tif", nodata=255)
    with rasterio.open(written) as mosaic:
        for key, labels in predictions:
            left, _, _, top = Tile.from_key(key).core_bounds
            column, row = (round(value) for value in ~mosaic.transform * (left, top))
            assert (mosaic.read(1)[row : row + 60, column : column + 60] == labels[2:-2, 2:-2]).all()
            assert segchips.read(project.results("strided") / "tfrecords", key)["identifier"] == key


def test_a_second_run_does_nothing(project: Project) -> None:
    assert not project.run_and_count()
