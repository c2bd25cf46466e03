"""TIFF chips, whose pixels and headers are those that GDAL reads."""

import itertools
import struct

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.control import GroundControlPoint

from segchips.errors import InputError
from segchips.records.chip_header import Sidecars
from segchips.records.chip_reader import read_chip, read_header
from segchips.records.fast_header import read_fast_header
from support.chip_reading import assert_read_like_gdal, read_with_gdal, result_or_none
from support.chips import TRANSFORM, random_pixels, write_chip

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "uint64", "float32", "float64"]
COMPRESSIONS = ["none", "lzw", "deflate", "zstd", "packbits", "lzma"]


def layouts():
    """Each dtype with each compression and predictor, the other choices drawn at random."""
    rng = np.random.default_rng(7)
    tiled, strips = {"tiled": True, "blockxsize": 16, "blockysize": 32}, {"blockysize": 3}
    choices = [
        [{"interleave": "pixel"}, {"interleave": "band"}],
        [strips, tiled, {}],
        [{"ENDIANNESS": "LITTLE"}, {"ENDIANNESS": "BIG"}],
        [{"BIGTIFF": "NO"}, {"BIGTIFF": "YES"}],
        [(21, 19, 1), (1, 1, 1), (1, 40, 3), (40, 1, 4), (70, 50, 3), (33, 31, 13), (3, 5, 3)],
    ]
    for dtype, compression in itertools.product(DTYPES, COMPRESSIONS):
        floats = dtype.startswith("float")
        for predictor in (1, 2, 3) if compression in ("lzw", "deflate", "zstd") else (1,):
            if predictor < 3 or floats:
                for _ in range(4):
                    *options, shape = (choice[rng.integers(len(choice))] for choice in choices)
                    merged = {key: value for option in options for key, value in option.items()}
                    yield dtype, shape, {"compress": compression, "predictor": predictor, **merged}


def test_every_plain_layout_is_read_as_by_gdal_and_without_it(tmp_path):
    count = 0
    for count, (dtype, shape, options) in enumerate(layouts(), 1):
        write_chip(tmp_path / "chip.tif", random_pixels(dtype, shape, count), **options)
        assert assert_read_like_gdal(tmp_path / "chip.tif"), (dtype, shape, options)
    assert count > 380


@pytest.mark.parametrize(
    ("options", "quick"),
    [
        ({"compress": "jpeg"}, False),
        ({"compress": "jpeg", "photometric": "ycbcr"}, False),
        ({"compress": "webp", "WEBP_LOSSLESS": "YES"}, False),
        ({"compress": "lerc"}, False),
        ({"compress": "ccittrle", "nbits": 1, "count": 1}, False),
        ({"nbits": 4}, False),
        ({"nbits": 7, "compress": "lzw"}, False),
        ({"photometric": "MINISWHITE", "count": 1}, False),
        ({"photometric": "CMYK", "count": 4}, False),
        ({"photometric": "RGB", "ALPHA": "YES", "count": 4}, True),
        ({"nodata": 3}, True),
    ],
)
def test_other_tiffs_are_read_as_by_gdal(tmp_path, options, quick):
    count = options.pop("count", 3)
    bits = options.get("nbits", 8)
    write_chip(
        tmp_path / "chip.tif", random_pixels("uint8", (40, 30, count)) >> (8 - bits), interleave="pixel", **options
    )
    assert assert_read_like_gdal(tmp_path / "chip.tif") == quick


def by_hand(path, array, **tags):
    """A TIFF of one strip, of height x width x channels of uint8, with tags that GDAL does not write."""
    height, width, channels = array.shape
    plain = {"256": (3, width), "257": (3, height), "258": (3, *[8] * channels), "259": (3, 1), "262": (3, 1)}
    plain |= {"273": (4, 0), "277": (3, channels), "278": (3, height), "279": (4, array.size), "284": (3, 1)}
    entries = sorted((int(tag), *value) for tag, value in (plain | tags).items() if value)
    end = 8 + 2 + 12 * len(entries) + 4
    directory, values = struct.pack("<H", len(entries)), b""
    for tag, kind, *numbers in entries:
        data = struct.pack(f"<{len(numbers)}{ {3: 'H', 4: 'I', 12: 'd'}[kind] }", *numbers)
        if len(data) > 4:
            values, data = values + data, struct.pack("<I", end + len(values))
        directory += struct.pack("<HHI4s", tag, kind, len(numbers), data)
    content = b"II*\0" + struct.pack("<I", 8) + directory + bytes(4) + values
    path.write_bytes(
        content.replace(struct.pack("<HHII", 273, 4, 1, 0), struct.pack("<HHII", 273, 4, 1, len(content)))
        + array.tobytes()
    )


