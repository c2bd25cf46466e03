"""Which pixels of a raster are valid: nodata, masks and alpha bands."""

import math

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from segchips.chips.raster_reader import RasterReader
from segchips.config.imagery import Nodata
from segchips.errors import SceneError
from support.raster_reading import TILE, assert_nearest, band, noise, read, some
from support.rasters import transform_over, write_raster
from support.scene_series import SceneSeries


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


def test_catalogue_and_file_count_together_and_the_config_replaces_both(tmp_path):
    data = np.random.default_rng(1).choice(np.array([1, 2, 3, 4], np.uint8), (24, 24))
    path = write_raster(tmp_path / "a.tif", data, transform_over(TILE, (24, 24), 10), TILE.crs, nodata=1)
    assert_nearest(path, missing=lambda value: value == 1)
    assert_nearest(path, missing=lambda value: value in (1, 2), declared=2)
    assert_nearest(path, missing=lambda value: value == 1, declared=-9999)
    assert_nearest(path, missing=lambda value: value == 3, declared=2, nodata=3)


@pytest.mark.parametrize(
    ("dtype", "nodata", "values"),
    [
        ("float32", -3.402823e38, (-3.4028235e38, -3.402823e38, -3000, 5)),
        ("float32", 1.0e20, (1.0e20, 1.000001e20, 1.0001e20, 5)),
        ("float32", -9999.0, (-9999.0, -9999.001, -9999.01, -9998)),
        ("float32", 0.1, (0.1, 0.10000001, 0.1001, 0)),
        ("float32", 0.0, (0.0, -0.0, 1e-45, 1e-6)),
        ("float64", -1.797693134862315e308, (-1.7976931348623157e308, -3e30, 5)),
        ("float64", -3.402823e38, (-3.402823e38, -3.4028234663852886e38, 5)),
        ("int16", -32768, (-32768, -32767, 0)),
        ("uint8", 255, (255, 254, 0)),
        ("uint32", 2**32 - 1, (2**32 - 1, 2**32 - 2, 0)),
    ],
)
def test_nodata_is_compared_as_the_files_own_mask_compares_it(tmp_path, dtype, nodata, values):
    data = np.random.default_rng(1).choice(np.array(values, dtype), (24, 24))
    path = write_raster(tmp_path / "a.tif", data, transform_over(TILE, (24, 24), 10), TILE.crs, nodata=nodata)
    with rasterio.open(path) as file:
        right = file.read_masks(1)[4:20, 4:20] != 0
    assert 0 < right.mean() < 1
    for options in ({}, {"declared": nodata}, {"nodata": nodata}):
        np.testing.assert_array_equal(read(path, **options)[1][0], right)


def test_a_mask_of_each_band_counts_for_its_band(tmp_path):
    data = noise((2, 24, 24), "uint8", 5, 10)
    path = write_raster(tmp_path / "a.tif", data, transform_over(TILE, (24, 24), 10), TILE.crs)
    masks = np.stack([some((24, 24), seed=1), some((24, 24), seed=2)])
    # GDAL reads INTERNAL_MASK_FLAGS of each band from a .msk file
    write_raster(tmp_path / "a.tif.msk", masks.astype("uint8") * 255, transform_over(TILE, (24, 24), 10), TILE.crs)
    with rasterio.open(tmp_path / "a.tif.msk", "r+") as file:
        file.update_tags(INTERNAL_MASK_FLAGS_1="0", INTERNAL_MASK_FLAGS_2="0")
    with rasterio.open(path) as file:
        assert [flags for flags in file.mask_flag_enums] == [[], []]
    np.testing.assert_array_equal(read(path, indexes=(2, 1))[1], masks[::-1, 4:20, 4:20])


