"""A file of which only the header and the named ranges are there gives the pixels of the whole file."""

import io

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window as RasterWindow

from segchips.remote.tiff_layout import Window, WindowRead, read_tiff_layout

SHAPE = 3, 310, 420
LAYOUTS = {
    "tiles": {"tiled": True, "blockxsize": 64, "blockysize": 48, "compress": "lzw"},
    "tiles, band by band": {"tiled": True, "blockxsize": 64, "blockysize": 64, "interleave": "band"},
    "strips": {"compress": "deflate", "blockysize": 7},
    "strips as they are": {"blockysize": 16},
    "one strip": {"blockysize": 310, "interleave": "band"},
    "BigTIFF": {
        "tiled": True,
        "blockxsize": 128,
        "blockysize": 128,
        "bigtiff": "yes",
        "predictor": 2,
        "compress": "lzw",
    },
    "cloud-optimized": {"driver": "COG", "blocksize": 128, "compress": "deflate"},
    "JPEG": {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "jpeg", "photometric": "ycbcr"},
}


def write(path, masked, **profile):
    random = np.random.default_rng(3)
    profile = {"driver": "GTiff", "count": 3, "height": SHAPE[1], "width": SHAPE[2], "dtype": "uint8", **profile}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", crs="EPSG:32633", **profile) as file:
        file.write(random.integers(1, 255, SHAPE).astype("uint8"))
        if masked:
            file.write_mask(random.random(SHAPE[1:]) > 0.3)


@pytest.mark.parametrize("masked", [False, True], ids=["plain", "mask"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_named_ranges_hold_what_a_window_needs(tmp_path, layout, masked):
    whole, part = tmp_path / "whole.tif", tmp_path / "part.tif"
    write(whole, masked, **LAYOUTS[layout])
    content = whole.read_bytes()
    found = read_tiff_layout(io.BytesIO(content), len(content))
    random = np.random.default_rng(5)
    for _ in range(12):
        top, left = random.integers(0, 300), random.integers(0, 410)
        bottom, right = random.integers(top + 1, 311), random.integers(left + 1, 421)
        bands = sorted(random.choice([1, 2, 3], random.integers(1, 4), replace=False).tolist())
        wanted = found.ranges(WindowRead(SHAPE[1:], tuple(bands), Window(top, bottom, left, right), masked))
        held = bytearray(len(content))
        for start, stop in (*found.header, *wanted):
            held[start:stop] = content[start:stop]
        part.write_bytes(held)
        window = RasterWindow(left, top, right - left, bottom - top)
        with rasterio.open(whole) as expected, rasterio.open(part) as read:
            np.testing.assert_array_equal(read.read(bands, window=window), expected.read(bands, window=window))
            if masked:
                assert (read.read_masks(bands, window=window) == expected.read_masks(bands, window=window)).all()
        if bottom - top < 100 and right - left < 100:
            assert sum(stop - start for start, stop in {*wanted}) < len(content)


def test_blocks_that_are_not_stored_need_no_bytes(tmp_path):
    path = tmp_path / "sparse.tif"
    profile = {"driver": "GTiff", "count": 1, "height": 256, "width": 256, "dtype": "uint8", "tiled": True}
    with rasterio.open(path, "w", blockxsize=64, blockysize=64, sparse_ok=True, **profile) as file:
        file.write(np.full((64, 64), 7, "uint8"), 1, window=RasterWindow(64, 64, 64, 64))
    content = path.read_bytes()
    found = read_tiff_layout(io.BytesIO(content), len(content))
    assert found.ranges(WindowRead((256, 256), (1,), Window(0, 64, 0, 256), False)) == []
    assert len(found.ranges(WindowRead((256, 256), (1,), Window(0, 256, 0, 256), False))) == 1


@pytest.mark.parametrize("content", [b"", b"II*\0", b"II*\0\x08\0\0\0\xff\xff", b"\x89PNG\r\n"])
def test_what_is_no_tiff_file_is_a_value_error(content):
    with pytest.raises(ValueError, match="."):
        read_tiff_layout(io.BytesIO(content), len(content))
