"""Chip files are read by other programs as the values that they hold."""

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from segchips.chips.chip_file import write_chip
from segchips.training.mosaic import mosaic
from support.datasets import tile_at


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_the_last_band_of_8_bits_is_no_alpha(tmp_path, count):
    tile = tile_at()
    pixels = np.full((count, tile.size, tile.size), 7, np.uint8)
    pixels[-1, :20] = 0
    write_chip(tmp_path / "chip.tif", pixels, tile, [f"band_{at}" for at in range(count)], None, {})
    (mapped,) = mosaic([(tile.key, pixels.transpose(1, 2, 0))], tmp_path / "map.tif")
    for path in (tmp_path / "chip.tif", mapped):
        with rasterio.open(path) as file:
            assert ColorInterp.alpha not in file.colorinterp
            assert file.read_masks().all()
