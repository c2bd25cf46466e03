"""raster_reader.py: nearest, bands, and files that cannot be read."""

import math

import numpy as np
import pytest
import rasterio
from rasterio.shutil import copy
from rasterio.transform import Affine

from segchips.chips.raster_reader import RasterReader
from segchips.errors import SceneError
from segchips.grids.tile import Tile
from support.datasets import tile_at
from support.raster_reading import SINUSOIDAL, TILE, assert_nearest, band, noise, open_rasters, read
from support.rasters import OUTSIDE, nearest_by_loop, transform_over, write_raster

GRIDS = {
    "aligned": {"step": 10},
    "unaligned": {"step": (9.9948, 9.9974), "shift": (0.3, 0.21)},
    "finer": {"step": 3.7, "shape": (80, 80)},
    "coarser": {"step": (61.3, 59.9), "shift": (0.4, 0.1)},
    "next zone west": {"crs": "EPSG:32632", "step": 10, "shift": (0.13, 0.77)},
    "next zone east": {"crs": "EPSG:32634", "step": 10, "shift": (0.13, 0.77)},
    "southern zone": {"crs": "EPSG:32733", "step": 10, "shift": (0.2, 0.3)},
    "other datum": {"crs": "EPSG:25833", "step": 10, "shift": (0.2, 0.3)},
    "geographic": {"crs": "EPSG:4326", "step": (0.00013, 0.00009), "shift": (0.11, 0.3)},
    "conic": {"crs": "EPSG:3035", "step": 10, "shift": (0.11, 0.3)},
    "no code": {"crs": SINUSOIDAL, "step": 10, "shift": (0.11, 0.3)},
    "rotated": {"step": 10, "rotate": 17.0, "shift": (0.1, 0.3)},
    "upside down by rotation": {"step": 10, "rotate": 180.0, "shift": (0.1, 0.3)},
    "rotated elsewhere": {"crs": "EPSG:32632", "step": 10, "rotate": -103.0, "shift": (0.1, 0.3)},
    "south up": {"step": (9.7, 10.4), "south_up": True, "shift": (0.2, 0.3)},
    "partly outside": {"step": 10, "shift": (9.3, -11.6)},
    "partly outside elsewhere": {"crs": "EPSG:32632", "step": 10, "shift": (-9.3, 11.6)},
    "smaller than the tile": {"step": 10, "shape": (5, 3), "shift": (0.4, 0.4)},
    "one pixel": {"step": 35.0, "shape": (1, 1), "shift": (0.4, 0.4)},
}

PARTLY = {"partly outside", "partly outside elsewhere", "smaller than the tile", "one pixel"}


@pytest.mark.parametrize("name", GRIDS)
def test_nearest_takes_the_pixel_under_each_centre(tmp_path, name):
    options = {"shape": (24, 22), **GRIDS[name]}
    crs = options.get("crs", TILE.crs)
    path = write_raster(tmp_path / "a.tif", noise((2, *options["shape"])), transform_over(TILE, **options), crs)
    valid = assert_nearest(path, indexes=(1, 2))
    assert valid.any() and valid.all() == (name not in PARTLY)


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "average"])
@pytest.mark.parametrize("crs", [TILE.crs, "EPSG:32632", "EPSG:4326"])
def test_a_tile_wholly_outside_has_nothing_valid(tmp_path, crs, resampling):
    transform = transform_over(TILE, (20, 20), 0.001 if crs == "EPSG:4326" else 10, crs, shift=(500, 40))
    data, valid = read(
        write_raster(tmp_path / "a.tif", noise((3, 20, 20)), transform, crs), indexes=(3, 1), resampling=resampling
    )
    assert data.shape == valid.shape == (2, 16, 16) and data.dtype == np.uint16 and not valid.any()


@pytest.mark.parametrize("resolution", [10.0, 30.0, 0.3, 1 / 3])
@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:32733"])
def test_a_centre_on_a_pixels_edge_takes_the_pixel_right_of_and_below_it(tmp_path, resolution, crs):
    tile = tile_at(resolution=round(resolution, 6))
    step = tile.grid.resolution
    west, _, _, north = tile.bounds
    data = noise((20, 20))
    shift = 10_000_000.0 if crs == "EPSG:32733" else 0.0
    transform = Affine(step, 0, west - 1.5 * step, 0, -step, north + shift + 1.5 * step)
    pixels, valid = read(write_raster(tmp_path / "a.tif", data, transform, crs), tile)
    assert valid.all()
    np.testing.assert_array_equal(pixels[0], data[2:18, 2:18])


