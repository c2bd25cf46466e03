"""Mosaics against the bounds of the tiles, and against labels rasterised at once."""

import math

import numpy as np
import pytest
import rasterio
from rasterio.features import rasterize
from shapely import box

import segchips
from segchips.errors import InputError
from segchips.grids.tile import Grid, Tile
from support.chips import HALF_METRE_TRANSFORM, records_config, write_chip, write_chip_folders
from support.datasets import tile_at
from support.tile_shards import describe_tile_shards, write_tile_shard

SIZE, PAD = 16, 2


def grid_of_tiles(columns=4, rows=3, zone=33):
    return [tile_at(SIZE, PAD, zone=zone, east=column, north=row) for row in range(rows) for column in range(columns)]


def ground(tile, seed=0):
    """A value for every pixel that depends on the ground alone, and so is the same in all tiles that see it."""
    west, step, _, north, _, _ = tile.geotransform
    x = (west + (np.arange(SIZE) + 0.5) * step) // step
    y = (north - (np.arange(SIZE) + 0.5) * step) // step
    return ((x[None] * 7 + y[:, None] * 13 + seed) % 251).astype("uint8")


def with_spoiled_padding(tile, seed=0):
    values = np.full((SIZE, SIZE), 254, "uint8")
    values[PAD:-PAD, PAD:-PAD] = ground(tile, seed)[PAD:-PAD, PAD:-PAD]
    return values


def check(path, tiles, seed=0, nodata=255, band=1):
    """Each tile's core lies where its bounds say; all other pixels are nodata."""
    with rasterio.open(path) as source:
        found, transform, crs, declared = source.read(band), source.transform, source.crs, source.nodata
        assert (transform.a, transform.b, transform.d, transform.e) == (10, 0, 0, -10)
    assert declared == nodata or (math.isnan(declared) and math.isnan(nodata))
    left = np.ones(found.shape, bool)
    for tile in tiles:
        assert crs == rasterio.crs.CRS.from_string(tile.crs)
        west, _, _, north = tile.core_bounds
        column, row = (round(place) for place in ~transform @ (west, north))
        place = np.s_[row : row + SIZE - 2 * PAD, column : column + SIZE - 2 * PAD]
        np.testing.assert_array_equal(found[place], ground(tile, seed)[PAD:-PAD, PAD:-PAD])
        left[place] = False
    assert (found[left] == nodata).all() or np.isnan(found[left]).all()


def test_each_pixel_comes_from_the_tile_whose_core_holds_it(tmp_path):
    tiles = grid_of_tiles()
    del tiles[5]
    paths = segchips.mosaic(((tile.key, with_spoiled_padding(tile)) for tile in tiles), tmp_path / "out.tif")
    assert paths == [tmp_path / "out.tif"]
    check(paths[0], tiles)
    assert [path.name for path in tmp_path.iterdir()] == ["out.tif"]


def test_order_and_batches_leave_no_trace(tmp_path):
    tiles = grid_of_tiles()
    arrays = np.stack([with_spoiled_padding(tile) for tile in tiles])
    keys = np.array([tile.key.encode() for tile in tiles], object)
    batches = [(keys[start : start + 5], arrays[start : start + 5]) for start in range(0, len(tiles), 5)]
    (one,) = segchips.mosaic(zip(keys[::-1], arrays[::-1], strict=True), tmp_path / "one.tif")
    (other,) = segchips.mosaic(batches, tmp_path / "other.tif")
    check(one, tiles)
    assert one.read_bytes() == other.read_bytes()


def test_each_utm_zone_has_a_file(tmp_path):
    zones = {zone: grid_of_tiles(2, 2, zone) for zone in (33, 34)}
    pairs = [(tile.key, with_spoiled_padding(tile, zone)) for zone, tiles in zones.items() for tile in tiles]
    paths = segchips.mosaic(pairs, tmp_path / "new" / "out.tif")
    assert [path.name for path in paths] == ["out_epsg_32633.tif", "out_epsg_32634.tif"]
    for path, (zone, tiles) in zip(paths, zones.items(), strict=True):
        check(path, tiles, zone)


