"""Mode resampling against exact areas of polygons, pixel by pixel; the result depends on no release of GDAL."""

import math

import numpy as np
import pyproj
import pytest
import rasterio
import shapely

from segchips.chips.raster_reader import RasterReader
from segchips.scenes.model import Band
from support.datasets import tile_at
from support.rasters import transform_over, write_raster

TILE = tile_at()
UPRIGHT = {
    "same grid": {"step": 10},
    "unaligned": {"step": (9.9948, 9.9974), "shift": (0.3, 0.21)},
    "whole factor": {"step": 5, "shape": (60, 60)},
    "finer": {"step": 3.7, "shape": (90, 90), "shift": (0.3, 0.21)},
    "coarser": {"step": 60.0, "shift": (0.4, 0.1)},
    "edge": {"step": 10, "shift": (17.3, -16.6)},
    "south up": {"step": (9.7, 10.4), "south_up": True, "shift": (0.2, 0.3)},
    "upside down": {"step": 10, "rotate": 180.0, "shift": (0.1, 0.3)},
    "quarter turn": {"step": 5, "shape": (120, 120), "rotate": 90.0},
    "geographic": {"crs": "EPSG:4326", "step": (0.00013, 0.00009), "shift": (0.11, 0.3)},
}
TURNED = {
    "other zone": {"crs": "EPSG:32632", "step": 3.1, "shape": (120, 120), "shift": (0.13, 0.77)},
    "conic": {"crs": "EPSG:3035", "step": 3.1, "shape": (120, 120)},
    "rotated": {"step": 3.7, "shape": (120, 120), "rotate": 30.0},
}


def read(path, tile=TILE, indexes=(1,), nodata=None):
    bands = [Band(str(path), index, nodata, 1.0, 0.0) for index in indexes]
    return RasterReader(2).read(bands, tile, "mode")


def classes(shape, dtype="uint8", holes=0.1, seed=5):
    """Four values in a random pattern, and 0 for nodata."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < holes, 0, rng.integers(1, 5, shape)).astype(dtype)


def areas_by_value(path, tile, nodata=0):
    """For each tile pixel: the area, in source pixels, that each value covers of its outline in the raster."""
    with rasterio.open(path) as file:
        data, inverse, crs = file.read(1), ~file.transform, file.crs.to_string()
    project = pyproj.Transformer.from_crs(tile.crs, crs, always_xy=True)
    west, step, _, north, _, _ = tile.geotransform
    areas = {}
    for row, column in np.ndindex(tile.grid.size, tile.grid.size):
        corners = [(column, row), (column + 1, row), (column + 1, row + 1), (column, row + 1)]
        outline = shapely.Polygon(
            [inverse @ project.transform(west + across * step, north - down * step) for across, down in corners]
        )
        left, top, right, bottom = outline.bounds
        covered = areas.setdefault((row, column), {})
        for y in range(max(0, math.floor(top)), min(data.shape[0], math.ceil(bottom))):
            for x in range(max(0, math.floor(left)), min(data.shape[1], math.ceil(right))):
                if data[y, x] != nodata:
                    value = data[y, x].item()
                    area = outline.intersection(shapely.box(x, y, x + 1, y + 1)).area
                    covered[value] = covered.get(value, 0.0) + area
    return areas


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize("name", UPRIGHT)
def test_each_pixel_takes_the_value_that_covers_most_of_it(tmp_path, name, dtype):
    options = {"shape": (44, 42), **UPRIGHT[name]}
    crs = options.get("crs", TILE.crs)
    data = classes(options["shape"], dtype)
    path = write_raster(tmp_path / "a.tif", data, transform_over(TILE, **options), crs, nodata=0)
    pixels, valid = read(path)
    assert pixels.dtype == dtype and valid.any()
    for (row, column), areas in areas_by_value(path, TILE).items():
        most = max(areas.values(), default=0)
        assert valid[0, row, column] == (most > 1e-5)
        if valid[0, row, column]:
            candidates = [value for value, area in areas.items() if area > most - 1e-5]
            assert pixels[0, row, column] == min(candidates), (row, column, areas)


@pytest.mark.parametrize("name", TURNED)
def test_pixels_turned_against_the_raster_take_nearly_the_largest_area(tmp_path, name):
    options = TURNED[name]
    crs = options.get("crs", TILE.crs)
    path = write_raster(tmp_path / "a.tif", classes(options["shape"]), transform_over(TILE, **options), crs, nodata=0)
    pixels, valid = read(path)
    share = 0.2 if name == "rotated" else 0.02
    for (row, column), areas in areas_by_value(path, TILE).items():
        most, total = max(areas.values()), sum(areas.values())
        assert valid[0, row, column] and areas[pixels[0, row, column].item()] > most - share * total


def test_a_tie_is_the_smallest_value_wherever_it_lies(tmp_path):
    tile = tile_at(size=2, resolution=20.0)
    blocks = {(0, 0): [[7, 3], [3, 7]], (0, 1): [[9, 9], [2, 2]], (1, 0): [[8, 6], [5, 4]], (1, 1): [[1, 9], [9, 5]]}
    data = np.block([[np.array(blocks[row, column]) for column in range(2)] for row in range(2)]).astype("uint8")
    for south_up in (False, True):
        path = write_raster(
            tmp_path / f"{south_up}.tif",
            data[::-1] if south_up else data,
            transform_over(tile, (4, 4), 10, south_up=south_up),
            tile.crs,
        )
        assert read(path, tile)[0][0].tolist() == [[3, 2], [4, 9]]


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("uint32", 2**32 - 1), ("int32", -(2**31)), ("int64", 2**62 + 1), ("uint64", 2**64 - 1), ("float64", 0.1)],
)
def test_no_value_is_rounded(tmp_path, dtype, value):
    tile = tile_at(resolution=30.0)
    data = np.full((48, 48), value, dtype)
    data[::3, ::3] = 5
    pixels, valid = read(write_raster(tmp_path / "a.tif", data, transform_over(tile, (48, 48), 10), tile.crs), tile)
    assert valid.all() and pixels.dtype == dtype and (pixels == np.array(value, dtype)).all()


def test_nodata_and_values_that_are_not_finite_cover_nothing(tmp_path):
    tile = tile_at(resolution=30.0)
    data = np.tile(np.array([[math.nan, math.inf, -math.inf], [-1, -1, -1], [4, 3, 4]], "float32"), (16, 16))
    data[:3, :3] = math.nan
    pixels, valid = read(
        write_raster(tmp_path / "a.tif", data, transform_over(tile, (48, 48), 10), tile.crs, nodata=-1), tile
    )
    assert not valid[0, 0, 0] and valid.sum() == 255 and (pixels[valid] == 4).all()


def test_bands_are_resampled_each_for_itself(tmp_path):
    shape = (90, 90)
    data = np.stack([classes(shape, seed=seed) for seed in (1, 2)])
    path = write_raster(tmp_path / "a.tif", data, transform_over(TILE, shape, 3.7), TILE.crs, nodata=0)
    together = read(path, indexes=(2, 1))
    for number, index in enumerate((2, 1)):
        for both, one in zip(together, read(path, indexes=(index,)), strict=True):
            np.testing.assert_array_equal(both[number], one[0])