def test_landsat_pixels_that_lie_half_a_pixel_off(tmp_path):
    west, _, _, north = TILE.bounds
    data = noise((10, 10))
    left, top = (math.floor(west / 30) - 1) * 30 + 15, (math.ceil(north / 30) + 1) * 30 - 15
    path = write_raster(tmp_path / "a.tif", data, Affine(30, 0, left, 0, -30, top), TILE.crs)
    pixels, valid = read(path)
    assert valid.all()
    for row in range(16):
        for column in range(16):
            # whole metres: integer division is exact, and a centre on an edge counts to the right and below
            x, y = int(west) + column * 10 + 5, int(north) - row * 10 - 5
            assert pixels[0, row, column] == data[(int(top) - y) // 30, (x - int(left)) // 30]


def test_the_edges_of_the_raster_are_half_open(tmp_path):
    west, _, _, north = TILE.bounds
    transform = Affine(10, 0, west + 25, 0, -10, north - 35)
    _, valid = read(write_raster(tmp_path / "a.tif", noise((4, 5)), transform, TILE.crs))
    expected = np.zeros((16, 16), bool)
    expected[3:7, 2:7] = True
    np.testing.assert_array_equal(valid[0], expected)


@pytest.mark.parametrize("key", ["60:2:10.0:33:-58:8465", "12:2:10.0:01:-290:42325", "12:2:10.0:60:2000:-42325"])
def test_tiles_of_any_zone_and_hemisphere(tmp_path, key):
    tile = Tile.from_key(key)
    transform = transform_over(tile, (80, 80), 11.0, "EPSG:3857", shift=(0.3, 0.4))
    path = write_raster(tmp_path / "a.tif", noise((80, 80)), transform, "EPSG:3857")
    assert assert_nearest(path, tile).any()


@pytest.mark.parametrize(
    "layout",
    [
        {"interleave": "pixel"},
        {"interleave": "band"},
        {"interleave": "band", "tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"},
        {"interleave": "pixel", "tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "lzw", "predictor": 2},
    ],
)
def test_bands_come_in_the_order_asked_whatever_the_layout(tmp_path, layout):
    path = write_raster(tmp_path / "a.tif", noise((5, 40, 40)), transform_over(TILE, (40, 40), 7.3), TILE.crs, **layout)
    assert_nearest(path, indexes=(4, 1, 3))


def test_bands_of_several_files_are_stacked_in_the_order_asked(tmp_path):
    first = write_raster(tmp_path / "a.tif", noise((2, 24, 24), seed=1), transform_over(TILE, (24, 24), 10), TILE.crs)
    second = write_raster(
        tmp_path / "b.tif",
        noise((3, 12, 12), seed=2),
        transform_over(TILE, (12, 12), 20, shift=(3, 0)),
        TILE.crs,
        nodata=3,
    )
    asked = [(first, 2), (second, 3), (second, 1), (first, 1)]
    data, valid = RasterReader(4).read([band(path, index) for path, index in asked], TILE, "nearest")
    for number, (path, index) in enumerate(asked):
        one, mask = read(path, indexes=(index,))
        np.testing.assert_array_equal(data[number], one[0])
        np.testing.assert_array_equal(valid[number], mask[0])


def test_a_mask_band_is_read_as_it_is_with_where_it_reaches(tmp_path):
    data = noise((24, 24), "uint8", 0, 5)
    path = write_raster(tmp_path / "a.tif", data, transform_over(TILE, (24, 24), 10, shift=(7, 0)), TILE.crs, nodata=0)
    values, covered = RasterReader(2).read_mask(band(path), TILE)
    expected = nearest_by_loop(path, TILE)[0]
    for place in np.ndindex(covered.shape):
        assert covered[place] == (expected[place[0]][place[1]] is not OUTSIDE)
        assert not covered[place] or values[place] == expected[place[0]][place[1]]


def test_describe_returns_the_dtype_and_the_first_declared_nodata(tmp_path):
    transform = transform_over(TILE, (4, 4), 10)
    plain = write_raster(tmp_path / "a.tif", noise((4, 4), "uint8", 0, 9), transform, TILE.crs)
    other = write_raster(tmp_path / "b.tif", noise((4, 4), "int16"), transform, TILE.crs, nodata=-1)
    assert RasterReader(2).describe([band(plain)]) == (np.dtype("uint8"), None)
    assert RasterReader(2).describe([band(plain), band(other)]) == (np.dtype("int16"), -1)


# Files that cannot be used.


def truncated(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


@pytest.mark.parametrize("resampling", ["nearest", "cubic"])
def test_a_truncated_file_is_named(tmp_path, resampling):
    data = noise((4, 256, 256))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        plain = write_raster(tmp_path / "plain.tif", data, transform_over(TILE, (256, 256), 10), TILE.crs)
    path = tmp_path / "cog.tif"
    with rasterio.open(plain) as file:
        copy(file, path, driver="COG", blocksize=128)
    with pytest.raises(SceneError, match=r"cog\.tif: cannot be read .*repair it"):
        read(truncated(path, 0.5), resampling=resampling)
    with pytest.raises(SceneError, match=r"cog\.tif: cannot be read .*repair it"):
        read(truncated(path, 0.001), resampling=resampling)


def test_a_broken_file_does_not_stay_open_and_can_be_repaired(tmp_path):
    data = noise((256, 256))
    path = write_raster(tmp_path / "a.tif", data, transform_over(TILE, (256, 256), 10), TILE.crs)
    content, reader = path.read_bytes(), RasterReader(4)
    truncated(path, 0.4)
    with pytest.raises(SceneError):
        reader.read([band(path)], TILE, "nearest")
    assert open_rasters(tmp_path) == []
    path.write_bytes(content)
    np.testing.assert_array_equal(reader.read([band(path)], TILE, "nearest")[0][0], data[120:136, 120:136])


def test_files_that_are_not_rasters_are_named(tmp_path):
    (tmp_path / "text.tif").write_text("not a raster")
    (tmp_path / "empty.tif").write_bytes(b"")
    for name in ("text.tif", "empty.tif", "missing.tif"):
        with pytest.raises(SceneError, match=f"{name}: cannot be read") as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_raster_without_georeference_is_named(tmp_path):
    transform = transform_over(TILE, (4, 4), 10)
    bare = write_raster(tmp_path / "bare.tif", noise((4, 4)), transform, None)
    with pytest.raises(SceneError, match="bare.tif: has no georeference"):
        read(bare)
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        lost = write_raster(tmp_path / "lost.tif", noise((4, 4)), Affine.identity(), TILE.crs)
        with pytest.raises(SceneError, match="lost.tif: has no georeference"):
            read(lost)


def test_a_band_that_the_file_does_not_have_is_named(tmp_path):
    path = write_raster(tmp_path / "a.tif", noise((2, 4, 4)), transform_over(TILE, (4, 4), 10), TILE.crs)
    with pytest.raises(SceneError, match=r"a\.tif: has 2 bands, but its catalogue lists band 3"):
        read(path, indexes=(1, 3))


def test_bands_of_several_dtypes_in_one_file_take_the_common_one(tmp_path):
    data = {"uint8": noise((24, 24), "uint8", 0, 9), "int16": noise((24, 24), "int16", -5, 9, 1)}
    transform = transform_over(TILE, (24, 24), 10)
    for dtype, pixels in data.items():
        write_raster(tmp_path / f"{dtype}.tif", pixels, transform, TILE.crs)
    path = write_stack(tmp_path / "stack.vrt", {tmp_path / f"{dtype}.tif": dtype for dtype in data}, transform)
    for tile in (TILE, tile_at(east=500)):
        for resampling in ("nearest", "mode", "bilinear"):
            pixels, valid = read(path, tile, (1, 2), resampling, declared=0)
            assert pixels.dtype == "int16"
            for plane, there, expected in zip(pixels, valid, data.values(), strict=True):
                if tile == TILE:
                    np.testing.assert_array_equal(there, expected[4:20, 4:20] != 0)
                    np.testing.assert_array_equal(plane[there], expected[4:20, 4:20][there])
                assert tile == TILE or not there.any()


def write_stack(path, files, transform):
    """A VRT with one band of each file."""
    kinds = {"uint8": "Byte", "int16": "Int16"}
    bands = "".join(
        f'<VRTRasterBand dataType="{kinds[dtype]}" band="{number}"><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">{file.name}</SourceFilename></SimpleSource></VRTRasterBand>'
        for number, (file, dtype) in enumerate(files.items(), 1)
    )
    place = ",".join(map(str, transform.to_gdal()))
    head = f'<VRTDataset rasterXSize="24" rasterYSize="24"><SRS>{TILE.crs}</SRS><GeoTransform>{place}</GeoTransform>'
    path.write_text(f"{head}{bands}</VRTDataset>")
    return path
