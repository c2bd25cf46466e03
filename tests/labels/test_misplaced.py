"""Layers that lie elsewhere than the tiles: what is said of them, and why."""

import re

import numpy as np
import pytest
import shapely
from rasterio.transform import Affine

from segchips.grids.tile_array import TileArray
from segchips.labels.misplaced import describe_misplaced
from support.label_features import TILE, UTM, read_features, reproject
from support.label_rasters import read_labels, write_raster
from support.vectors import write_vectors

WEST, SOUTH, EAST, NORTH = TILE.bounds
MIDDLE = shapely.box(WEST + 50, SOUTH + 50, EAST - 50, NORTH - 50)
LONLAT = reproject(MIDDLE, UTM, "EPSG:4326")


def swapped(shape):
    return shapely.transform(shape, lambda points: points[:, ::-1])


def said_of(tmp_path, shapes, file_crs, **layer):
    features = read_features(write_vectors(tmp_path / "a.gpkg", shapes, file_crs), **layer)
    return describe_misplaced(features, TileArray.of([TILE]), np.unique(features.intersecting([TILE])[0]))


@pytest.mark.parametrize(
    ("shape", "crs", "words"),
    [
        (swapped(LONLAT), "EPSG:4326", "axes seem to be swapped"),
        (swapped(MIDDLE), UTM, "axes seem to be swapped"),
        (MIDDLE, "EPSG:32634", r"fit the CRS EPSG:32633 .* instead of WGS 84 / UTM zone 34N: set labels\.crs"),
        (LONLAT, UTM, r"fit the CRS EPSG:4326 .*: set labels\.crs"),
        (reproject(MIDDLE, UTM, "EPSG:3857"), UTM, r"fit the CRS EPSG:3857 .*: set labels\.crs"),
        (shapely.box(100, 10, 101, 11), "EPSG:4326", r"lie in longitudes 100\.5 to 100\.5, .* the tiles in longitudes"),
    ],
)
def test_a_layer_that_meets_no_tile_is_described_with_the_likely_cause(tmp_path, shape, crs, words):
    (line,) = said_of(tmp_path, [shape], crs)
    assert "layer 'a' of" in line and "no feature meets a tile" in line
    assert re.search(words, line), line


def test_the_crs_that_is_suggested_works(tmp_path):
    assert said_of(tmp_path, [MIDDLE], "EPSG:32634", crs=UTM) == []


def test_few_features_are_counted(tmp_path):
    far = [shapely.box(WEST + x, SOUTH, WEST + x + 5, SOUTH + 5) for x in np.arange(1000, 3000, 10)]
    (line,) = said_of(tmp_path, [MIDDLE, *far], UTM)
    assert "only 1 of its 201 features meet a tile" in line


def test_a_layer_of_which_some_features_meet_tiles_is_not_mentioned(tmp_path):
    far = [shapely.box(WEST + x, SOUTH, WEST + x + 5, SOUTH + 5) for x in np.arange(1000, 1900, 10)]
    assert said_of(tmp_path, [MIDDLE, *far], UTM) == []


@pytest.mark.parametrize(
    ("crs", "shift", "words"),
    [
        (
            UTM,
            50_000,
            r"it lies in longitudes 14\.6\d* to .*, the tiles in longitudes .*; is its CRS WGS 84 /",
        ),
        ("EPSG:32634", 0, r"fit the CRS EPSG:32633 .* instead of .*34N: assign it with: gdal_edit\.py -a_srs"),
        (UTM, 0, None),
    ],
)
def test_a_raster_that_meets_no_tile_is_described(tmp_path, crs, shift, words):
    transform = Affine(10, 0, WEST + shift, 0, -10, NORTH)
    features = read_labels(write_raster(tmp_path / "map.tif", np.ones((32, 32), "uint8"), crs, transform))
    lines = describe_misplaced(features, TileArray.of([TILE]), np.zeros(0, int))
    assert len(lines) == (words is not None)
    assert all("map.tif' meets no tile" in line and re.search(words, line) for line in lines), lines
