"""raster.py on GeoTIFFs: nearest against one point at a time, the rest against GDAL's warp of the whole raster."""

import math
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pyproj
import pytest
import rasterio
from rasterio.enums import ColorInterp, Resampling
from rasterio.shutil import copy
from rasterio.transform import Affine
from rasterio.warp import reproject

from segchips.chips.raster_reader import RasterReader
from segchips.errors import SceneError
from segchips.grids.tile import Tile
from segchips.scenes.model import Band
from support.datasets import tile_at
from support.rasters import OUTSIDE, nearest_by_loop, transform_over, write_raster

TILE = tile_at()
SINUSOIDAL = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs"


def band(path, index=1, nodata=None):
    return Band(str(path), index, nodata, 1.0, 0.0)


def noise(shape, dtype="uint16", low=1, high=10000, seed=0):
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)


def read(path, tile=TILE, indexes=(1,), resampling="nearest", nodata=None, declared=None, limit=4):
    return RasterReader(limit).read([band(path, index, declared) for index in indexes], tile, resampling, nodata)


def assert_nearest(path, tile=TILE, indexes=(1,), missing=lambda value: False, **options):
    """The reading equals the loop's, and a pixel is valid when it is inside, not `missing`, and finite."""
    data, valid = read(path, tile, indexes, **options)
    expected = nearest_by_loop(path, tile, indexes)
    for place in np.ndindex(data.shape):
        number, row, column = place
        value = expected[number][row][column]
        right = value is not OUTSIDE and not missing(value) and math.isfinite(value)
        assert valid[place] == right, (place, value)
        assert not right or data[place] == value, (place, value)
    return valid


GRIDS = {
    "aligned": {"step": 10},
    "unaligned": {"step": (9.9948, 9.9974), "shift": (0.3, 0.21)},
    "finer": {"step": 3.7, "shape": (80, 80)},
    "coarser": {"step": (61.3, 59.9), "shift": (0.4, 0.1)},
    "next zone west": {"crs": "EPSG:32632", "step": 10, "shift": (0.13, 0.77)},
    "next zone east": {"crs": "EPSG:32634", "step": 10, "shift": (0.13, 0.77)},
    "southern zone": {"crs": "EPSG:32733", "step": 10, "shift": (0.2, 0.3)},
    "other datum": {"crs": "EPSG:25833", "step": 10, "shift": (0.2, 0.3)},
    "geographic": {"crs": "EPSG:4326", "step": (0.00013, 0.00009), "shift": (0.11, 0.3)},
    "conic": {"crs": "EPSG:3035", "step": 10, "shift": (0.11, 0.3)},
    "no code": {"crs": SINUSOIDAL, "step": 10, "shift": (0.11, 0.3)},
    "rotated": {"step": 10, "rotate": 17.0, "shift": (0.1, 0.3)},
    "upside down by rotation": {"step": 10, "rotate": 180.0, "shift": (0.1, 0.3)},
    "rotated elsewhere": {"crs": "EPSG:32632", "step": 10, "rotate": -103.0, "shift": (0.1, 0.3)},
    "south up": {"step": (9.7, 10.4), "south_up": True, "shift": (0.2, 0.3)},
    "partly outside": {"step": 10, "shift": (9.3, -11.6)},
    "partly outside elsewhere": {"crs": "EPSG:32632", "step": 10, "shift": (-9.3, 11.6)},
    "smaller than the tile": {"step": 10, "shape": (5, 3), "shift": (0.4, 0.4)},
    "one pixel": {"step": 35.0, "shape": (1, 1), "shift": (0.4, 0.4)},
}

PARTLY = {"partly outside", "partly outside elsewhere", "smaller than the tile", "one pixel"}


@pytest.mark.parametrize("name", GRIDS)
def test_nearest_takes_the_pixel_under_each_centre(tmp_path, name):
    options = {"shape": (24, 22), **GRIDS[name]}
    crs = options.get("crs", TILE.crs)
    path = write_raster(tmp_path / "a.tif", noise((2, *options["shape"])), transform_over(TILE, **options), crs)
    valid = assert_nearest(path, indexes=(1, 2))
    assert valid.any() and valid.all() == (name not in PARTLY)


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "average"])
@pytest.mark.parametrize("crs", [TILE.crs, "EPSG:32632", "EPSG:4326"])
def test_a_tile_wholly_outside_has_nothing_valid(tmp_path, crs, resampling):
    transform = transform_over(TILE, (20, 20), 0.001 if crs == "EPSG:4326" else 10, crs, shift=(500, 40))
    data, valid = read(
        write_raster(tmp_path / "a.tif", noise((3, 20, 20)), transform, crs), indexes=(3, 1), resampling=resampling
    )
    assert data.shape == valid.shape == (2, 16, 16) and data.dtype == np.uint16 and not valid.any()


