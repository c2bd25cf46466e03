"""Mosaics of tiles that overlap besides their padding: each pixel comes from the tile in whose middle it lies."""

import numpy as np
import rasterio

import segchips
from segchips.grids.tile import Tile
from support.projected_grids import projected_grid


def test_each_pixel_comes_from_the_tile_in_whose_middle_it_lies(tmp_path):
    grid = projected_grid("EPSG:2056", 24, 2, 1.0, 10)
    tiles = [Tile(grid, 0, path, row) for path in range(4) for row in range(3)]
    order = np.random.default_rng(1).permutation(len(tiles))
    predictions = [(tiles[at].key, np.full((24, 24), at, np.uint8)) for at in order]
    (path,) = segchips.mosaic(predictions, tmp_path / "mosaic.tif")
    with rasterio.open(path) as mosaic:
        pixels = mosaic.read(1)
        assert pixels.shape == (40, 50) and mosaic.transform.to_gdal() == (0, 1, 0, 40, 0, -1)
    for at, tile in enumerate(tiles):
        west, south, east, north = tile.core_bounds
        rows, columns = slice(int(40 - north) + 5, int(40 - south) - 5), slice(int(west) + 5, int(east) - 5)
        assert (pixels[rows, columns] == at).all()
    for row, column in np.ndindex(pixels.shape):
        west, south, east, north = tiles[pixels[row, column]].core_bounds
        assert west < column + 0.5 < east and south < 39.5 - row < north