@pytest.mark.parametrize("files", [1, 3])
def test_nodata_of_all_bands_masks_pixels_where_every_band_holds_it(tmp_path, files):
    data = np.random.default_rng(1).choice(np.array([0, 0, 9], np.uint8), (3, 24, 24))
    transform = transform_over(TILE, (24, 24), 10)
    if files == 1:
        path = write_raster(tmp_path / "a.tif", data, transform, TILE.crs, nodata=0)
        bands = [band(path, number) for number in (1, 2, 3)]
    else:
        paths = [write_raster(tmp_path / f"{n}.tif", data[n], transform, TILE.crs, nodata=0) for n in range(3)]
        bands = [band(path) for path in paths]
    pixels, valid = RasterReader(4).read(bands, TILE, "nearest", Nodata(0, "all"))
    for row, column in np.ndindex(16, 16):
        values = data[:, row + 4, column + 4].tolist()
        assert valid[:, row, column].tolist() == [values != [0, 0, 0]] * 3
        assert pixels[:, row, column].tolist() == values
    assert 0 < valid.mean() < 1
    if files == 3:
        with pytest.raises(SceneError, match=r"0\.tif: nodata with 'when: all'.*nearest"):
            RasterReader(4).read(bands, TILE, "bilinear", Nodata(0, "all"))


@pytest.mark.parametrize(
    ("collection", "band_name", "fill"),
    [
        ("sentinel-2-l2a", "red", True),
        ("sentinel-2-c1-l2a", "B04_10m", True),
        ("sentinel-s2-l2a-cogs", "B8A", True),
        ("sentinel-2-l1c", "B12", True),
        ("sentinel-2-l2a", "cloud", False),
        ("sentinel-2-l2a", "snow", False),
        ("landsat-c2-l2", "SR_B4", True),
        ("landsat-c2-l2", "lwir11", True),
        ("landsat-c2l2-sr", "qa_pixel", False),
        ("landsat-c2-l2", "qa_radsat", False),
        ("sentinel-1-grd", "vv", False),
        ("naip", "red", False),
    ],
)
@pytest.mark.parametrize("declared", [None, "file", "catalogue"])
def test_known_collections_hold_fill_where_nothing_else_says_so(tmp_path, collection, band_name, fill, declared):
    data = np.random.default_rng(1).choice(np.array([0, 5, 9], np.uint16), (24, 24))
    series = SceneSeries(tmp_path)
    said = {band_name: {"nodata": 9}} if declared == "catalogue" else None
    series.add(
        "a", "2017-07-01T10:00:00Z", {band_name: data}, collection, None, said, nodata=9 if declared == "file" else None
    )
    chip = series.chip(products=[{"id": collection, "bands": [band_name]}])
    missing = 9 if declared else 0 if fill else None
    expected = np.array([[value != missing for value in row] for row in data[4:20, 4:20].tolist()])
    assert chip.nodata == missing
    np.testing.assert_array_equal(chip.mask, expected)
    assert chip.valid == expected.mean()


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


@pytest.mark.parametrize("nodata", [None, 7])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_an_alpha_band_masks_the_others(tmp_path, interleave, nodata):
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
        nodata=nodata,
    )
    with rasterio.open(path, "r+") as file:
        file.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    pixels, valid = read(path, indexes=(3, 1))
    expected = (data[3, 4:20, 4:20] == 255) & (data[[2, 0], 4:20, 4:20] != (-1 if nodata is None else nodata))
    np.testing.assert_array_equal(valid, expected)
    np.testing.assert_array_equal(pixels, data[[2, 0], 4:20, 4:20])


def test_a_mask_in_the_file_takes_the_place_of_what_a_collection_is_known_for(tmp_path):
    series, mask = SceneSeries(tmp_path), some((24, 24))
    data = np.random.default_rng(1).choice(np.array([0, 5], np.uint8), (24, 24))
    series.add("a", "2017-07-01T10:00:00Z", {"visual": data}, "sentinel-2-l2a")
    with rasterio.open(series.paths["sentinel-2-l2a", "a", "visual"], "r+") as file:
        file.write_mask(mask)
    chip = series.chip(products=[{"id": "sentinel-2-l2a", "bands": ["visual"]}])
    assert chip.nodata is None and set(np.unique(chip.pixels[0][chip.mask])) == {0, 5}
    np.testing.assert_array_equal(chip.mask, mask[4:20, 4:20])
