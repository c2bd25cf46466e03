"""open_rasters.py: many files, many threads, few open files."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio

from segchips.chips.raster_reader import RasterReader
from segchips.grids.tile import Tile
from support.datasets import tile_at
from support.raster_reading import TILE, band, noise, open_rasters
from support.rasters import transform_over, write_raster


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


def test_a_new_signature_opens_the_file_again(tmp_path, many):
    signatures = iter([many[0], many[0], many[1]])
    reader = RasterReader(4, lambda href: str(next(signatures)))
    values = [reader.read([band("unsigned.tif")], TILE, "nearest")[0].max() for _ in range(3)]
    assert values == [1, 1, 2]


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