@pytest.mark.parametrize(
    ("tags", "quick"),
    [
        ({}, True),
        ({"33550": (12, 2.0, 3.0, 0.0), "33922": (12, 4.0, 5.0, 0.0, 1000.0, 2000.0, 0.0)}, True),
        ({"33550": (12, 2.0, 3.0, 0.0), "33922": (12, 0.0, 0.0, 0.0, 7.5, 2000.0, 0.0)}, True),
        ({"33550": (12, 2.0, -3.0, 0.0), "33922": (12, 0.0, 0.0, 0.0, 7.5, 2000.0, 0.0)}, False),
        ({"33550": (12, 0.0, 0.0, 0.0), "33922": (12, 0.0, 0.0, 0.0, 7.5, 2000.0, 0.0)}, False),
        ({"33550": (12, 2.0, 3.0, 0.0)}, False),
        ({"33922": (12, 0.0, 0.0, 0.0, 7.5, 2000.0, 0.0)}, False),
        ({"262": (3, 0)}, False),
        ({"262": (3, 2)}, True),
        ({"262": (3, 5)}, False),
        ({"262": (3, 6)}, False),
        ({"262": (3, 8)}, False),
        ({"262": None}, False),
        ({"266": (3, 2)}, False),
        ({"274": (3, 3)}, False),
        ({"277": None}, False),
        ({"278": None}, True),
        ({"278": (4, 2**32 - 1)}, True),
        ({"278": (3, 0)}, False),
        ({"279": (4, 0)}, False),
        ({"279": None}, False),
        ({"317": (3, 2)}, False),
        ({"338": (3, 0)}, True),
        ({"339": (3, 4, 4, 4)}, False),
        ({"339": (3, 2, 2, 2)}, True),
        ({"258": (3, 8, 8, 7)}, False),
        ({"256": None}, False),
        ({"257": (3, 0)}, False),
        ({"257": (3, 6)}, False),
        ({"330": (4, 8)}, False),
    ],
)
def test_tiffs_that_others_write_are_read_as_by_gdal(tmp_path, tags, quick):
    path = tmp_path / "chip.tif"
    by_hand(path, random_pixels("uint8", (5, 4, 3)), **tags)
    theirs, ours = result_or_none(lambda: read_with_gdal(path)), result_or_none(lambda: read_chip(path, Sidecars.NONE))
    assert (result_or_none(lambda: read_fast_header(path.read_bytes())) is not None) == quick
    if ours is not None:
        assert_read_like_gdal(path)
    assert ours is not None or theirs is None or tags.get("257") == (3, 6) or "330" in tags


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_chips_are_read_as_by_gdal(tmp_path, dtype):
    write_chip(tmp_path / "chip.tif", random_pixels(dtype, (5, 4, 2)))
    assert_read_like_gdal(tmp_path / "chip.tif")


def test_blocks_never_written_are_read_as_by_gdal(tmp_path):
    profile = {"driver": "GTiff", "tiled": True, "blockxsize": 16, "blockysize": 16, "SPARSE_OK": True, "nodata": 9}
    with rasterio.open(tmp_path / "chip.tif", "w", height=40, width=40, count=2, dtype="uint8", **profile) as target:
        target.write(random_pixels("uint8", (2, 16, 16)), window=rasterio.windows.Window(16, 16, 16, 16))
    assert not assert_read_like_gdal(tmp_path / "chip.tif")


