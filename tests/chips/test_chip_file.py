"""Chip files are read by other programs as the values that they hold, and a changed one is noticed."""

from pathlib import Path

import google_crc32c
import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from segchips.chips.chip_file import chip_made_from, write_chip
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


def write_noise(path: Path) -> str:
    """Write a chip with everything that a chip may have; returns its tile key."""
    tile, draws = tile_at(size=16), np.random.default_rng(0)
    pixels, valid = draws.integers(0, 255, (2, 16, 16), np.uint8), draws.random((16, 16)) < 0.5
    tags = {"MADE_FROM": "a", "SCENES": '{"files": [{"id": "a"}]}'}
    write_chip(path, pixels, tile, ["red", "nir"], None, tags, [(0.1, 0.0), (0.1, 3.0)], valid)
    return tile.key


def test_every_changed_byte_of_a_chip_is_noticed(tmp_path):
    path = tmp_path / "chip.tif"
    key = write_noise(path)
    content = path.read_bytes()
    assert chip_made_from(path, key) == "a" and chip_made_from(path, key + "0") is None
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 32]) + content[place + 1 :])
        assert chip_made_from(path, key) is None, f"byte {place}: {content[place - 20 : place + 20]!r}"
    for length in (0, 10, 100, len(content) - 1):
        path.write_bytes(content[:length])
        assert chip_made_from(path, key) is None
    path.write_bytes(content + b" ")
    assert chip_made_from(path, key) is None


@pytest.mark.parametrize(
    "edit",
    [
        lambda chip: setattr(chip, "nodata", 3),
        lambda chip: chip.update_tags(NOTE="mine"),
        lambda chip: setattr(chip, "descriptions", ("nir", "red")),
        lambda chip: setattr(chip, "crs", "EPSG:32601"),
        lambda chip: chip.write(chip.read()[::-1]),
    ],
)
def test_a_chip_that_another_program_has_changed_is_noticed(tmp_path, edit):
    path = tmp_path / "chip.tif"
    key = write_noise(path)
    with rasterio.open(path, "r+") as chip:
        edit(chip)
    assert chip_made_from(path, key) is None


def test_the_checksum_of_a_chip_is_that_of_its_bytes_with_zeros_in_its_place(tmp_path):
    path = tmp_path / "chip.tif"
    write_noise(path)
    with rasterio.open(path) as chip:
        told = chip.tags()["CHECKSUM"]
    content = path.read_bytes()
    assert content.count(told.encode()) == 1
    assert told == f"{google_crc32c.value(content.replace(told.encode(), b'0' * 8)):08x}"
