"""Files without CRS or geotransform, which lie where their items say."""

import numpy as np
import pyproj
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine

from segchips.errors import SceneError
from support.rasters import transform_over
from support.scene_series import TILE, SceneSeries, noise

GRID = {"step": 7.3, "shift": (0.3, 0.2)}
SHAPE = (40, 40)
TRANSFORM = transform_over(TILE, SHAPE, **GRID)
COARSE = TRANSFORM @ Affine.scale(4)
WEST, NORTH = TRANSFORM @ (0, 0)
EAST, SOUTH = TRANSFORM @ (40, 40)
CRS = pyproj.CRS(TILE.crs)
CODE, BOX = {"proj:code": TILE.crs}, {"proj:bbox": [WEST, SOUTH, EAST, NORTH]}


def lone_scene(folder, asset, item, **lacking):
    """A series of one scene, whose file has only what is given, and its pixels on the tile."""
    series = SceneSeries(folder)
    pixels = noise(1, shape=SHAPE, holes=0)
    series.add("a", "2017-07-01T10:00:00Z", {"B1": pixels}, declared={"B1": asset}, grid=GRID, nodata=0, **item)
    path, expected = series.paths["s2", "a", "B1"], np.array(series.expected("a", "B1"), float)
    with rasterio.open(path) as file:
        profile = file.profile | {"crs": None, "transform": Affine.identity()} | lacking
    path.unlink()
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels, 1)
    return series, expected


@pytest.mark.parametrize(
    ("asset", "item"),
    [
        ({"proj:transform": list(TRANSFORM)[:6]}, CODE),
        ({**CODE, "proj:transform": list(TRANSFORM)}, {"proj:epsg": 4326}),
        ({}, {"proj:epsg": CRS.to_epsg(), "proj:shape": [10, 10], "proj:transform": list(COARSE)[:6]}),
        ({}, {"proj:wkt2": CRS.to_wkt(), "proj:epsg": None, **BOX}),
        (BOX, {"proj:projjson": CRS.to_json_dict(), "proj:transform": [1, 0, 0, 0, 1, 0]}),
        ({}, {**CODE, "proj:bbox": [WEST, SOUTH, 0, EAST, NORTH, 9]}),
    ],
)
def test_a_file_without_georeference_lies_where_its_item_says(tmp_path, asset, item):
    series, expected = lone_scene(tmp_path / "bare", asset, item)
    np.testing.assert_array_equal(series.chip().pixels[0], expected)
    whole, _ = lone_scene(tmp_path / "whole", {}, {}, crs=TILE.crs, transform=TRANSFORM)
    products = [{"id": "s2", "bands": ["B1"], "resampling": "bilinear"}]
    difference = series.chip(products=products).pixels.astype(int) - whole.chip(products=products).pixels
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("crs", [TILE.crs, None])
def test_what_a_file_says_counts_before_its_item(tmp_path, crs):
    wrong = [10.0, 0.0, 0.0, 0.0, -10.0, 0.0]
    series, expected = lone_scene(tmp_path, {"proj:transform": wrong}, CODE, crs=crs, transform=TRANSFORM)
    np.testing.assert_array_equal(series.chip().pixels[0], expected)


def test_an_item_with_another_crs_than_its_file_places_nothing(tmp_path):
    series, _ = lone_scene(tmp_path, {}, CODE | BOX, crs="EPSG:32632")
    with pytest.raises(SceneError, match=r"a-B1\.tif: has no georeference: no geotransform"):
        series.chip()


def test_control_points_are_no_gap_for_the_item_to_fill(tmp_path):
    corners = [(0, 0, WEST, NORTH), (0, 40, EAST, NORTH), (40, 0, WEST, SOUTH)]
    points = [GroundControlPoint(row, column, x, y) for row, column, x, y in corners]
    series, _ = lone_scene(tmp_path, {}, CODE | BOX, crs=TILE.crs, gcps=points)
    with pytest.raises(SceneError, match="has ground control points in place of a geotransform"):
        series.chip()


@pytest.mark.parametrize(
    "odd", [{"proj:transform": "x"}, {"proj:transform": [1, None]}, {"proj:bbox": [3]}, {"proj:shape": 3}]
)
def test_odd_descriptions_leave_out_no_asset(tmp_path, odd):
    series, expected = lone_scene(tmp_path, odd, CODE | {"proj:transform": [1, 0]}, crs=TILE.crs, transform=TRANSFORM)
    np.testing.assert_array_equal(series.chip().pixels[0], expected)
