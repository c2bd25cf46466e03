"""Which pixels of a raster are valid: nodata, masks and alpha bands."""

import math

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from support.raster_reading import TILE, assert_nearest, noise, read, some
from support.rasters import transform_over, write_raster


@pytest.mark.parametrize(
    ("dtype", "values", "nodata"),
    [
        ("uint8", (0, 255, 7), 255),
        ("int8", (-128, 127, 0), -128),
        ("uint16", (0, 65535, 7), 65535),
        ("int16", (-9999, 32767, -32768, 0), -9999),
        ("uint32", (0, 2**32 - 1, 5), 2**32 - 1),
        ("int32", (-(2**31), 2**31 - 1, 5), -(2**31)),
        ("float32", (0.1, -3.4028234663852886e38, 5), -3.4028234663852886e38),
        ("float32", (0.1, 5, 7), 0.1),
        ("float32", (math.nan, 5, -math.inf, math.inf), math.nan),
        ("float64", (1e300, -9999.9, math.inf), -9999.9),
    ],
)
@pytest.mark.parametrize("said", ["file", "catalogue", "config"])
def test_nodata_of_any_dtype_said_by_file_catalogue_or_config(tmp_path, dtype, values, nodata, said):
    data = np.random.default_rng(1).choice(np.array(values, dtype), (24, 24))
    path = write_raster(
        tmp_path / "a.tif",
        data,
        transform_over(TILE, (24, 24), 10),
        TILE.crs,
        nodata=nodata if said == "file" else None,
    )
    stored = np.array(nodata, dtype).item()
    valid = assert_nearest(
        path,
        missing=lambda value: value == stored,
        declared=nodata if said == "catalogue" else None,
        nodata=nodata if said == "config" else None,
    )
    assert 0.1 < valid.mean() < 0.95


def test_config_overrides_the_catalogue_which_overrides_the_file(tmp_path):
    data = np.random.default_rng(1).choice(np.array([1, 2, 3, 4], np.uint8), (24, 24))
    path = write_raster(tmp_path / "a.tif", data, transform_over(TILE, (24, 24), 10), TILE.crs, nodata=1)
    assert_nearest(path, missing=lambda value: value == 1)
    assert_nearest(path, missing=lambda value: value == 2, declared=2)
    assert_nearest(path, missing=lambda value: value == 3, declared=2, nodata=3)


def test_a_nodata_value_that_the_dtype_cannot_hold_masks_nothing(tmp_path):
    path = write_raster(
        tmp_path / "a.tif", noise((24, 24), "uint8", 0, 255), transform_over(TILE, (24, 24), 10), TILE.crs
    )
    for nodata in (-9999.0, 65535.0, math.nan, 0.5):
        assert assert_nearest(path, declared=nodata).all()


def test_a_file_without_nodata_is_valid_wherever_it_reaches(tmp_path):
    path = write_raster(
        tmp_path / "a.tif", np.zeros((24, 24), "uint8"), transform_over(TILE, (24, 24), 10, shift=(9, 0)), TILE.crs
    )
    assert_nearest(path)


@pytest.mark.parametrize("internal", [True, False])
@pytest.mark.parametrize("nodata", [None, 7])
@pytest.mark.parametrize("resampling", ["nearest", "bilinear"])
def test_masks_within_and_beside_the_file(tmp_path, internal, nodata, resampling):
    data, mask = noise((2, 24, 24), "uint8", 5, 10), some((24, 24))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal):
        path = write_raster(
            tmp_path / "a.tif", data, transform_over(TILE, (24, 24), 10), TILE.crs, nodata=nodata, mask=mask
        )
    assert (tmp_path / "a.tif.msk").exists() != internal
    _, valid = read(path, indexes=(2, 1), resampling=resampling)
    expected = mask[4:20, 4:20] & (data[:, 4:20, 4:20] != nodata)
    np.testing.assert_array_equal(valid, expected[::-1])


@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_an_alpha_band_masks_the_others(tmp_path, interleave):
    data = noise((4, 24, 24), "uint8", 0, 255)
    data[3] = np.where(some((24, 24)), 255, 0)
    path = tmp_path / "a.tif"
    write_raster(
        path,
        data,
        transform_over(TILE, (24, 24), 10),
        TILE.crs,
        photometric="rgb",
        alpha="unspecified",
        interleave=interleave,
    )
    with rasterio.open(path, "r+") as file:
        file.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    pixels, valid = read(path, indexes=(3, 1))
    np.testing.assert_array_equal(valid, np.broadcast_to(data[3, 4:20, 4:20] == 255, (2, 16, 16)))
    np.testing.assert_array_equal(pixels, data[[2, 0], 4:20, 4:20])
