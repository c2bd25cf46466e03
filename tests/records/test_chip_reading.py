"""chipfiles.py and headers.py against rasterio: whatever is read without GDAL must be what GDAL reads."""

import itertools
import struct

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.control import GroundControlPoint

from segchips.errors import InputError
from segchips.records.chip_header import DamagedFileError, Sidecars
from segchips.records.chip_reader import decode_chip, read_chip, read_file, read_header
from segchips.records.fast_header import read_fast_header
from support.chips import TRANSFORM, random_pixels, write_chip

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")

DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "uint64", "float32", "float64"]
COMPRESSIONS = ["none", "lzw", "deflate", "zstd", "packbits", "lzma"]


def by_gdal(path):
    with rasterio.open(path) as source:
        crs = source.crs.to_string() if source.crs else ""
        return source.read().transpose(1, 2, 0), crs, source.transform.to_gdal()


def equal(path, sidecars=Sidecars.NONE):
    """What we read is what GDAL reads, bit by bit; returns whether GDAL was spared."""
    expected, crs, transform = by_gdal(path)
    header, found = read_chip(path, sidecars)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape == (header.height, header.width, header.channels)
    assert found.tobytes() == expected.tobytes()
    assert (header.dtype, header.crs, header.geotransform) == (str(expected.dtype), crs, transform)
    assert read_header(path, sidecars) == header
    assert read_file(path, sidecars) == (header, path.read_bytes())
    assert decode_chip(path.read_bytes()).tobytes() == expected.tobytes()
    return read_fast_header(path.read_bytes()) is not None


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
        assert equal(tmp_path / "chip.tif"), (dtype, shape, options)
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
    assert equal(tmp_path / "chip.tif") == quick


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
    theirs, ours = outcome(lambda: by_gdal(path)), outcome(lambda: read_chip(path, Sidecars.NONE))
    assert (outcome(lambda: read_fast_header(path.read_bytes())) is not None) == quick
    if ours is not None:
        equal(path)
    assert ours is not None or theirs is None or tags["257"] == (3, 6)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_chips_are_read_as_by_gdal(tmp_path, dtype):
    write_chip(tmp_path / "chip.tif", random_pixels(dtype, (5, 4, 2)))
    equal(tmp_path / "chip.tif")


def test_blocks_never_written_are_read_as_by_gdal(tmp_path):
    profile = {"driver": "GTiff", "tiled": True, "blockxsize": 16, "blockysize": 16, "SPARSE_OK": True, "nodata": 9}
    with rasterio.open(tmp_path / "chip.tif", "w", height=40, width=40, count=2, dtype="uint8", **profile) as target:
        target.write(random_pixels("uint8", (2, 16, 16)), window=rasterio.windows.Window(16, 16, 16, 16))
    assert not equal(tmp_path / "chip.tif")