def test_overviews_and_masks_are_read_as_by_gdal_and_further_pages_refused(tmp_path):
    path = tmp_path / "chip.tif"
    write_chip(path, random_pixels("uint8", (64, 64, 3)))
    with rasterio.open(path, "r+") as target:
        target.build_overviews([2, 4])
    assert not assert_read_like_gdal(path)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"), rasterio.open(path, "r+") as target:
        target.write_mask(random_pixels("uint8", (64, 64)) > 100)
    assert not assert_read_like_gdal(path)
    pages = [Image.fromarray(random_pixels("uint8", (9, 8), page)) for page in range(2)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    for look in (read_chip, read_header):
        with pytest.raises(InputError, match="chip.tif has 2 pages or rasters; a chip is one"):
            look(path)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_palettes_give_their_indices(tmp_path, dtype):
    colors = {value: (value, 255 - value, 7, 255) for value in range(256)}
    write_chip(
        tmp_path / "chip.tif", random_pixels(dtype, (12, 9, 1)), photometric="palette", colormap=colors, compress="lzw"
    )
    assert assert_read_like_gdal(tmp_path / "chip.tif")


UTM = [f"EPSG:{base + zone}" for base in (32600, 32700) for zone in range(1, 61)]
OTHERS = [
    "EPSG:4326",
    "EPSG:3857",
    "EPSG:3035",
    "EPSG:2154",
    "EPSG:27700",
    "EPSG:3794",
    "EPSG:32661",
    "ESRI:54009",
    "EPSG:5514",
]
CUSTOM = "+proj=laea +lat_0=12.5 +lon_0=-3 +x_0=7 +units=us-ft +datum=NAD83"


def test_every_crs_is_named_as_by_gdal(tmp_path):
    for number, crs in enumerate([*UTM, *OTHERS, rasterio.crs.CRS.from_string(CUSTOM), *OTHERS, *UTM[::-1], None]):
        options = {"GEOTIFF_KEYS_FLAVOR": "ESRI_PE"} if number % 2 else {}
        write_chip(tmp_path / "chip.tif", random_pixels("uint8", (4, 4, 1)), crs=crs, **options)
        assert assert_read_like_gdal(tmp_path / "chip.tif")
        write_chip(tmp_path / "chip.tif", random_pixels("uint8", (4, 4, 1)), crs=crs, ENDIANNESS="BIG")
        assert assert_read_like_gdal(tmp_path / "chip.tif")


@pytest.mark.parametrize(("projection", "options"), [("moll", {"GEOTIFF_KEYS_FLAVOR": "ESRI_PE"}), ("tmerc", {})])
def test_crs_that_differ_in_one_number_are_distinguished(tmp_path, projection, options):
    for meridian in (10, 20, 10):
        crs = rasterio.crs.CRS.from_string(f"+proj={projection} +lon_0={meridian} +ellps=WGS84")
        write_chip(tmp_path / "chip.tif", random_pixels("uint8", (4, 4, 1)), crs=crs, **options)
        assert assert_read_like_gdal(tmp_path / "chip.tif")
        assert str(meridian) in read_header(tmp_path / "chip.tif", Sidecars.NONE).crs


@pytest.mark.parametrize(
    ("transform", "quick"),
    [
        (TRANSFORM, True),
        (rasterio.Affine(1e-5, 0, -179.99999, 0, -0.3, 0), True),
        (rasterio.Affine(10, 2, 500_000, 1, -10, 5_000_000), False),
        (rasterio.Affine(10, 0, 500_000, 0, 10, 5_000_000), False),
        (rasterio.Affine.identity(), None),
    ],
)
def test_every_geotransform_is_gdals(tmp_path, transform, quick):
    write_chip(tmp_path / "chip.tif", random_pixels("uint8", (4, 4, 1)), transform=transform)
    assert assert_read_like_gdal(tmp_path / "chip.tif") in ([quick] if quick is not None else [True, False])


def test_pixels_that_are_points_and_control_points_are_gdals(tmp_path):
    write_chip(tmp_path / "chip.tif", random_pixels("uint8", (4, 4, 1)), tags={"AREA_OR_POINT": "Point"})
    assert not assert_read_like_gdal(tmp_path / "chip.tif")
    points = [GroundControlPoint(row, column, column * 2.0, row * 3.0) for row, column in ((0, 0), (0, 3), (3, 0))]
    write_chip(tmp_path / "chip.tif", random_pixels("uint8", (4, 4, 1)), transform=None, gcps=points)
    assert_read_like_gdal(tmp_path / "chip.tif")


def test_what_lies_beside_a_chip_counts(tmp_path):
    path, world = tmp_path / "chip.tif", tmp_path / "chip.tfw"
    world.write_text("2\n0\n0\n-2\n1001\n1999\n")
    write_chip(path, random_pixels("uint8", (4, 4, 1)))
    assert read_header(path, Sidecars.WORLD_FILE).geotransform == read_with_gdal(path)[2] == TRANSFORM.to_gdal()
    assert_read_like_gdal(path, Sidecars.WORLD_FILE)
    write_chip(path, random_pixels("uint8", (4, 4, 1)), transform=None, crs=None)
    assert read_header(path, Sidecars.WORLD_FILE).geotransform == read_with_gdal(path)[2] == (1000, 2, 0, 2000, 0, -2)
    assert_read_like_gdal(path, Sidecars.WORLD_FILE)
    path.with_name("chip.tif.aux.xml").write_text("<PAMDataset><SRS>EPSG:3035</SRS></PAMDataset>")
    assert read_header(path, Sidecars.OTHER).crs == read_with_gdal(path)[1] == "EPSG:3035"
    assert_read_like_gdal(path, Sidecars.OTHER)


def test_the_share_of_valid_pixels_is_read(tmp_path):
    for value, others in (
        ("0.12345678901234567", {"A": "1", "Z": "&<>"}),
        ("1.0", {}),
        (None, {"NOTVALID": "3"}),
        ("no", {}),
    ):
        write_chip(
            tmp_path / "chip.tif", random_pixels("uint8", (4, 4, 2)), tags=others | ({"VALID": value} if value else {})
        )
        for sidecars in (Sidecars.NONE, Sidecars.OTHER):
            assert read_header(tmp_path / "chip.tif", sidecars).valid == (
                None if value in (None, "no") else float(value)
            )
        assert assert_read_like_gdal(tmp_path / "chip.tif")
