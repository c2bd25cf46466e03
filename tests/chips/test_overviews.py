"""Overviews read on coarse tiles, beside slow computations from all pixels."""

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.shutil import copy as copy_raster

from segchips.chips.raster_reader import RasterReader
from support.datasets import tile_at
from support.range_server import RangeServer
from support.raster_reading import band
from support.rasters import nearest_by_loop, transform_over, write_raster

TILE = tile_at(16, resolution=100.0)
SIDE = 400
AVERAGING = ("average", "bilinear", "cubic", "cubic_spline", "lanczos")


def landscape(seed=0):
    """Smooth relief with noise that an average removes."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    relief = 3000 + 1000 * np.sin(rows / 70) + 800 * np.cos(columns / 50)
    return (relief + np.random.default_rng(seed).normal(0, 100, (SIDE, SIDE))).astype("int16")


def write(path, data, method="average", shift=(0.0, 0.0), factors=(2, 4, 8), **profile):
    transform = transform_over(TILE, data.shape, 10, shift=shift)
    write_raster(path, data, transform, TILE.crs, tiled=True, blockxsize=64, blockysize=64, **profile)
    with rasterio.open(path, "r+") as file:
        file.build_overviews(list(factors), Resampling[method])
    return path


def read(path, resampling, overviews=None, tile=TILE):
    return RasterReader(4).read([band(path)], tile, resampling, overviews=overviews)


def mean_by_loop(data, valid):
    """The mean of the valid ones of the 10 x 10 pixels under each tile pixel."""
    first = SIDE // 2 - 10 * TILE.size // 2
    means = np.zeros((TILE.size, TILE.size))
    for row, column in np.ndindex(means.shape):
        rows = slice(first + 10 * row, first + 10 * (row + 1))
        columns = slice(first + 10 * column, first + 10 * (column + 1))
        means[row, column] = data[rows, columns][valid[rows, columns]].mean()
    return means


@pytest.mark.parametrize("resampling", AVERAGING)
def test_averages_from_overviews_are_those_of_all_pixels(tmp_path, resampling):
    data = landscape()
    data[::7, ::5] = -9999
    path = write(tmp_path / "a.tif", data, nodata=-9999, compress="deflate")
    pixels, valid = read(path, resampling)
    expected = mean_by_loop(data, data != -9999)
    assert valid.all() and np.abs(pixels[0] - expected).max() < 60  # the relief has a range of 3600
    whole, known = read(path, resampling, overviews=False)
    assert not (whole == pixels).all() and np.abs(whole - expected)[known].max() < 60


@pytest.mark.parametrize("resampling", ["nearest", "mode", "max", "min", "med", "q1", "q3", "rms"])
def test_other_methods_keep_the_full_resolution_unless_the_config_says_otherwise(tmp_path, resampling):
    path = write(tmp_path / "a.tif", landscape())
    plain = write(tmp_path / "b.tif", landscape(), factors=())
    expected, _ = read(plain, resampling)
    pixels, _ = read(path, resampling)
    np.testing.assert_array_equal(pixels, expected)
    allowed, _ = read(path, resampling, overviews=True)
    assert not (allowed == expected).all()


def test_nearest_takes_the_pixel_of_the_overview_under_each_centre_where_it_may(tmp_path):
    path = write(tmp_path / "a.tif", landscape(), shift=(0.3, 0.2))
    pixels, valid = read(path, "nearest", overviews=True)
    with rasterio.open(path, overview_level=2) as file:
        coarse = write_raster(tmp_path / "b.tif", file.read(), file.transform, file.crs)
    assert valid.all() and (pixels[0] == nearest_by_loop(coarse, TILE)[0]).all()


@pytest.mark.parametrize(
    ("metres", "factor"), [(10, None), (19, None), (20, 2), (39, 2), (40, 4), (79, 4), (80, 8), (500, 8)]
)
def test_the_coarsest_overview_that_is_no_coarser_than_the_tile_is_read(tmp_path, metres, factor):
    path = write(tmp_path / "a.tif", np.full((SIDE, SIDE), 10, "uint8"), factors=(8, 2, 4))
    with rasterio.open(path) as file:
        assert file.overviews(1) == [8, 2, 4]
    for level, of in enumerate((8, 2, 4)):
        with rasterio.open(path, "r+", overview_level=level) as file:
            file.write(np.full(file.shape, 10 * of, "uint8"), 1)
    pixels, _ = read(path, "average", tile=tile_at(8, resolution=float(metres)))
    assert (pixels == 10 * (factor or 1)).all()


def test_overviews_of_single_pixels_serve_classes_and_no_averages(tmp_path):
    classes = np.random.default_rng(1).choice([10, 20], (SIDE, SIDE)).astype("uint8")
    path = write(tmp_path / "a.tif", classes, "nearest")
    with rasterio.open(path, "r+") as file:
        file.update_tags(OVR_RESAMPLING_ALG="NEAREST")
    for resampling, is_read in (("average", False), ("mode", True)):
        pixels, _ = read(path, resampling)
        whole, _ = read(path, resampling, overviews=False)
        assert (pixels == whole).all() == (not is_read), resampling
    assert {*np.unique(read(path, "mode")[0])} <= {10, 20}


def test_overviews_without_the_mask_of_their_raster_are_not_read(tmp_path):
    mask = np.random.default_rng(2).random((SIDE, SIDE)) < 0.5
    data = np.where(mask, 1000, 30000).astype("uint16")
    transform = transform_over(TILE, data.shape, 10)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = write_raster(tmp_path / "a.tif", data, transform, TILE.crs, mask=mask, tiled=True)
    with rasterio.open(path) as file:
        profile = file.profile
    with rasterio.open(f"{path}.ovr", "w", **(profile | {"width": SIDE // 8, "height": SIDE // 8})) as file:
        file.write(np.full((1, SIDE // 8, SIDE // 8), 30000, "uint16"))
    assert (read(path, "average")[0] == 1000).all()


@pytest.mark.parametrize("masked", [False, True], ids=["plain", "mask"])
def test_remote_overviews_are_read_as_local_ones_with_few_bytes(tmp_path, masked):
    data, path = landscape(), tmp_path / "a.tif"
    big = np.tile(data, (5, 5)).astype("uint16")
    transform = transform_over(TILE, big.shape, 10)
    profile = {"driver": "COG", "width": 2000, "height": 2000, "count": 1, "dtype": "uint16", "crs": TILE.crs}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        with rasterio.open(tmp_path / "whole.tif", "w", **(profile | {"driver": "GTiff"}), transform=transform) as file:
            file.write(big, 1)
            if masked:
                file.write_mask(big % 7 > 1)
        copy_raster(tmp_path / "whole.tif", path, driver="COG", blocksize=128, compress="deflate")
    expected = read(path, "cubic")
    with RangeServer(tmp_path) as server:
        reader = RasterReader(4)
        remote = band(f"{server.url}/a.tif")
        reader.prefetch([([remote], "cubic")], TILE, None)
        answers = len(server.asked)
        pixels, valid = reader.read([remote], TILE, "cubic", overviews=None)
        assert len(server.asked) == answers
    np.testing.assert_array_equal(pixels, expected[0])
    np.testing.assert_array_equal(valid, expected[1])
    assert sum(stop - start for _, start, stop in server.asked) < 0.06 * path.stat().st_size
