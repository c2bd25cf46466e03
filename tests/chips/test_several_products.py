"""Chips of several products, each composited by itself."""

import math

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.warp import reproject

from support.scene_series import PRODUCTS, TILE, assert_composite, two_products, valid_stacks


def warped(path, nodata, resampling):
    """GDAL's warp of a whole raster in 64 bits: values and where they are valid."""
    with rasterio.open(path) as file:
        data = file.read(1).astype(float)
        data[data == nodata] = math.nan
        result = np.full((16, 16), math.nan)
        reproject(
            data,
            result,
            src_transform=file.transform,
            src_crs=file.crs,
            src_nodata=math.nan,
            dst_transform=Affine.from_gdal(*TILE.geotransform),
            dst_crs=TILE.crs,
            dst_nodata=math.nan,
            resampling=Resampling[resampling],
        )
    return result


@pytest.mark.parametrize("kind", ["closest", "median"])
@pytest.mark.parametrize(
    ("fine", "coarse", "together", "fine_nodata", "coarse_nodata", "nodata"),
    [
        ("uint8", "uint16", "uint16", 0, 0, 0),
        ("uint8", "int16", "int16", 255, -9999, -9999),
        ("uint8", "float32", "float32", 255, -9999, math.nan),
        ("float32", "float32", "float32", -1, -1, -1),
    ],
)
def test_products_are_mosaicked_one_by_one_and_stacked(
    tmp_path, kind, fine, coarse, together, fine_nodata, coarse_nodata, nodata
):
    series = two_products(tmp_path, fine, coarse, fine_nodata, coarse_nodata)
    chip = series.chip(products=PRODUCTS, composite=kind)
    assert chip.pixels.dtype == together and chip.names == ("coarse/red", "nir", "fine/red")
    assert chip.nodata == nodata or (math.isnan(nodata) and math.isnan(chip.nodata))
    assert set(chip.scenes) == {"coarse", "fine"} and set(chip.scenes["fine"]) <= {"f1", "f2"}
    layers = [(series.expected(name, "red", "fine"), lambda value, *_: value != fine_nodata) for name in ("f1", "f2")]
    assert_composite(chip.pixels[2], valid_stacks(layers), kind, nodata, fine)
    for plane, key in zip(chip.pixels[:2], ("red", "nir"), strict=True):
        values = [warped(series.paths["coarse", name, key], coarse_nodata, "bilinear") for name in ("c4", "c5", "c6")]
        if np.dtype(coarse).kind in "iu":
            values = [np.floor(layer + 0.5) for layer in values]
        layers = [(layer, lambda value, *_: not math.isnan(value)) for layer in values]
        assert_composite(plane, valid_stacks(layers), kind, nodata, coarse)


def test_a_tile_that_lacks_a_product_gets_no_chip_and_says_why(tmp_path):
    series = two_products(tmp_path)
    series.items = [each for each in series.items if each["collection"] == "fine"] + [
        each | {"properties": {"datetime": "2019-01-01T00:00:00Z"}}
        for each in series.items
        if each["collection"] == "coarse"
    ]
    plan = series.plan(products=PRODUCTS)
    assert (
        plan.have_chips(plan.lock.tiles.tiles).tolist() == [False]
        and plan.missing_scenes(TILE.key) == "no scene of coarse meets the tile within the dates"
    )
    plan = series.plan(products=PRODUCTS[1:])
    assert plan.have_chips(plan.lock.tiles.tiles).tolist() == [True]
    assert series.plan(products=PRODUCTS[1:]).missing_scenes(TILE.key) is None