@pytest.mark.parametrize("tensors", ["numpy", "tensorflow", "torch"])
def test_bands_of_any_library(tmp_path, tensors):
    tiles = grid_of_tiles(2, 2)
    values = np.stack([np.stack([ground(tile, seed) for seed in range(3)], -1) for tile in tiles]).astype("float32")
    keys = [tile.key for tile in tiles]
    if tensors == "tensorflow":
        import tensorflow as tf

        keys, values = tf.constant(keys), tf.constant(values)
    if tensors == "torch":
        torch = pytest.importorskip("torch", reason="PyTorch is not installed; segchips needs it for Chips alone")
        values = torch.from_numpy(values.transpose(0, 3, 1, 2).copy()).requires_grad_()
    (path,) = segchips.mosaic([(keys, values)], tmp_path / "out.tif")
    for seed in range(3):
        check(path, tiles, seed, math.nan, seed + 1)


@pytest.mark.parametrize(
    ("dtype", "nodata"), [("int64", -(2**31)), ("int16", -(2**15)), ("uint16", 65535), ("bool", 255)]
)
def test_nodata_follows_the_type(tmp_path, dtype, nodata):
    tile = grid_of_tiles()[0]
    pairs = [(one.key, ground(one).astype(dtype)) for one in (tile, tile_at(SIZE, PAD, east=2))]
    (path,) = segchips.mosaic(pairs, tmp_path / "out.tif")
    with rasterio.open(path) as source:
        values, core = source.read(1), SIZE - 2 * PAD
        assert source.nodata == nodata
        np.testing.assert_array_equal(values[:, :core], ground(tile).astype(dtype)[PAD:-PAD, PAD:-PAD])
        assert (values[:, core : 2 * core] == nodata).all()


def test_large_mosaics_are_tiled_sparse_and_have_overviews(tmp_path):
    far = [tile_at(SIZE, PAD), tile_at(SIZE, PAD, east=1), tile_at(SIZE, PAD, east=2000, north=1500)]
    (path,) = segchips.mosaic(((tile.key, ground(tile)) for tile in far), tmp_path / "out.tif", nodata=0)
    with rasterio.open(path) as source:
        assert source.shape == (1501 * 12, 2001 * 12)
        assert source.block_shapes == [(512, 512)]
        assert source.overviews(1)
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    assert path.stat().st_size < 500_000
    with rasterio.open(path) as source:
        corner = source.read(1, window=rasterio.windows.Window(2000 * 12, 0, 12, 12))
        np.testing.assert_array_equal(corner, ground(far[2])[PAD:-PAD, PAD:-PAD])


def test_chips_made_elsewhere_lie_where_their_files_say(tmp_path):
    west, north, step = HALF_METRE_TRANSFORM.c, HALF_METRE_TRANSFORM.f, HALF_METRE_TRANSFORM.a
    whole = np.random.default_rng(0).integers(0, 200, (20, 30)).astype("uint8")
    write_chip_folders(tmp_path, ["a"], (8, 10, 3))
    for row in (0, 6, 12):
        for column in (0, 10, 20):
            place = rasterio.Affine(step, 0, west + column * step, 0, -step, north - row * step)
            name = f"{row}-{column}.tif"
            write_chip(tmp_path / "images" / name, whole[row : row + 8, column : column + 10, None], transform=place)
            write_chip(tmp_path / "labels" / name, whole[row : row + 8, column : column + 10, None], transform=place)
    for kind in ("images", "labels"):
        (tmp_path / kind / "a.tif").unlink()
    segchips.convert(
        *(tmp_path / name for name in ("images", "labels", "out")), "some", records_config(splits={"whole": 1.0})
    )
    records = segchips.load(tmp_path / "out", "whole", 4).as_numpy_iterator()
    (path,) = segchips.mosaic(((batch["identifier"], batch["label"]) for batch in records), tmp_path / "all.tif")
    with rasterio.open(path) as source:
        assert (source.crs, source.transform) == (rasterio.crs.CRS.from_epsg(32633), HALF_METRE_TRANSFORM)
        np.testing.assert_array_equal(source.read(1), whole)


