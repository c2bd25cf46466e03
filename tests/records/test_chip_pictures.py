"""PNG, JPEG and other formats, whose pixels and headers are those that GDAL reads."""

import numpy as np
import pytest
from PIL import Image

from segchips.records.chip_reader import read_chip
from support.chip_reading import assert_read_like_gdal, read_with_gdal
from support.chips import random_pixels, write_chip

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")


@pytest.mark.parametrize(
    ("dtype", "channels"),
    [("uint8", 1), ("uint8", 2), ("uint8", 3), ("uint8", 4), ("uint16", 1), ("uint16", 3), ("uint16", 4)],
)
def test_pngs_are_read_as_by_gdal_and_without_it(tmp_path, dtype, channels):
    for seed, shape in enumerate([(1, 1), (7, 5), (1, 30), (30, 1), (64, 70)]):
        write_chip(
            tmp_path / "chip.png",
            random_pixels(dtype, (*shape, channels), seed),
            driver="PNG",
            crs=None,
            transform=None,
        )
        (tmp_path / "chip.png.aux.xml").unlink(missing_ok=True)
        assert assert_read_like_gdal(tmp_path / "chip.png")


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "P"},
        {"mode": "1"},
        {"mode": "L", "bits": 4},
        {"mode": "L", "transparency": 3},
        {"mode": "RGB", "transparency": (1, 2, 3)},
    ],
)
def test_other_pngs_are_read_as_by_gdal(tmp_path, options):
    image = Image.fromarray(random_pixels("uint8", (13, 11, 3))).convert(options.pop("mode"))
    image.save(tmp_path / "chip.png", **options)
    assert not assert_read_like_gdal(tmp_path / "chip.png")


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("quality", [40, 95])
def test_jpegs_are_read_as_by_gdal(tmp_path, channels, quality):
    for options in ({}, {"progressive": True}, {"subsampling": 0}):
        image = Image.fromarray(
            random_pixels("uint8", (30, 41, channels)).squeeze(), {1: "L", 3: "RGB", 4: "CMYK"}[channels]
        )
        image.save(tmp_path / "chip.jpg", quality=quality, **options)
        assert assert_read_like_gdal(tmp_path / "chip.jpg") == (channels != 4)


@pytest.mark.parametrize("driver", ["BMP", "GIF", "JP2OpenJPEG", "ENVI", "WEBP"])
def test_every_other_format_is_read_as_by_gdal(tmp_path, driver):
    array = random_pixels("uint8", (64, 64, 1 if driver == "GIF" else 3))
    write_chip(tmp_path / "chip.dat", array, driver=driver, **({"LOSSLESS": "YES"} if driver == "WEBP" else {}))
    expected, crs, transform = read_with_gdal(tmp_path / "chip.dat")
    header, found = read_chip(tmp_path / "chip.dat")
    np.testing.assert_array_equal(found, expected)
    assert (header.crs, header.geotransform) == (crs, transform)