def test_overviews_masks_and_further_pages_are_read_as_by_gdal(tmp_path):
    path = tmp_path / "chip.tif"
    write_chip(path, random_pixels("uint8", (64, 64, 3)))
    with rasterio.open(path, "r+") as target:
        target.build_overviews([2, 4])
    assert not equal(path)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"), rasterio.open(path, "r+") as target:
        target.write_mask(random_pixels("uint8", (64, 64)) > 100)
    assert not equal(path)
    pages = [Image.fromarray(random_pixels("uint8", (9, 8), page)) for page in range(2)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    assert not equal(path)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_palettes_give_their_indices(tmp_path, dtype):
    colors = {value: (value, 255 - value, 7, 255) for value in range(256)}
    write_chip(
        tmp_path / "chip.tif", random_pixels(dtype, (12, 9, 1)), photometric="palette", colormap=colors, compress="lzw"
    )
    assert equal(tmp_path / "chip.tif")


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
        assert equal(tmp_path / "chip.tif")
        write_chip(tmp_path / "chip.tif", random_pixels("uint8", (4, 4, 1)), crs=crs, ENDIANNESS="BIG")
        assert equal(tmp_path / "chip.tif")


@pytest.mark.parametrize(("projection", "options"), [("moll", {"GEOTIFF_KEYS_FLAVOR": "ESRI_PE"}), ("tmerc", {})])
def test_crs_that_differ_in_one_number_are_told_apart(tmp_path, projection, options):
    for meridian in (10, 20, 10):
        crs = rasterio.crs.CRS.from_string(f"+proj={projection} +lon_0={meridian} +ellps=WGS84")
        write_chip(tmp_path / "chip.tif", random_pixels("uint8", (4, 4, 1)), crs=crs, **options)
        assert equal(tmp_path / "chip.tif")
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
    assert equal(tmp_path / "chip.tif") in ([quick] if quick is not None else [True, False])


def test_pixels_that_are_points_and_control_points_are_gdals(tmp_path):
    write_chip(tmp_path / "chip.tif", random_pixels("uint8", (4, 4, 1)), tags={"AREA_OR_POINT": "Point"})
    assert not equal(tmp_path / "chip.tif")
    points = [GroundControlPoint(row, column, column * 2.0, row * 3.0) for row, column in ((0, 0), (0, 3), (3, 0))]
    write_chip(tmp_path / "chip.tif", random_pixels("uint8", (4, 4, 1)), transform=None, gcps=points)
    equal(tmp_path / "chip.tif")


def test_what_lies_beside_a_chip_counts(tmp_path):
    path, world = tmp_path / "chip.tif", tmp_path / "chip.tfw"
    world.write_text("2\n0\n0\n-2\n1001\n1999\n")
    write_chip(path, random_pixels("uint8", (4, 4, 1)))
    assert read_header(path, Sidecars.WORLD_FILE).geotransform == by_gdal(path)[2] == TRANSFORM.to_gdal()
    equal(path, Sidecars.WORLD_FILE)
    write_chip(path, random_pixels("uint8", (4, 4, 1)), transform=None, crs=None)
    assert read_header(path, Sidecars.WORLD_FILE).geotransform == by_gdal(path)[2] == (1000, 2, 0, 2000, 0, -2)
    equal(path, Sidecars.WORLD_FILE)
    path.with_name("chip.tif.aux.xml").write_text("<PAMDataset><SRS>EPSG:3035</SRS></PAMDataset>")
    assert read_header(path, Sidecars.OTHER).crs == by_gdal(path)[1] == "EPSG:3035"
    equal(path, Sidecars.OTHER)


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
        assert equal(tmp_path / "chip.tif")


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
        assert equal(tmp_path / "chip.png")


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
    assert not equal(tmp_path / "chip.png")


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("quality", [40, 95])
def test_jpegs_are_read_as_by_gdal(tmp_path, channels, quality):
    for options in ({}, {"progressive": True}, {"subsampling": 0}):
        image = Image.fromarray(
            random_pixels("uint8", (30, 41, channels)).squeeze(), {1: "L", 3: "RGB", 4: "CMYK"}[channels]
        )
        image.save(tmp_path / "chip.jpg", quality=quality, **options)
        assert equal(tmp_path / "chip.jpg") == (channels != 4)


@pytest.mark.parametrize("driver", ["BMP", "GIF", "JP2OpenJPEG", "ENVI", "WEBP"])
def test_every_other_format_is_read_as_by_gdal(tmp_path, driver):
    array = random_pixels("uint8", (64, 64, 1 if driver == "GIF" else 3))
    write_chip(tmp_path / "chip.dat", array, driver=driver, **({"LOSSLESS": "YES"} if driver == "WEBP" else {}))
    expected, crs, transform = by_gdal(tmp_path / "chip.dat")
    header, found = read_chip(tmp_path / "chip.dat")
    np.testing.assert_array_equal(found, expected)
    assert (header.crs, header.geotransform) == (crs, transform)


def outcome(read):
    try:
        return read()
    except (InputError, DamagedFileError, rasterio.errors.RasterioError, rasterio.errors.CRSError):
        return None


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
        ours, theirs = outcome(lambda: read_chip(path, Sidecars.NONE)), outcome(lambda: by_gdal(path))
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