def test_labels_from_records_are_the_labels_rasterised_at_once(tmp_path):
    tiles = grid_of_tiles(5, 4)
    west, south = tiles[0].core_bounds[:2]
    east, north = tiles[-1].core_bounds[2:]
    shapes = [
        (box(west + 30, south + 40, west + 333, north - 55), 1),
        (box(west + 200, south, east - 70, south + 250), 2),
    ]
    ground_of = {"fill": 255, "dtype": "uint8", "all_touched": True}
    for tile in tiles:
        place = rasterio.Affine.from_gdal(*tile.geotransform)
        label = rasterize(shapes, (SIZE, SIZE), transform=place, **ground_of)
        write_chip(tmp_path / "labels" / f"{tile.name}.tif", label[..., None], transform=place, nodata=255)
        write_chip(tmp_path / "images" / f"{tile.name}.tif", np.zeros((SIZE, SIZE, 2), "uint16"), transform=place)
    keys = [tile.key for tile in tiles]
    write_tile_shard(tmp_path, keys)
    for kind in ("images", "labels"):
        (tmp_path / kind / "60#2#10.0#33#-58#8465.tif").write_bytes(
            (tmp_path / kind / f"{tiles[0].name}.tif").read_bytes()
        )
    directory = describe_tile_shards(
        tmp_path, {"train": [tmp_path / "tfrecords" / "sample-train.index-00000-of-00001.csv"]}
    )
    records = segchips.load(directory, "train").as_numpy_iterator()
    (path,) = segchips.mosaic(((one["identifier"], one["label"]) for one in records), tmp_path / "labels.tif")
    with rasterio.open(path) as source:
        assert source.bounds == (west, south, east, north)
        expected = rasterize(shapes, source.shape, transform=source.transform, **ground_of)
        np.testing.assert_array_equal(source.read(1), expected)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "there are no predictions to write to .*out.tif"),
        ([("chip.png|[0.0, 1.0, 0.0, 0.0, 0.0, 1.0]|", np.zeros((4, 4)))], "chip chip.png has no CRS and upright"),
        ([("chip.png|[0.0, 1.0, 0.1, 0.0, 0.0, -1.0]|EPSG:3857", np.zeros((4, 4)))], "chip.png has no CRS and upright"),
        ([("chip.png", np.zeros((4, 4)))], "'chip.png' is not a valid tile key"),
        ([("12:2:10.0:33:1:1", np.zeros((12, 12)))], "12:2:10.0:33:1:1 has 12 x 12 pixels, its tile 16"),
        ([("8:4:10.0:33:1:1", np.zeros((8, 8)))], "8:4:10.0:33:1:1 has 8 x 8 pixels, its tile 16"),
        ([("12:2:10.0:33:1:1", np.zeros(256))], "shape .256,.; give 2 or 3 dimensions"),
        (
            [("12:2:10.0:33:1:1", np.zeros((16, 16))), ("12:2:10.0:33:1:2", np.zeros((16, 16, 2)))],
            "33:1:2 has 2 bands of float64, others 1 of float64",
        ),
        (
            [(f"{x}.png|[{x}, 1.0, 0.0, 0.0, 0.0, -1.0]|EPSG:3857", np.zeros((4, 4))) for x in (0.0, 3.5)],
            "chip at 3.5, 0.0 lies off the grid of the others",
        ),
    ],
)
def test_what_has_no_place_is_named(tmp_path, pairs, message):
    with pytest.raises(InputError, match=message):
        segchips.mosaic(pairs, tmp_path / "out.tif")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("pad", "cut"), [(2, 1), (1, 0)])
def test_a_coarser_layer_with_steps_lies_where_its_chips_do(tmp_path, pad, cut):
    tiles = [Tile(Grid(16, pad, 10.0), 33, column, 0).coarsened(20) for column in range(2)]
    values = np.random.default_rng(1).integers(0, 200, (2, 3, 8, 8, 2), "uint8")
    keys = [tile.key for tile in tiles]
    (path,) = segchips.mosaic([(keys, values)], tmp_path / "out.tif")
    with rasterio.open(path) as source:
        assert (source.count, source.res) == (6, (20.0, 20.0))
        for tile, steps in list(zip(tiles, values, strict=True))[-1:]:
            west, step, _, north, _, _ = tile.geotransform
            column, row = (round(place) for place in ~source.transform @ (west + cut * step, north - cut * step))
            planes = [steps[number, :, :, band] for number in range(3) for band in range(2)]
            size = 8 - 2 * cut
            found = source.read()[:, row : row + size, column : column + size]
            np.testing.assert_array_equal(found, np.stack(planes)[:, cut : 8 - cut, cut : 8 - cut])


def test_every_resolution_of_a_zone_has_a_file(tmp_path):
    tiles = [Tile(Grid(8, 1, resolution), 33, 0, 0) for resolution in (5.0, 10.0)]
    paths = segchips.mosaic([(tile.key, np.zeros((8, 8), "uint8")) for tile in tiles], tmp_path / "out.tif")
    assert [path.name for path in paths] == ["out_epsg_32633_5.tif", "out_epsg_32633_10.tif"]
