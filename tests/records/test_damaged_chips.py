"""Damaged chips, which are named or read as GDAL reads them."""

import numpy as np
import pytest

from segchips.errors import InputError
from segchips.records.chip_header import Sidecars
from segchips.records.chip_reader import read_chip, read_file
from support.chip_reading import read_with_gdal, result_or_none
from support.chips import random_pixels, write_chip

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")


def damaged(content, rng):
    """Copies with one flipped bit, most of them in the header, and copies cut off."""
    for _ in range(150):
        at = int(rng.integers(min(len(content), 700) if rng.random() < 0.7 else len(content)))
        yield content[:at] + bytes([content[at] ^ 1 << int(rng.integers(8))]) + content[at + 1 :]
    for end in rng.integers(0, len(content), 20):
        yield content[:end]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compress": "lzw", "tiled": True, "blockxsize": 16, "blockysize": 16},
        {"compress": "deflate", "predictor": 2, "interleave": "band"},
        {"driver": "PNG", "crs": None, "transform": None},
    ],
)
def test_no_damage_gives_other_pixels_than_gdal(tmp_path, options):
    path, driver, good = tmp_path / "chip.tif", options.get("driver"), random_pixels("uint16", (30, 20, 3)) // 99
    write_chip(path, good, **options)
    path.with_name("chip.tif.aux.xml").unlink(missing_ok=True)
    for content in damaged(path.read_bytes(), np.random.default_rng(3)):
        path.write_bytes(content)
        ours, theirs = (
            result_or_none(lambda: read_chip(path, Sidecars.NONE)),
            result_or_none(lambda: read_with_gdal(path)),
        )
        if driver == "PNG":
            assert ours is None or ours[1].tobytes() == good.tobytes()
        elif ours is not None:
            assert theirs is not None
            assert ours[1].tobytes() == theirs[0].tobytes()
            assert ours[0].crs == theirs[1]
            np.testing.assert_array_equal(ours[0].geotransform, theirs[2])


def test_a_raw_file_that_is_cut_off_is_named(tmp_path):
    path = tmp_path / "chip.dat"
    write_chip(path, random_pixels("uint8", (64, 64, 3)), driver="ENVI")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="chip.dat cannot be read"):
        read_chip(path)


@pytest.mark.parametrize("name", ["chip.tif", "chip.png", "chip.jpg"])
def test_a_file_that_is_cut_off_or_none_is_named(tmp_path, name):
    path = tmp_path / name
    driver = {"tif": "GTiff", "png": "PNG", "jpg": "JPEG"}[path.suffix[1:]]
    write_chip(path, random_pixels("uint8", (64, 64, 3)), driver=driver, crs=None, transform=None)
    good = path.read_bytes()
    for content in (b"", b"text", good[: len(good) // 2], good[:-30]):
        path.write_bytes(content)
        for read in (read_chip, read_file):
            for sidecars in (Sidecars.NONE, Sidecars.OTHER):
                with pytest.raises(InputError, match=f"{name} {'cannot be read' if content else 'is empty'}"):
                    read(path, sidecars)
    path.unlink()
    with pytest.raises(InputError, match=f"{name} cannot be read: No such file"):
        read_chip(path)
