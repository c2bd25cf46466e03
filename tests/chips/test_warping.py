"""Resampling other than nearest, compared with GDAL's warp of the whole raster."""

import math
from fractions import Fraction

import numpy as np
import pyproj
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.warp import reproject

from support.datasets import tile_at
from support.raster_reading import SINUSOIDAL, TILE, noise, read, some
from support.rasters import transform_over, write_raster

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