@pytest.mark.parametrize("resolution", [10.0, 30.0, 0.3, 1 / 3])
@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:32733"])
def test_a_centre_on_a_pixels_edge_takes_the_pixel_right_of_and_below_it(tmp_path, resolution, crs):
    tile = tile_at(resolution=round(resolution, 6))
    step = tile.grid.resolution
    west, _, _, north = tile.bounds
    data = noise((20, 20))
    shift = 10_000_000.0 if crs == "EPSG:32733" else 0.0
    transform = Affine(step, 0, west - 1.5 * step, 0, -step, north + shift + 1.5 * step)
    pixels, valid = read(write_raster(tmp_path / "a.tif", data, transform, crs), tile)
    assert valid.all()
    np.testing.assert_array_equal(pixels[0], data[2:18, 2:18])


def test_landsat_pixels_that_lie_half_a_pixel_off(tmp_path):
    west, _, _, north = TILE.bounds
    data = noise((10, 10))
    left, top = (math.floor(west / 30) - 1) * 30 + 15, (math.ceil(north / 30) + 1) * 30 - 15
    path = write_raster(tmp_path / "a.tif", data, Affine(30, 0, left, 0, -30, top), TILE.crs)
    pixels, valid = read(path)
    assert valid.all()
    for row in range(16):
        for column in range(16):
            # whole metres: integer division is exact, and a centre on an edge counts to the right and below
            x, y = int(west) + column * 10 + 5, int(north) - row * 10 - 5
            assert pixels[0, row, column] == data[(int(top) - y) // 30, (x - int(left)) // 30]


def test_the_edges_of_the_raster_are_half_open(tmp_path):
    west, _, _, north = TILE.bounds
    transform = Affine(10, 0, west + 25, 0, -10, north - 35)
    _, valid = read(write_raster(tmp_path / "a.tif", noise((4, 5)), transform, TILE.crs))
    expected = np.zeros((16, 16), bool)
    expected[3:7, 2:7] = True
    np.testing.assert_array_equal(valid[0], expected)


@pytest.mark.parametrize("key", ["60:2:10.0:33:-58:8465", "12:2:10.0:01:-290:42325", "12:2:10.0:60:2000:-42325"])
def test_tiles_of_any_zone_and_hemisphere(tmp_path, key):
    tile = Tile.from_key(key)
    transform = transform_over(tile, (80, 80), 11.0, "EPSG:3857", shift=(0.3, 0.4))
    path = write_raster(tmp_path / "a.tif", noise((80, 80)), transform, "EPSG:3857")
    assert assert_nearest(path, tile).any()


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


def some(shape, share=0.6, seed=9):
    return np.random.default_rng(seed).random(shape) < share


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


@pytest.mark.parametrize(
    "layout",
    [
        {"interleave": "pixel"},
        {"interleave": "band"},
        {"interleave": "band", "tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"},
        {"interleave": "pixel", "tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "lzw", "predictor": 2},
    ],
)
def test_bands_come_in_the_order_asked_whatever_the_layout(tmp_path, layout):
    path = write_raster(tmp_path / "a.tif", noise((5, 40, 40)), transform_over(TILE, (40, 40), 7.3), TILE.crs, **layout)
    assert_nearest(path, indexes=(4, 1, 3))


def test_bands_of_several_files_are_stacked_in_the_order_asked(tmp_path):
    first = write_raster(tmp_path / "a.tif", noise((2, 24, 24), seed=1), transform_over(TILE, (24, 24), 10), TILE.crs)
    second = write_raster(
        tmp_path / "b.tif",
        noise((3, 12, 12), seed=2),
        transform_over(TILE, (12, 12), 20, shift=(3, 0)),
        TILE.crs,
        nodata=3,
    )
    asked = [(first, 2), (second, 3), (second, 1), (first, 1)]
    data, valid = RasterReader(4).read([band(path, index) for path, index in asked], TILE, "nearest")
    for number, (path, index) in enumerate(asked):
        one, mask = read(path, indexes=(index,))
        np.testing.assert_array_equal(data[number], one[0])
        np.testing.assert_array_equal(valid[number], mask[0])


def test_a_mask_band_is_read_as_it_is_with_where_it_reaches(tmp_path):
    data = noise((24, 24), "uint8", 0, 5)
    path = write_raster(tmp_path / "a.tif", data, transform_over(TILE, (24, 24), 10, shift=(7, 0)), TILE.crs, nodata=0)
    values, covered = RasterReader(2).read_mask(band(path), TILE)
    expected = nearest_by_loop(path, TILE)[0]
    for place in np.ndindex(covered.shape):
        assert covered[place] == (expected[place[0]][place[1]] is not OUTSIDE)
        assert not covered[place] or values[place] == expected[place[0]][place[1]]


def test_describe_tells_the_dtype_and_the_first_nodata_that_a_file_declares(tmp_path):
    transform = transform_over(TILE, (4, 4), 10)
    plain = write_raster(tmp_path / "a.tif", noise((4, 4), "uint8", 0, 9), transform, TILE.crs)
    other = write_raster(tmp_path / "b.tif", noise((4, 4), "int16"), transform, TILE.crs, nodata=-1)
    assert RasterReader(2).describe([band(plain)]) == (np.dtype("uint8"), None)
    assert RasterReader(2).describe([band(plain), band(other)]) == (np.dtype("int16"), -1)


# Everything but nearest: GDAL's own warp of the whole raster, in its dtype, is what the windowed warp has to give.


def warped_whole(path, tile, resampling, nodata):
    with rasterio.open(path) as file:
        data = file.read()
        result = np.full((data.shape[0], tile.grid.size, tile.grid.size), nodata, data.dtype)
        for number in range(data.shape[0]):
            reproject(
                data[number],
                result[number],
                src_transform=file.transform,
                src_crs=file.crs,
                src_nodata=nodata,
                dst_transform=Affine.from_gdal(*tile.geotransform),
                dst_crs=tile.crs,
                dst_nodata=nodata,
                resampling=Resampling[resampling],
            )
    return result


def smooth(shape, seed=0):
    """A landscape without steps, whose slopes tell a shift of a hundredth of a pixel."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (5000 + 900 * np.sin(rows / 3.1 + seed) + 700 * np.cos(columns / 2.3)).astype(np.float64)


@pytest.mark.parametrize("size", [16, 128])
@pytest.mark.parametrize("crs", [TILE.crs, "EPSG:32632", "EPSG:4326", SINUSOIDAL])
def test_bilinear_is_the_weighted_mean_of_the_four_pixels_around_the_point(tmp_path, crs, size):
    tile = tile_at(size)
    step = 0.0007 if crs == "EPSG:4326" else 60.0
    data = smooth((90, 90))
    path = write_raster(tmp_path / "a.tif", data, transform_over(tile, (90, 90), step, crs, shift=(0.2, 0.4)), crs)
    pixels, valid = read(path, tile, resampling="bilinear")
    assert valid.all()
    with rasterio.open(path) as file:
        inverse = ~file.transform
    project = pyproj.Transformer.from_crs(tile.crs, crs, always_xy=True)
    west, _, _, north = tile.bounds
    for row in range(0, size, max(1, size // 16)):
        for column in range(0, size, max(1, size // 16)):
            point = project.transform(west + (column + 0.5) * 10, north - (row + 0.5) * 10)
            across, down = (value - 0.5 for value in inverse @ point)
            j, i = math.floor(across), math.floor(down)
            u, v = across - j, down - i
            upper = data[i, j] * (1 - u) + data[i, j + 1] * u
            lower = data[i + 1, j] * (1 - u) + data[i + 1, j + 1] * u
            assert pixels[0, row, column] == pytest.approx(upper * (1 - v) + lower * v, abs=2)


@pytest.mark.parametrize("scale", [2, 6])
def test_average_of_whole_pixels_is_their_mean_over_valid_ones(tmp_path, scale):
    tile = tile_at(resolution=float(10 * scale))
    data = noise((16 * scale, 16 * scale), "int16", -500, 5000)
    data[some(data.shape, 0.4)] = -9999
    data[: 3 * scale, : 2 * scale] = -9999
    path = write_raster(tmp_path / "a.tif", data, transform_over(tile, data.shape, 10), tile.crs, nodata=-9999)
    pixels, valid = read(path, tile, resampling="average")
    for row, column in np.ndindex(16, 16):
        block = data[row * scale : (row + 1) * scale, column * scale : (column + 1) * scale]
        values = [int(value) for value in block.ravel() if value != -9999]
        assert valid[0, row, column] == bool(values)
        if values:
            # a mean that ends in a half may go either way: GDAL adds up weights, not pixels
            assert abs(Fraction(int(pixels[0, row, column])) - Fraction(sum(values), len(values))) <= Fraction(1, 2)


@pytest.mark.parametrize(("dtype", "values"), [("uint8", (0, 255)), ("int8", (-128, 127)), ("uint16", (0, 65535))])
@pytest.mark.parametrize("resampling", ["cubic", "lanczos"])
def test_a_kernel_that_overshoots_stops_at_the_limits_of_the_dtype(tmp_path, dtype, values, resampling):
    data = np.random.default_rng(2).choice(np.array(values, dtype), (30, 30), p=[0.7, 0.3])
    path = write_raster(tmp_path / "a.tif", data, transform_over(TILE, (30, 30), 17, shift=(0.3, 0.2)), TILE.crs)
    pixels, valid = read(path, resampling=resampling)
    assert valid.all() and pixels.dtype == dtype and {pixels.min(), pixels.max()} == set(values)
    with rasterio.open(path) as file:
        wide = np.zeros((16, 16))
        reproject(
            data.astype(float),
            wide,
            src_transform=file.transform,
            src_crs=file.crs,
            dst_transform=Affine.from_gdal(*TILE.geotransform),
            dst_crs=TILE.crs,
            resampling=Resampling[resampling],
        )
    assert wide.min() < values[0] and wide.max() > values[1]
    # GDAL rounds halves up, and a kernel's last digits may fall on either side of one
    clear = np.abs(wide - np.floor(wide) - 0.5) > 1e-6
    np.testing.assert_array_equal(pixels[0][clear], np.clip(np.floor(wide + 0.5), *values)[clear])


@pytest.mark.parametrize("hole", [math.nan, math.inf, -math.inf, -9999.0])
@pytest.mark.parametrize("resampling", ["bilinear", "cubic", "average"])
def test_holes_of_any_kind_in_floats_weigh_nothing(tmp_path, hole, resampling):
    data = noise((40, 40), "float32")
    holes = some((40, 40), 0.1)
    holes[12:22, 15:27] = True
    transform = transform_over(TILE, (40, 40), 7.7, shift=(0.2, 0.3))
    odd = write_raster(tmp_path / "a.tif", np.where(holes, np.float32(hole), data), transform, TILE.crs, nodata=-9999)
    usual = write_raster(tmp_path / "b.tif", np.where(holes, np.float32(-1), data), transform, TILE.crs, nodata=-1)
    pixels, valid = read(odd, resampling=resampling)
    expected = warped_whole(usual, TILE, resampling, -1)
    assert 0.5 < valid.mean() < 1
    np.testing.assert_array_equal(valid, expected != -1)
    np.testing.assert_allclose(pixels[valid], expected[valid], rtol=1e-5)


@pytest.mark.parametrize("resampling", ["bilinear", "mode", "average"])
def test_each_band_has_its_own_holes_when_warped(tmp_path, resampling):
    data = noise((3, 30, 30), "uint8", 1, 255)
    for number in range(3):
        data[number, 5 + 4 * number : 12 + 4 * number] = 0
    path = write_raster(
        tmp_path / "a.tif", data, transform_over(TILE, (30, 30), 9.1, shift=(0.2, 0.3)), TILE.crs, nodata=0
    )
    together = read(path, indexes=(1, 2, 3), resampling=resampling)
    for number in range(3):
        pixels, valid = read(path, indexes=(number + 1,), resampling=resampling)
        np.testing.assert_array_equal(together[0][number], pixels[0])
        np.testing.assert_array_equal(together[1][number], valid[0])
    assert not np.array_equal(together[1][0], together[1][1])


METHODS = ["bilinear", "cubic", "cubic_spline", "lanczos", "average", "max", "min", "med", "q1", "q3", "rms"]
WARPS = {
    "same grid": {"step": 10},
    "unaligned": {"step": (9.9948, 9.9974), "shift": (0.3, 0.21)},
    "finer": {"step": 3.7, "shape": (90, 90), "shift": (0.3, 0.21)},
    "much finer": {"step": 1.0, "shape": (300, 300)},
    "coarser": {"step": 60.0, "shift": (0.4, 0.1)},
    "other zone": {"crs": "EPSG:32632", "step": 10, "shift": (0.13, 0.77)},
    "geographic": {"crs": "EPSG:4326", "step": (0.00013, 0.00009), "shift": (0.11, 0.3)},
    "rotated": {"step": 10, "rotate": 17.0, "shift": (0.1, 0.3)},
    "edge": {"step": 10, "shift": (17.3, -16.6)},
    "south up": {"step": (9.7, 10.4), "south_up": True, "shift": (0.2, 0.3)},
}


@pytest.mark.parametrize("resampling", METHODS)
@pytest.mark.parametrize(
    ("name", "dtype", "nodata"),
    [(name, "uint16", 0) for name in WARPS] + [("unaligned", "int16", -9999), ("other zone", "float32", -1.0)],
)
def test_other_resamplings_equal_gdals_warp_of_the_whole_raster(tmp_path, name, resampling, dtype, nodata):
    options = {"shape": (44, 42), **WARPS[name]}
    data = noise((2, *options["shape"]), dtype, 20, 12000, seed=5)
    data[:, some(options["shape"], 0.1)] = nodata
    data[1, 10:14, 10:20] = nodata
    crs = options.get("crs", TILE.crs)
    path = write_raster(tmp_path / "a.tif", data, transform_over(TILE, **options), crs, nodata=nodata)
    pixels, valid = read(path, indexes=(1, 2), resampling=resampling)
    # a value that lands on nodata is moved in the chip; GDAL does so at once
    pixels = np.where(valid & (pixels == nodata), nodata + 1, pixels)
    expected = warped_whole(path, TILE, resampling, nodata)
    assert valid.any()
    np.testing.assert_array_equal(valid, expected != nodata)
    if dtype == "float32":
        np.testing.assert_allclose(pixels[valid], expected[valid], rtol=1e-5)
    else:
        np.testing.assert_array_equal(pixels[valid], expected[valid])


# Many files, many threads, few handles.


def open_rasters(folder):
    """The files below a folder that this process holds open."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue
    return [name for name in found if name.startswith(str(folder))]


@pytest.fixture
def many(tmp_path):
    return [
        write_raster(
            tmp_path / f"{n}.tif", np.full((24, 24), n + 1, np.uint8), transform_over(TILE, (24, 24), 10), TILE.crs
        )
        for n in range(9)
    ]


def test_no_more_files_stay_open_than_the_limit(tmp_path, many):
    reader = RasterReader(2)
    for _ in range(2):
        for number, path in enumerate(many):
            assert (reader.read([band(path)], TILE, "nearest")[0] == number + 1).all()
            assert len(open_rasters(tmp_path)) <= 2
    assert set(open_rasters(tmp_path)) == {str(many[-1]), str(many[-2])}


def test_a_handle_is_opened_once_for_many_tiles(tmp_path, many):
    reader = RasterReader(8)
    reader.read([band(many[0])], TILE, "nearest")
    os.rename(many[0], tmp_path / "moved.tif")
    assert (reader.read([band(many[0])], TILE, "nearest")[0] == 1).all()


@pytest.mark.parametrize("resampling", ["nearest", "bilinear"])
def test_threads_share_few_handles_and_get_the_right_pixels(tmp_path, many, resampling):
    reader, start = RasterReader(2), threading.Barrier(4)
    tiles = [TILE, tile_at(east=1), tile_at(north=1)]

    def work(seed):
        start.wait()
        rng = np.random.default_rng(seed)
        for number in rng.integers(0, len(many), 40).tolist():
            tile = tiles[int(rng.integers(len(tiles)))]
            pixels, valid = reader.read([band(many[number])], tile, resampling)
            assert (pixels[valid] == number + 1).all() and valid.any()
        return seed

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [0, 1, 2, 3]
    assert len(open_rasters(tmp_path)) <= 2


def test_a_new_signature_opens_the_file_anew(tmp_path, many):
    signatures = iter([many[0], many[0], many[1]])
    reader = RasterReader(4, lambda href: str(next(signatures)))
    values = [reader.read([band("unsigned.tif")], TILE, "nearest")[0].max() for _ in range(3)]
    assert values == [1, 1, 2]


# Files that cannot be used.


def truncated(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


@pytest.mark.parametrize("resampling", ["nearest", "cubic"])
def test_a_truncated_file_is_named(tmp_path, resampling):
    data = noise((4, 256, 256))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        plain = write_raster(tmp_path / "plain.tif", data, transform_over(TILE, (256, 256), 10), TILE.crs)
    path = tmp_path / "cog.tif"
    with rasterio.open(plain) as file:
        copy(file, path, driver="COG", blocksize=128)
    with pytest.raises(SceneError, match=r"cog\.tif: cannot be read .*repair it"):
        read(truncated(path, 0.5), resampling=resampling)
    with pytest.raises(SceneError, match=r"cog\.tif: cannot be read .*repair it"):
        read(truncated(path, 0.001), resampling=resampling)


def test_a_broken_file_does_not_stay_open_and_can_be_mended(tmp_path):
    data = noise((256, 256))
    path = write_raster(tmp_path / "a.tif", data, transform_over(TILE, (256, 256), 10), TILE.crs)
    content, reader = path.read_bytes(), RasterReader(4)
    truncated(path, 0.4)
    with pytest.raises(SceneError):
        reader.read([band(path)], TILE, "nearest")
    assert open_rasters(tmp_path) == []
    path.write_bytes(content)
    np.testing.assert_array_equal(reader.read([band(path)], TILE, "nearest")[0][0], data[120:136, 120:136])


def test_files_that_are_none_are_named(tmp_path):
    (tmp_path / "text.tif").write_text("not a raster")
    (tmp_path / "empty.tif").write_bytes(b"")
    for name in ("text.tif", "empty.tif", "missing.tif"):
        with pytest.raises(SceneError, match=f"{name}: cannot be read") as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_raster_without_georeference_is_named(tmp_path):
    transform = transform_over(TILE, (4, 4), 10)
    bare = write_raster(tmp_path / "bare.tif", noise((4, 4)), transform, None)
    with pytest.raises(SceneError, match="bare.tif: has no georeference"):
        read(bare)
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        lost = write_raster(tmp_path / "lost.tif", noise((4, 4)), Affine.identity(), TILE.crs)
        with pytest.raises(SceneError, match="lost.tif: has no georeference"):
            read(lost)


def test_a_band_that_the_catalogue_promised_in_vain_is_named(tmp_path):
    path = write_raster(tmp_path / "a.tif", noise((2, 4, 4)), transform_over(TILE, (4, 4), 10), TILE.crs)
    with pytest.raises(SceneError, match=r"a\.tif: has 2 bands, but its catalogue lists band 3"):
        read(path, indexes=(1, 3))


HUNGRY = """
import resource, sys
import numpy as np
from segchips.chips.open_rasters import GDAL_OPTIONS
from segchips.chips.raster_reader import RasterReader
from segchips.grids.tile import Tile
from segchips.scenes.model import Band

GDAL_OPTIONS["GDAL_CACHEMAX"] = 16 * 2**20
reader, tile = RasterReader(100), Tile.from_key(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[2:]:
    data, valid = reader.read([Band(path, 1, None, 1.0, 0.0)], tile, "nearest", None)
    assert valid.all() and data.any()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_open_rasters_take_no_memory_but_the_cache_of_blocks(tmp_path):
    """30 rasters of 8 MB are read whole and stay open; what is kept of them is 16 MB, and 8 MB are a tile."""
    tile = Tile.from_key("2048:0:10.0:33:0:0")
    for number in range(30):
        with rasterio.open(
            tmp_path / f"{number}.tif",
            "w",
            driver="GTiff",
            width=2048,
            height=2048,
            count=1,
            dtype="uint16",
            crs=tile.crs,
            transform=rasterio.Affine.from_gdal(*tile.geotransform),
        ) as file:
            file.write(noise((1, 2048, 2048), seed=number))
    paths = [str(tmp_path / f"{number}.tif") for number in range(30)]
    result = subprocess.run(
        [sys.executable, "-c", HUNGRY, tile.key, *paths], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) < 150, f"{result.stdout} MB more"
