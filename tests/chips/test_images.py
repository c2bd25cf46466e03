"""images.py: chips from catalogues of GeoTIFFs against one pixel at a time, and when a chip has to be made again."""

import copy
import http.server
import json
import math
import urllib.parse
from collections import Counter
from dataclasses import replace
from datetime import date, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import planetary_computer.sas
import planetary_computer.settings
import pytest
import rasterio
from earthdaily.earthone.geo import DLTile
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.warp import reproject

from segchips.chips import readers
from segchips.chips.images import make_image
from segchips.errors import ConfigError, InputError, SceneError
from segchips.grids.outlines import footprints
from segchips.grids.tile import Tile
from segchips.scenes.lock import read_lock, write_lock
from segchips.scenes.pinning import SceneLock, pin_scenes
from segchips.scenes.query import SceneQuery
from segchips.scenes.stac_catalogue import StacCatalogue
from support.catalogues import make_asset, make_item, write_catalogue
from support.datasets import image_plan, make_dataset, tile_at
from support.rasters import OUTSIDE, nearest_by_loop, raster_outline, transform_over, write_raster

TILE = tile_at()


class Shots:
    """A catalogue in the making: scenes as files and items, and what is known of each."""

    def __init__(self, folder):
        self.folder, self.items, self.known = folder, [], {}

    def add(
        self, name, when, bands, collection="s2", cloud=None, said=None, grid=None, crs=None, nodata=None, **properties
    ):
        """One scene: `bands` are asset key to array; `said` is what the catalogue adds to each asset."""
        assets = {}
        for key, data in bands.items():
            path = self.folder / collection / f"{name}-{key}.tif"
            shape = data.shape[-2:]
            transform = transform_over(TILE, shape, **({"step": 10} | (grid or {})), crs=crs)
            write_raster(path, data, transform, crs or TILE.crs, nodata=nodata)
            assets[key] = make_asset(f"./{path.name}", **((said or {}).get(key, {})))
            self.known[collection, name, key] = path
        self.items.append(make_item(name, when, assets, raster_outline(path), collection, cloud, **properties))

    def plan(self, tiles=(TILE,), **imagery):
        """The plan of a dataset over these scenes, through the catalogue and the lock file."""
        catalog = write_catalogue(self.folder, self.items)
        dataset = make_dataset(imagery={"catalog": str(catalog), **imagery})
        keys, outlines = [tile.key for tile in tiles], footprints(tiles)
        write_lock(
            self.folder / "scenes.parquet",
            pin_scenes(SceneQuery.of(dataset.imagery), StacCatalogue(dataset.imagery).search(outlines), keys, outlines),
        )
        return image_plan(dataset, read_lock(self.folder / "scenes.parquet"))

    def chip(self, tile=TILE, traced=False, **imagery):
        """Make the tile's chip; gives the open result's parts."""
        path = self.folder / f"{tile.name}.tif"
        make_image(self.plan((tile,), **imagery), tile, path, self.folder / "provenance.tif" if traced else None)
        return Chip(path)

    def under_tile(self, name, key, collection="s2", tile=TILE, band=1):
        """What lies under the tile's pixels, by loop."""
        return nearest_by_loop(self.known[collection, name, key], tile, (band,))[0]


class Chip:
    """A chip file's content."""

    def __init__(self, path):
        with rasterio.open(path) as file:
            self.pixels, self.tags, self.profile = file.read(), file.tags(), file.profile
            self.nodata, self.names = file.nodata, file.descriptions
            self.scales, self.offsets, self.blocks = file.scales, file.offsets, file.block_shapes
            self.crs, self.transform = file.crs, file.transform
        self.given = json.loads(self.tags["SCENES"])
        self.scenes = {product: [scene["id"] for scene in scenes] for product, scenes in self.given.items()}
        self.valid = float(self.tags["VALID"])


def noise(seed, dtype="uint16", low=1, high=10000, shape=(24, 24), holes=None, share=0.3):
    rng = np.random.default_rng(seed)
    data = rng.integers(low, high, shape).astype(dtype)
    if holes is not None:
        data[rng.random(shape) < share] = holes
    return data


def flat(value, dtype="uint16", shape=(24, 24)):
    return np.full(shape, value, dtype)


def best(values, kind):
    """The composite of one pixel's valid values in order, exactly."""
    exact = [Fraction(value) for value in values]
    if kind == "closest":
        return exact[0]
    if kind == "mean":
        return sum(exact) / len(exact)
    ordered = sorted(exact)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def assert_band(plane, stacks, kind, nodata, dtype=None):
    """Each pixel is the composite of its stack of valid values, rounded half to even, or nodata where there is none."""
    dtype = np.dtype(dtype or plane.dtype)
    for row, column in np.ndindex(plane.shape):
        values = stacks[row][column]
        got = plane[row, column].item()
        if not values:
            assert got == nodata or (math.isnan(nodata) and math.isnan(got)), (row, column)
        elif dtype.kind in "iu":
            assert got == round(best(values, kind)), (row, column, values)
        else:
            assert got == pytest.approx(float(best(values, kind)), rel=1e-6), (row, column, values)


def stack_up(layers):
    """Stacks of valid values from layers of (values by loop, is valid there)."""
    size = len(layers[0][0])
    return [
        [
            [
                values[row][column].item()
                for values, valid in layers
                if values[row][column] is not OUTSIDE and valid(values[row][column], row, column)
            ]
            for column in range(size)
        ]
        for row in range(size)
    ]


# The scenes of most tests: grids and CRSs differ; days from the reference day 2017-06-30 are 0, 1, 1, 5 and 10.
GRIDS = {
    "same": {"grid": {"step": 10}},
    "odd": {"grid": {"step": (9.9948, 9.9974), "shift": (0.3, 0.2)}},
    "west": {"grid": {"step": 10, "shift": (-7.3, 0.2)}, "crs": "EPSG:32632"},
    "lonlat": {"grid": {"step": (0.00013, 0.00009), "shift": (5.3, -4.2)}, "crs": "EPSG:4326"},
    "turned": {"grid": {"step": 11, "rotate": 20.0, "shift": (0.3, 0.2)}},
}
DAYS = {
    "same": "2017-07-10T10:00:00Z",
    "odd": "2017-07-01T09:00:00Z",
    "west": "2017-06-30T10:00:00Z",
    "lonlat": "2017-06-29T21:00:00Z",
    "turned": "2017-07-05T10:00:00Z",
}
# closest: the day itself; then one day off, by nearness to midnight (3 hours before, 33 hours after); then 5 and 10
CLOSEST = ["west", "lonlat", "odd", "turned", "same"]


def varied(folder, dtype="uint16", nodata=0, low=1, high=250, bands=("B1", "B2")):
    shots = Shots(folder)
    for number, (name, grid) in enumerate(GRIDS.items()):
        data = {
            key: noise([number, place], dtype, low, high, holes=nodata, share=0.5) for place, key in enumerate(bands)
        }
        shots.add(name, DAYS[name], data, nodata=nodata, **grid)
    return shots


@pytest.mark.parametrize("kind", ["closest", "median", "mean"])
@pytest.mark.parametrize(
    ("dtype", "nodata", "low", "high"),
    [
        ("uint8", 0, 1, 256),
        ("int8", -128, -127, 128),
        ("uint16", 65535, 0, 65535),
        ("int16", -9999, -2000, 12000),
        ("uint32", 0, 1, 2**32),
        ("int32", -(2**31), -(2**31) + 1, 2**31),
        ("float32", math.nan, -1000, 1000),
        ("float32", -9999.0, -1000, 1000),
        ("float64", math.nan, -(2**40), 2**40),
    ],
)
def test_a_chip_is_the_composite_of_each_pixel(tmp_path, kind, dtype, nodata, low, high):
    shots = varied(tmp_path, dtype, nodata, low, high)
    chip = shots.chip(products=[{"id": "s2", "bands": ["B2", "B1"]}], composite=kind)
    assert chip.pixels.dtype == dtype and chip.names == ("B2", "B1")
    assert chip.nodata == nodata or math.isnan(nodata) and math.isnan(chip.nodata)

    def good(value, *_):
        return value != nodata and not math.isnan(value)

    stacks = {key: stack_up([(shots.under_tile(name, key), good) for name in CLOSEST]) for key in ("B1", "B2")}
    for plane, key in zip(chip.pixels, ("B2", "B1"), strict=True):
        assert_band(plane, stacks[key], kind, nodata)
    full = [bool(stacks["B1"][row][column] and stacks["B2"][row][column]) for row, column in np.ndindex(16, 16)]
    assert chip.valid == sum(full) / 256 and 0.5 < chip.valid < 1


def test_provenance_tells_each_values_scene_and_days(tmp_path):
    shots = varied(tmp_path)
    chip, origin = (
        shots.chip(traced=True, products=[{"id": "s2", "bands": ["B2", "B1"]}]),
        Chip(tmp_path / "provenance.tif"),
    )
    assert origin.names == ("B2 scene", "B1 scene", "B2 days", "B1 days")
    assert (origin.pixels.dtype, origin.nodata, origin.given) == ("int16", -32768, chip.given)
    assert (origin.crs, origin.transform) == (chip.crs, chip.transform)
    found = {(name, key): shots.under_tile(name, key) for name in CLOSEST for key in ("B1", "B2")}
    days = {name: (date.fromisoformat(DAYS[name][:10]) - date(2017, 6, 30)).days for name in CLOSEST}
    assert sorted(days.values()) == [-1, 0, 1, 5, 10]
    values = Counter()
    for plane, key in enumerate(("B2", "B1")):
        for row, column in np.ndindex(16, 16):
            holders = [name for name in CLOSEST if found[name, key][row][column] not in (OUTSIDE, 0)]
            number, day = origin.pixels[plane, row, column], origin.pixels[plane + 2, row, column]
            if holders:
                values[holders[0]] += 1
                assert (chip.scenes["s2"][number - 1], day) == (holders[0], days[holders[0]])
            else:
                assert number == day == -32768 and chip.pixels[plane, row, column] == 0
    assert {scene["id"]: scene["share"] for scene in chip.given["s2"]} == {
        name: round(values[name] / 512, 6) for name in CLOSEST if values[name]
    }
    assert {scene["id"]: scene["acquired"] for scene in chip.given["s2"]} == {name: DAYS[name] for name in values}


@pytest.mark.parametrize("kind", ["median", "mean"])
def test_provenance_of_many_scenes_counts_them(tmp_path, kind):
    shots = varied(tmp_path)
    chip, origin = shots.chip(traced=True, composite=kind), Chip(tmp_path / "provenance.tif")
    assert origin.names == ("B1 count",)
    found = {name: shots.under_tile(name, "B1") for name in CLOSEST}
    seen = Counter()
    for row, column in np.ndindex(16, 16):
        holders = [name for name in CLOSEST if found[name][row][column] not in (OUTSIDE, 0)]
        seen.update(holders)
        assert origin.pixels[0, row, column] == len(holders)
    shares = {scene["id"]: scene["share"] for scene in chip.given["s2"]}
    assert shares == {name: round(seen[name] / seen.total(), 6) for name in CLOSEST if seen[name]}


def test_closest_takes_scenes_by_day_then_nearness_to_midnight_whatever_the_catalogues_order(tmp_path):
    written = []
    for seed in range(4):
        shots = varied(tmp_path / str(seed))
        shots.items = [shots.items[index] for index in np.random.default_rng(seed).permutation(5)]
        chip = shots.chip()
        assert (
            chip.scenes == {"s2": [name for name in CLOSEST if name in chip.scenes["s2"]]}
            and chip.scenes["s2"][0] == "west"
        )
        written.append((tmp_path / str(seed) / f"{TILE.name}.tif").read_bytes())
    assert len(set(written)) == 1


def test_equal_times_are_told_apart_by_id(tmp_path):
    shots = Shots(tmp_path)
    for value, name in enumerate(("c", "a", "b"), 1):
        shots.add(name, "2017-06-30T10:00:00Z", {"B1": flat(value)})
    chip = shots.chip()
    assert (chip.pixels == 2).all() and chip.scenes == {"s2": ["a"]}


def test_the_reference_date_chooses(tmp_path):
    shots = Shots(tmp_path)
    for value, day in enumerate(("2017-01-10", "2017-06-10", "2017-11-10"), 1):
        shots.add(day, f"{day}T10:00:00Z", {"B1": flat(value)})
    for reference, value in (
        ("2017-02-01", 1),
        ("2017-06-30", 2),
        ("2017-12-31", 3),
        ("2018-06-01", 3),
        ("2016-01-01", 1),
    ):
        assert (shots.chip(reference_date=reference).pixels == value).all()


def test_scenes_at_or_above_the_cloud_limit_do_not_count(tmp_path):
    shots = Shots(tmp_path)
    for value, cloud in enumerate((30.0, 20.0, 10.0, None), 1):
        shots.add(f"c{value}", f"2017-07-0{value}T10:00:00Z", {"B1": flat(value)}, cloud=cloud)
    assert (shots.chip(max_cloud=None).pixels == 1).all()
    assert (shots.chip(max_cloud=0.3).pixels == 2).all()
    assert (shots.chip(max_cloud=0.2).pixels == 3).all()
    assert (shots.chip(max_cloud=0.2, composite="median").pixels == 3).all()


# Cloud masks.


def masked_catalogue(folder, masks):
    """Three scenes with a mask each, of its own grid."""
    shots = Shots(folder)
    for number, (name, mask) in enumerate(zip("abc", masks, strict=True)):
        shots.add(name, f"2017-07-0{number + 1}T10:00:00Z", {"B1": noise(number, holes=0, share=0.1)}, nodata=0)
        path = write_raster(
            folder / "s2" / f"{name}-m.tif",
            mask,
            transform_over(TILE, mask.shape, (18, 22), shift=(0.3, 0.6)),
            TILE.crs,
        )
        shots.items[-1]["assets"]["m"] = make_asset(f"./{path.name}")
        shots.known["s2", name, "m"] = path
    return shots


@pytest.mark.parametrize("kind", ["closest", "median", "mean"])
@pytest.mark.parametrize(
    ("how", "is_clear", "dtype"),
    [
        ({"clear": [4, 5, 7]}, lambda value: value in (4, 5, 7), "uint8"),
        ({"clear": [-1]}, lambda value: value == -1, "int16"),
        ({"bits": [1, 10]}, lambda value: not int(value) >> 1 & 1 and not int(value) >> 10 & 1, "uint16"),
        ({"bits": [31]}, lambda value: not int(value) >> 31 & 1, "uint32"),
        ({"bits": [0]}, lambda value: not int(value) & 1, "int32"),
    ],
)
def test_masks_by_values_and_by_bits(tmp_path, kind, how, is_clear, dtype):
    ranges = {"uint8": (0, 12), "int16": (-2, 2), "uint16": (0, 65536), "uint32": (0, 2**32), "int32": (-5, 6)}
    masks = [noise([7, number], dtype, *ranges[dtype], shape=(12, 13)) for number in range(3)]
    shots = masked_catalogue(tmp_path, masks)
    chip = shots.chip(composite=kind, cloud_mask={"asset": "m", **how})
    layers = []
    for name in "abc":
        mask = shots.under_tile(name, "m")
        layers.append(
            (
                shots.under_tile(name, "B1"),
                lambda value, row, column, mask=mask: (
                    value != 0 and mask[row][column] is not OUTSIDE and is_clear(mask[row][column])
                ),
            )
        )
    stacks = stack_up(layers)
    assert_band(chip.pixels[0], stacks, kind, 0)
    assert {0, 2} <= {len(stack) for row in stacks for stack in row}


def test_the_masks_own_nodata_value_can_mean_clear(tmp_path):
    shots = Shots(tmp_path)
    shots.add("a", "2017-07-01T10:00:00Z", {"B1": flat(7), "m": flat(0, "uint8")}, nodata=0)
    assert (shots.chip(cloud_mask={"asset": "m", "clear": [0]}).pixels == 7).all()


def test_outside_the_mask_nothing_is_clear(tmp_path):
    shots = Shots(tmp_path)
    shots.add("a", "2017-07-01T10:00:00Z", {"B1": flat(7), "m": flat(0, "uint8", (24, 12))}, nodata=0)
    chip = shots.chip(cloud_mask={"asset": "m", "clear": [0]})
    assert (chip.pixels[0][:, 2:14] == 7).all() and chip.valid == 12 / 16
    assert (chip.pixels[0][:, :2] == 0).all() and (chip.pixels[0][:, 14:] == 0).all()


def test_nan_in_a_mask_is_not_clear(tmp_path):
    shots = Shots(tmp_path)
    mask = flat(0, "float32")
    mask[:, 12:] = math.nan
    shots.add("a", "2017-07-01T10:00:00Z", {"B1": flat(7), "m": mask}, nodata=0)
    with np.errstate(all="raise"):
        for how in ({"bits": [3]}, {"clear": [0]}):
            assert shots.chip(cloud_mask={"asset": "m", **how}).valid == 0.5


def test_where_everything_is_masked_the_chip_is_nodata(tmp_path):
    shots = Shots(tmp_path)
    for day in (1, 2):
        shots.add(f"a{day}", f"2017-07-0{day}T10:00:00Z", {"B1": flat(7), "m": flat(1, "uint8")}, nodata=99)
    for kind in ("closest", "median", "mean"):
        chip = shots.chip(cloud_mask={"asset": "m", "clear": [0]}, composite=kind)
        assert (chip.pixels == 99).all() and chip.valid == 0 and chip.scenes == {"s2": []}


def test_a_scene_that_is_masked_away_is_not_read(tmp_path):
    shots = Shots(tmp_path)
    for day, mask in ((1, 1), (2, 0)):
        shots.add(f"a{day}", f"2017-07-0{day}T10:00:00Z", {"B1": flat(day), "m": flat(mask, "uint8")})
    shots.add("a3", "2017-06-30T10:00:00Z", {"B1": flat(9), "m": flat(1, "uint8")})
    plan = shots.plan(cloud_mask={"asset": "m", "clear": [0]})
    shots.known["s2", "a1", "B1"].unlink()
    make_image(plan, TILE, tmp_path / "chip.tif")
    assert (Chip(tmp_path / "chip.tif").pixels == 2).all()


# Masks of another product.


def mask_product(folder, masks, dates=("2017-07-01T10:00:00Z", "2017-07-02T10:00:00Z", "2017-07-03T10:00:00Z")):
    """Three scenes a, b, c, and masks (name, time, array)."""
    shots = Shots(folder)
    for number, (name, when) in enumerate(zip("abc", dates, strict=True)):
        shots.add(name, when, {"B1": flat(number + 1)}, nodata=0)
    for name, when, mask in masks:
        shots.add(name, when, {"m": mask}, collection="masks")
    return shots


MASK = {"product": "masks", "band": "m", "clear": [0]}
CLEAR, CLOUD = flat(0, "uint8"), flat(1, "uint8")


def test_masks_are_paired_by_acquisition_not_by_place_in_a_list(tmp_path):
    # the first scene has no mask, the others' masks come in the wrong order and under other names
    masks = [("z", "2017-07-03T10:00:00Z", CLEAR), ("y", "2017-07-02T12:00:00+02:00", CLOUD)]
    chip = mask_product(tmp_path, masks).chip(cloud_mask=MASK)
    assert (chip.pixels == 3).all() and chip.scenes == {"s2": ["c"]}
    median = mask_product(tmp_path / "2", masks).chip(cloud_mask=MASK, composite="median")
    assert (median.pixels == 3).all() and median.scenes == {"s2": ["c"]}


def test_a_mask_a_microsecond_off_is_none(tmp_path):
    masks = [("y", "2017-07-01T10:00:00.000001Z", CLEAR), ("z", "2017-07-02T10:00:00Z", CLEAR)]
    assert (mask_product(tmp_path, masks).chip(cloud_mask=MASK).pixels == 2).all()


def test_without_any_mask_nothing_is_clear(tmp_path):
    chip = mask_product(tmp_path, [("z", "2017-09-01T10:00:00Z", CLEAR)]).chip(cloud_mask=MASK)
    assert (chip.pixels == 0).all() and chip.valid == 0


def test_of_several_masks_of_one_time_each_serves_where_it_reaches_the_namesake_first(tmp_path):
    shots = mask_product(tmp_path, [])
    when = "2017-07-01T10:00:00Z"
    left = {"grid": {"step": 10, "shift": (-9, 0)}}
    shots.add("A", when, {"m": CLOUD}, collection="masks")
    shots.add("a", when, {"m": flat(0, "uint8", (24, 12))}, collection="masks", **left)
    chip = shots.chip(cloud_mask=MASK)
    # the namesake reaches over columns up to 12 - 9 + 6 - 4 of the tile's, the other one over all
    reach = np.array([[value is not OUTSIDE for value in row] for row in shots.under_tile("a", "m", "masks")])
    assert 0 < reach.mean() < 1
    np.testing.assert_array_equal(chip.pixels[0] == 1, reach)


def test_masks_are_not_subject_to_the_cloud_limit(tmp_path):
    shots = Shots(tmp_path)
    shots.add("a", "2017-07-01T10:00:00Z", {"B1": flat(1)}, cloud=5.0, nodata=0)
    shots.add("m", "2017-07-01T10:00:00Z", {"m": CLEAR}, collection="masks", cloud=80.0)
    assert (shots.chip(cloud_mask=MASK, max_cloud=0.1).pixels == 1).all()


# Several products.


def two_products(folder, fine="uint8", coarse="uint16", fine_nodata=0, coarse_nodata=0):
    shots = Shots(folder)
    for day in (1, 2):
        when = f"2017-07-0{day}T10:00:00Z"
        data = noise([1, day], fine, 1, 120, (40, 40), holes=fine_nodata)
        shots.add(f"f{day}", when, {"red": data}, "fine", nodata=fine_nodata, grid={"step": 7.3, "shift": (0.3, 0.2)})
    for day in (4, 5, 6):
        when = f"2017-07-0{day}T10:00:00Z"
        data = {
            key: noise([2, day, place], coarse, 1, 120, (20, 20), holes=coarse_nodata)
            for place, key in enumerate(("nir", "red"))
        }
        shots.add(
            f"c{day}",
            when,
            data,
            "coarse",
            nodata=coarse_nodata,
            crs="EPSG:32632",
            grid={"step": 20, "shift": (0.3, 0.2)},
        )
    return shots


PRODUCTS = [{"id": "coarse", "bands": ["red", "nir"], "resampling": "bilinear"}, {"id": "fine", "bands": ["red"]}]


def warped(path, nodata, resampling):
    """GDAL's warp of a whole raster in 64 bits: values and where they are valid."""
    with rasterio.open(path) as file:
        data = file.read(1).astype(float)
        data[data == nodata] = math.nan
        result = np.full((16, 16), math.nan)
        reproject(
            data,
            result,
            src_transform=file.transform,
            src_crs=file.crs,
            src_nodata=math.nan,
            dst_transform=Affine.from_gdal(*TILE.geotransform),
            dst_crs=TILE.crs,
            dst_nodata=math.nan,
            resampling=Resampling[resampling],
        )
    return result


@pytest.mark.parametrize("kind", ["closest", "median"])
@pytest.mark.parametrize(
    ("fine", "coarse", "together", "fine_nodata", "coarse_nodata", "nodata"),
    [
        ("uint8", "uint16", "uint16", 0, 0, 0),
        ("uint8", "int16", "int16", 255, -9999, -9999),
        ("uint8", "float32", "float32", 255, -9999, math.nan),
        ("float32", "float32", "float32", -1, -1, -1),
    ],
)
def test_products_are_mosaicked_one_by_one_and_stacked(
    tmp_path, kind, fine, coarse, together, fine_nodata, coarse_nodata, nodata
):
    shots = two_products(tmp_path, fine, coarse, fine_nodata, coarse_nodata)
    chip = shots.chip(products=PRODUCTS, composite=kind)
    assert chip.pixels.dtype == together and chip.names == ("coarse/red", "nir", "fine/red")
    assert chip.nodata == nodata or (math.isnan(nodata) and math.isnan(chip.nodata))
    assert set(chip.scenes) == {"coarse", "fine"} and set(chip.scenes["fine"]) <= {"f1", "f2"}
    layers = [(shots.under_tile(name, "red", "fine"), lambda value, *_: value != fine_nodata) for name in ("f1", "f2")]
    assert_band(chip.pixels[2], stack_up(layers), kind, nodata, fine)
    for plane, key in zip(chip.pixels[:2], ("red", "nir"), strict=True):
        values = [warped(shots.known["coarse", name, key], coarse_nodata, "bilinear") for name in ("c4", "c5", "c6")]
        if np.dtype(coarse).kind in "iu":
            values = [np.floor(layer + 0.5) for layer in values]
        layers = [(layer, lambda value, *_: not math.isnan(value)) for layer in values]
        assert_band(plane, stack_up(layers), kind, nodata, coarse)


def test_a_tile_that_lacks_a_product_gets_no_chip_and_says_why(tmp_path):
    shots = two_products(tmp_path)
    shots.items = [each for each in shots.items if each["collection"] == "fine"] + [
        each | {"properties": {"datetime": "2019-01-01T00:00:00Z"}}
        for each in shots.items
        if each["collection"] == "coarse"
    ]
    plan = shots.plan(products=PRODUCTS)
    assert (
        plan.tiles_with_chips() == []
        and plan.missing_scenes(TILE.key) == "no scene of coarse within the dates and the cloud limit"
    )
    assert shots.plan(products=PRODUCTS[1:]).tiles_with_chips() == [TILE.key]
    assert shots.plan(products=PRODUCTS[1:]).missing_scenes(TILE.key) is None


# Nodata of scenes that differ.


def test_each_scenes_own_nodata_counts_and_a_valid_value_never_becomes_nodata(tmp_path):
    shots = Shots(tmp_path)
    first, second = noise(1, "uint8", 0, 256), noise(2, "uint8", 0, 256)
    first[::2], second[:, ::2] = 0, 0
    first[1::4, 1::3], second[0::4, 1::3] = 255, 255
    shots.add("a", "2017-07-01T10:00:00Z", {"B1": first}, nodata=0)
    shots.add("b", "2017-07-02T10:00:00Z", {"B1": second}, nodata=255)
    chip = shots.chip()
    one, two = shots.under_tile("a", "B1"), shots.under_tile("b", "B1")
    assert chip.nodata == 0
    seen = set()
    for row, column in np.ndindex(16, 16):
        if one[row][column] != 0:
            right = one[row][column]
        elif two[row][column] != 255:
            # 0 is a value of this scene; in the chip it would be nodata, so it moves by one
            right = max(1, two[row][column])
            seen.add(int(two[row][column]))
        else:
            right = 0
        assert chip.pixels[0, row, column] == right
    assert 0 in seen and (chip.pixels == 0).any() and chip.valid == (chip.pixels != 0).mean()


def test_a_source_without_any_nodata_keeps_its_zeros(tmp_path):
    shots = Shots(tmp_path)
    data = noise(1, "uint8", 0, 3)
    shots.add("a", "2017-07-01T10:00:00Z", {"B1": data}, grid={"step": 10, "shift": (9, 0)})
    for options in (
        {},
        {"composite": "median"},
        {"composite": "mean"},
        {"products": [{"id": "s2", "bands": ["B1"], "resampling": "bilinear"}]},
    ):
        chip = shots.chip(**options)
        assert chip.nodata == 0 and chip.valid == 11 / 16
        np.testing.assert_array_equal(chip.pixels[0, :, 5:], data[4:20, :11])


def test_floats_without_any_nodata_take_nan(tmp_path):
    shots = Shots(tmp_path)
    data = noise(1, "float32", -2, 3)
    data[4:8] = math.inf
    shots.add("a", "2017-07-01T10:00:00Z", {"B1": data})
    for kind in ("closest", "median", "mean"):
        chip = shots.chip(composite=kind)
        assert math.isnan(chip.nodata)
        np.testing.assert_array_equal(chip.pixels[0], np.where(np.isinf(data), np.nan, data)[4:20, 4:20])


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [("uint8", 254), ("uint8", 1), ("int8", 0), ("int8", -127), ("uint16", 40000), ("int16", -9999), ("int32", 0)]
    + [("float32", 0.0), ("float32", 3.0), ("float32", -9999.0), ("float64", 0.5)],
)
@pytest.mark.parametrize("kind", ["median", "mean"])
def test_a_computed_value_that_lands_on_nodata_moves_beside_it(tmp_path, kind, dtype, nodata):
    shots = Shots(tmp_path)
    for day, value in enumerate((nodata - 1, nodata + 1), 1):
        shots.add(f"a{day}", f"2017-07-0{day}T10:00:00Z", {"B1": flat(value, dtype)}, nodata=nodata)
    chip = shots.chip(composite=kind)
    stored = np.array(nodata, dtype)
    beside = (
        {nodata - 1, nodata + 1}
        if stored.dtype.kind in "iu"
        else {np.nextafter(stored, stored.dtype.type(side)).item() for side in (-np.inf, np.inf)}
    )
    assert chip.valid == 1 and chip.nodata == nodata and set(chip.pixels.ravel().tolist()) < beside


@pytest.mark.parametrize(
    ("dtype", "nodata", "beside"),
    [("uint8", 0, 1), ("uint8", 255, 254), ("int8", -128, -127), ("int8", 127, 126), ("int16", -32768, -32767)]
    + [("float32", float(np.finfo("float32").max), float(np.nextafter(np.finfo("float32").max, np.float32(0))))],
)
def test_nodata_at_a_limit_of_the_dtype_has_one_neighbour(tmp_path, dtype, nodata, beside):
    shots = Shots(tmp_path)
    shots.add("a", "2017-07-01T10:00:00Z", {"B1": noise(1, dtype, 3, 9, holes=nodata, share=0.5)}, nodata=nodata)
    shots.add("b", "2017-07-02T10:00:00Z", {"B1": flat(nodata, dtype)}, nodata=1)
    chip = shots.chip()
    one = shots.under_tile("a", "B1")
    assert chip.nodata == nodata and chip.valid == 1
    for row, column in np.ndindex(16, 16):
        right = one[row][column] if one[row][column] != np.array(nodata, dtype) else beside
        assert chip.pixels[0, row, column] == right


def test_the_mean_is_taken_before_a_value_moves_off_nodata(tmp_path):
    shots = Shots(tmp_path)
    for day, value in enumerate((0, 0, 6), 1):
        shots.add(f"a{day}", f"2017-07-0{day}T10:00:00Z", {"B1": flat(value)}, nodata=9)
    products = [{"id": "s2", "bands": ["B1"], "nodata": 9}]
    assert (shots.chip(composite="mean", products=products).pixels == 2).all()
    shots.add("b", "2017-01-01T10:00:00Z", {"B1": flat(1)}, said={"B1": {"nodata": 0}}, nodata=0)
    chip = shots.chip(composite="mean", end="2017-12-31")
    assert (chip.pixels == 2).all()  # (0 + 0 + 6 + 1) / 4 = 1.75


def test_the_catalogues_nodata_is_the_chips_even_where_files_say_nothing(tmp_path):
    shots = Shots(tmp_path)
    said = {"B1": {"raster:bands": [{"nodata": 7}]}}
    shots.add("a", "2017-07-01T10:00:00Z", {"B1": noise(1, "uint8", 5, 9)}, said=said)
    chip = shots.chip()
    assert chip.nodata == 7 and chip.valid == (noise(1, "uint8", 5, 9)[4:20, 4:20] != 7).mean()


@pytest.mark.parametrize(
    ("nodata", "dtype"), [(-1, "uint8"), (256, "uint8"), (0.5, "int16"), (math.nan, "uint16"), (70000, "int16")]
)
def test_a_configured_nodata_that_does_not_fit_is_named(tmp_path, nodata, dtype):
    shots = Shots(tmp_path)
    shots.add("a", "2017-07-01T10:00:00Z", {"B1": noise(1, dtype, 0, 100)})
    with pytest.raises(
        ConfigError, match=rf"datasets\.d\.imagery\.products: nodata {nodata} of 's2' does not fit its {dtype}"
    ):
        shots.chip(products=[{"id": "s2", "bands": ["B1"], "nodata": nodata}])


def test_a_catalogues_nodata_that_does_not_fit_is_ignored(tmp_path):
    shots = Shots(tmp_path)
    said = {"B1": {"raster:bands": [{"nodata": -9999}]}}
    shots.add("a", "2017-07-01T10:00:00Z", {"B1": noise(1, "uint8", 0, 100)}, said=said, nodata=3)
    chip = shots.chip()
    assert chip.nodata == 3


# Scale and offset.


def harmonised(folder, offsets, scale=0.0001, base=1500, **options):
    """Scenes of the same reflectance whose pixels are shifted by different offsets."""
    shots = Shots(folder)
    for day, offset in enumerate(offsets, 1):
        said = {"B04": {"raster:bands": [{"nodata": 0, "scale": scale, "offset": offset}]}}
        pixel = round((base * scale - offset) / scale)
        shots.add(f"a{day}", f"2017-07-0{day}T10:00:00Z", {"B04": flat(pixel)}, said=said, nodata=0, **options)
    return shots


B04 = [{"id": "s2", "bands": ["B04"]}]


@pytest.mark.parametrize("kind", ["closest", "median", "mean"])
@pytest.mark.parametrize("offsets", [(-0.1, 0.0, 0.0), (0.0, -0.1), (-0.1, -0.1, 0.0, -0.05)])
def test_shifted_scenes_are_brought_to_one_offset(tmp_path, kind, offsets):
    chip = harmonised(tmp_path, offsets).chip(products=B04, composite=kind)
    assert (chip.pixels == 1500).all() and chip.scales == (0.0001,) and chip.offsets == (0.0,)


def test_scenes_of_one_offset_are_left_as_they_are(tmp_path):
    shots = harmonised(tmp_path, (-0.1, -0.1))
    chip = shots.chip(products=B04)
    assert (chip.pixels == 2500).all() and chip.scales == (0.0001,) and chip.offsets == (-0.1,)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"s2:processing_baseline": "03.01"}, {"s2:processing_baseline": "04.00"}),
        ({"sentinel:processing_baseline": "02.08"}, {"sentinel:processing_baseline": "05.10"}),
        ({}, {"s2:processing_baseline": "05.09"}),
    ],
)
@pytest.mark.parametrize("when", [("2017-07-01", "2017-09-01"), ("2017-09-01", "2017-07-01")])
def test_processing_baseline_4_is_taken_off_where_no_offset_is_given(tmp_path, old, new, when):
    shots = Shots(tmp_path)
    shots.add("old", f"{when[0]}T10:00:00Z", {"B04": flat(1500), "SCL": flat(4, "uint8")}, nodata=0, **old)
    shots.add("new", f"{when[1]}T10:00:00Z", {"B04": flat(2500), "SCL": flat(4, "uint8")}, nodata=0, **new)
    for kind in ("closest", "median", "mean"):
        chip = shots.chip(
            products=[{"id": "s2", "bands": ["B04", "SCL"]}], composite=kind, cloud_mask={"asset": "SCL", "clear": [4]}
        )
        assert (chip.pixels[0] == 1500).all() and (chip.pixels[1] == 4).all() and chip.offsets == (0.0, 0.0)


def test_an_offset_that_was_applied_already_is_not_applied_again(tmp_path):
    shots = Shots(tmp_path)
    said = {"red": {"raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1}]}}
    done = {"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": True}
    plain = {"red": {"raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": 0}]}}
    shots.add("new", "2017-07-01T10:00:00Z", {"red": noise(1)}, said=said, nodata=0, **done)
    shots.add(
        "old", "2017-07-02T10:00:00Z", {"red": noise(2)}, said=plain, nodata=0, **{"s2:processing_baseline": "02.06"}
    )
    chip = shots.chip(products=[{"id": "s2", "bands": ["red"]}])
    np.testing.assert_array_equal(chip.pixels[0], noise(1)[4:20, 4:20])


def test_bands_of_version_1_1_carry_scale_and_offset(tmp_path):
    shots = Shots(tmp_path)
    for day, offset in ((1, -0.1), (2, 0.0)):
        said = {"B04": {"bands": [{"name": "B04", "nodata": 0, "raster:scale": 0.0001, "raster:offset": offset}]}}
        shots.add(
            f"a{day}", f"2017-07-0{day}T10:00:00Z", {"B04": flat(1500 - round(offset * 10000))}, said=said, nodata=0
        )
    for content in shots.items:
        content["stac_version"] = "1.1.0"
    assert (shots.chip(products=B04).pixels == 1500).all()


def test_what_falls_below_zero_is_the_smallest_valid_value(tmp_path):
    shots = Shots(tmp_path)
    for day, offset in ((1, -0.1), (2, 0.0)):
        said = {"B04": {"raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": offset}]}}
        shots.add(
            f"a{day}", f"2017-07-0{day}T10:00:00Z", {"B04": noise(day, "uint16", 1, 3000, holes=0)}, said=said, nodata=0
        )
    chip = shots.chip(products=B04)
    one, two = shots.under_tile("a1", "B04"), shots.under_tile("a2", "B04")
    for row, column in np.ndindex(16, 16):
        first, second = int(one[row][column]), int(two[row][column])
        right = max(1, first - 1000) if first else second
        assert chip.pixels[0, row, column] == right
    assert (chip.pixels == 1).sum() > 10


def test_other_scales_of_integers_and_floats(tmp_path):
    for dtype in ("int16", "float32"):
        shots = Shots(tmp_path / dtype)
        for day, scale, offset in ((1, 0.5, 10.0), (2, 1.0, 0.0)):
            said = {"B04": {"raster:bands": [{"scale": scale, "offset": offset}]}}
            shots.add(
                f"a{day}", f"2017-07-0{day}T10:00:00Z", {"B04": noise(day, dtype, -50, 50)}, said=said, nodata=-9999
            )
        chip = shots.chip(products=B04)
        one = shots.under_tile("a1", "B04")
        for row, column in np.ndindex(16, 16):
            exact = Fraction(int(one[row][column])) / 2 + 10
            assert chip.pixels[0, row, column] == (round(exact) if dtype == "int16" else float(exact))
        assert chip.offsets == (0.0,) and chip.scales == (1.0,)


# Scenes that do not fit.


def test_scenes_of_different_dtypes_are_named(tmp_path):
    shots = Shots(tmp_path)
    shots.add("a", "2017-07-01T10:00:00Z", {"B1": noise(1, "uint16", holes=0)}, nodata=0)
    shots.add("b", "2017-07-02T10:00:00Z", {"B1": noise(1, "float32", holes=0)}, nodata=0)
    with pytest.raises(SceneError, match="scene 'b' of product 's2' holds float32, but 'a' holds uint16; .*one dtype"):
        shots.chip()


def test_a_truncated_scene_is_named_and_leaves_no_chip(tmp_path):
    shots = Shots(tmp_path)
    shots.add("a", "2017-07-01T10:00:00Z", {"B1": noise(1, shape=(400, 400))})
    plan = shots.plan()
    path = shots.known["s2", "a", "B1"]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(SceneError, match=r"a-B1\.tif: cannot be read") as caught:
        make_image(plan, TILE, tmp_path / "chips" / "chip.tif")
    assert "\n" not in str(caught.value) and not list(tmp_path.glob("chips/*"))


def test_a_scene_without_the_band_is_named(tmp_path):
    shots = Shots(tmp_path)
    shots.add("a", "2017-07-01T10:00:00Z", {"B1": noise(1)})
    shots.add("b", "2017-07-02T10:00:00Z", {"B2": noise(1)})
    with pytest.raises(InputError, match="scene 'b' of product 's2' has no band 'B1'; it has B2"):
        shots.chip()


# The file.


@pytest.mark.parametrize(
    "key",
    [
        "12:2:10.0:33:-290:42325",
        "60:2:10.0:33:-58:8465",
        "256:0:0.5:01:3:-7",
        "17:3:30.0:60:-100:900",
        "1000:12:1.5:34:-9:3500",
    ],
)
def test_the_chip_lies_where_the_tile_lies(tmp_path, key):
    tile = Tile.from_key(key)
    west, south, east, north = tile.bounds
    step = (east - west) / 4
    path = write_raster(
        tmp_path / "s2" / "a-B1.tif",
        noise(1, shape=(8, 8)),
        Affine(step, 0, west - 2 * step, 0, -step, north + 2 * step),
        tile.crs,
    )
    shots = Shots(tmp_path)
    shots.items.append(make_item("a", "2017-07-01T10:00:00Z", {"B1": make_asset("./a-B1.tif")}, raster_outline(path)))
    chip = shots.chip(tile)
    real = DLTile.from_key(key)
    assert chip.crs.to_epsg() == int(real.crs.removeprefix("EPSG:"))
    assert chip.transform.to_gdal() == pytest.approx(real.geotrans, rel=1e-15)
    size = real.tilesize + 2 * real.pad
    assert chip.pixels.shape == (1, size, size)
    block = min(256, math.ceil(size / 16) * 16)
    assert chip.blocks == [(block, block)] and chip.profile["compress"] == "lzw"
    assert chip.tags["TILE"] == real.key == key


def test_a_chip_has_the_same_bytes_whenever_it_is_made(tmp_path):
    written = set()
    for number in range(3):
        shots = varied(tmp_path / str(number))
        shots.chip(composite="median")
        written.add((tmp_path / str(number) / f"{TILE.name}.tif").read_bytes())
        assert str(tmp_path).encode() not in max(written)
    assert len(written) == 1


def test_no_other_file_appears_beside_a_chip(tmp_path):
    plan = varied(tmp_path / "scenes").plan()
    make_image(plan, TILE, tmp_path / "chips" / "chip.tif")
    make_image(plan, TILE, tmp_path / "chips" / "chip.tif")
    assert [path.name for path in (tmp_path / "chips").iterdir()] == ["chip.tif"]


# When a chip has to be made again.

NEIGHBOUR = tile_at(east=2)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Three scenes over the tile, one over a neighbour alone, and masks, two of them for days without a scene."""
    shots = Shots(tmp_path_factory.mktemp("many"))
    scene = {"B1": noise(1), "B2": noise(2), "q": flat(0, "uint8")}
    for name, day, cloud in (("a", "2017-03-01", 5.0), ("b", "2017-06-01", 15.0), ("c", "2017-10-01", 25.0)):
        shots.add(name, f"{day}T10:00:00Z", scene, cloud=cloud, nodata=0)
    days = {"ma": "2017-03-01", "mb": "2017-06-01", "mc": "2017-10-01", "mx": "2017-05-01", "my": "2017-12-30"}
    for name, day in days.items():
        shots.add(name, f"{day}T10:00:00Z", {"m": CLEAR, "n": CLEAR}, collection="masks")
    shots.add("far", "2017-04-01T10:00:00Z", scene, cloud=1.0, nodata=0, grid={"step": 10, "shift": (24, 0)})
    return shots


USUAL = {
    "products": [{"id": "s2", "bands": ["B1", "B2"]}],
    "cloud_mask": {"product": "masks", "band": "m", "clear": [0]},
    "max_cloud": 0.5,
    "reference_date": "2017-06-30",
}


def plan_of(shots, items=list, tiles=(TILE, NEIGHBOUR), **imagery):
    changed = copy.copy(shots)
    changed.items = items(shots.items)
    return changed.plan(tiles, **(USUAL | imagery))


def edit(name, **changes):
    """The catalogue with one item changed."""
    return lambda items: [content | changes if content["id"] == name else content for content in items]


def edit_asset(name, key, **changes):
    def change(items):
        items = json.loads(json.dumps(items))
        next(content for content in items if content["id"] == name)["assets"][key].update(changes)
        return items

    return change


REMADE = {
    "bands": {"products": [{"id": "s2", "bands": ["B2", "B1"]}]},
    "fewer bands": {"products": [{"id": "s2", "bands": ["B1"]}]},
    "resampling": {"products": [{"id": "s2", "bands": ["B1", "B2"], "resampling": "bilinear"}]},
    "nodata": {"products": [{"id": "s2", "bands": ["B1", "B2"], "nodata": 5}]},
    "composite": {"composite": "median"},
    "order": {"reference_date": "2017-01-30"},
    "fewer scenes": {"max_cloud": 0.2},
    "earlier end": {"end": "2017-09-01"},
    "no mask": {"cloud_mask": None},
    "mask values": {"cloud_mask": {"product": "masks", "band": "m", "clear": [0, 1]}},
    "mask bits": {"cloud_mask": {"product": "masks", "band": "m", "bits": [0]}},
    "mask band": {"cloud_mask": {"product": "masks", "band": "n", "clear": [0]}},
    "mask asset": {"cloud_mask": {"asset": "q", "clear": [0]}},
    "scene's file": {"items": edit_asset("a", "B1", href="./b-B1.tif")},
    "scene's nodata": {"items": edit_asset("b", "B2", nodata=9)},
    "scene's offset": {"items": edit_asset("c", "B2", **{"raster:offset": -5})},
    "scene's time": {"items": edit("b", properties={"datetime": "2017-06-01T10:00:01Z", "eo:cloud_cover": 15.0})},
    "scene's name": {"items": edit("b", id="bb")},
    "scene gone": {"items": lambda items: items[1:]},
    "mask's file": {"items": edit_asset("mb", "m", href="./ma-m.tif")},
    "mask gone": {"items": lambda items: [content for content in items if content["id"] != "mb"]},
}
KEPT = {
    "nothing": {},
    "date that leaves the order": {"reference_date": "2017-07-10"},
    "limit that leaves the scenes": {"max_cloud": 0.3},
    "no limit": {"max_cloud": None},
    "window that leaves the scenes": {"start": "2017-02-01", "end": "2017-12-29"},
    "min_valid": {"min_valid": 0.7},
    "asset that is not read": {"items": edit_asset("a", "q", href="./b-q.tif")},
    "mask asset that is not read": {"items": edit_asset("ma", "n", href="./mb-n.tif")},
    "mask of a day without scene": {
        "items": lambda items: [content for content in items if content["id"] not in ("mx", "my")]
    },
    "scene elsewhere": {"items": lambda items: [content for content in items if content["id"] != "far"]},
    "file elsewhere": {"items": edit_asset("far", "B1", href="./a-B1.tif")},
    "catalogue's order": {"items": lambda items: items[::-1]},
    "other tiles": {"tiles": (TILE,)},
    "cloud cover": {"items": edit("a", properties={"datetime": "2017-03-01T10:00:00Z", "eo:cloud_cover": 6.0})},
}


@pytest.fixture(scope="module")
def usual(many):
    """The digests of the tile and its neighbour before anything changes."""
    plan = plan_of(many)
    return plan.digest(TILE.key), plan.digest(NEIGHBOUR.key)


@pytest.mark.parametrize("name", REMADE)
def test_the_digest_changes_with_what_the_chip_is_made_from(many, usual, name):
    assert plan_of(many, **REMADE[name]).digest(TILE.key) != usual[0]


@pytest.mark.parametrize("name", KEPT)
def test_the_digest_does_not_change_with_what_leaves_the_chip_alone(many, usual, name):
    assert plan_of(many, **KEPT[name]).digest(TILE.key) == usual[0]


def test_a_change_elsewhere_changes_the_tiles_there(many, usual):
    for name in ("scene elsewhere", "file elsewhere"):
        assert plan_of(many, **KEPT[name]).digest(NEIGHBOUR.key) != usual[1]


def test_a_scene_elsewhere_changes_the_chips_whose_scale_or_nodata_it_changes(tmp_path):
    """One offset and one nodata value hold for all chips of a dataset."""
    digests, chips = set(), []
    for said in ({"offset": 0, "nodata": 0}, {"offset": -0.1, "nodata": 0}, {"offset": -0.1, "nodata": 9}):
        shots = Shots(tmp_path)
        usual = {"B04": {"raster:bands": [{"scale": 0.0001, "offset": -0.1, "nodata": 9}]}}
        shots.add("a", "2017-07-01T10:00:00Z", {"B04": flat(2500)}, said=usual)
        for day in (2, 3):
            other, far = {"B04": {"raster:bands": [{"scale": 0.0001, **said}]}}, {"step": 10, "shift": (24, 0)}
            shots.add(f"far{day}", f"2017-07-0{day}T10:00:00Z", {"B04": flat(1)}, said=other, grid=far)
        plan = shots.plan((TILE, NEIGHBOUR), products=B04)
        digests.add(plan.digest(TILE.key))
        make_image(plan, TILE, tmp_path / "chip.tif")
        chips.append(Chip(tmp_path / "chip.tif"))
    assert [chip.nodata for chip in chips] == [0, 0, 9] and [chip.offsets for chip in chips] == [(0,), (-0.1,), (-0.1,)]
    assert [chip.pixels.max() for chip in chips] == [1500, 2500, 2500] and len(digests) == 3


def test_the_reference_date_does_not_matter_to_a_median(many):
    dates = ("2017-01-30", "2017-12-01")
    digests = {plan_of(many, composite="median", reference_date=day).digest(TILE.key) for day in dates}
    assert len(digests) == 1


def test_how_the_scenes_of_two_products_lie_in_time_does_not_matter(tmp_path):
    shots = two_products(tmp_path)
    dates = ("2017-06-01", "2017-06-15")
    assert len({shots.plan(products=PRODUCTS, reference_date=day).digest(TILE.key) for day in dates}) == 1
    # 2017-07-05 turns the order of both products round, 2017-07-03 that of one
    turned = {shots.plan(products=PRODUCTS, reference_date=f"2017-07-0{day}").digest(TILE.key) for day in (1, 3, 5)}
    assert len(turned) == 3


def test_scenes_of_products_that_the_dataset_does_not_take_leave_plan_and_chip_alone(many, tmp_path):
    plan = plan_of(many)
    stranger = replace(plan.lock.scenes[0], product="aaa", assets={})
    scenes = (stranger, *plan.lock.scenes)
    tiles = {key: (0, *(index + 1 for index in indices)) for key, indices in plan.lock.tiles.items()}
    other = replace(plan, lock=SceneLock(plan.lock.query, scenes, tiles))
    for tile in (TILE, NEIGHBOUR):
        assert other.digest(tile.key) == plan.digest(tile.key)
    make_image(plan, TILE, tmp_path / "a.tif")
    make_image(other, TILE, tmp_path / "b.tif")
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


# Signed addresses.

SECRET = "c2VjcmV0"


@pytest.fixture
def azure(serve, monkeypatch, tmp_path):
    """A token service like the Planetary Computer's, and a proxy that plays blob storage; gives what they got asked."""
    asked = []

    class Tokens(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            asked.append(self.path)
            content = json.dumps({"msft:expiry": "2099-01-01T00:00:00Z", "token": f"se=2099&sig={SECRET}"}).encode()
            self.send_response(200 if "/shut" not in self.path else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    class Blobs(Tokens):
        def do_HEAD(self):  # noqa: N802
            self.do_GET()

        def do_GET(self):  # noqa: N802
            asked.append(self.path)
            address = urllib.parse.urlparse(self.path)
            path = tmp_path / "blobs" / Path(address.path).name
            content = path.read_bytes() if path.exists() and SECRET in address.query else b""
            first, last = 0, len(content) - 1
            if "Range" in self.headers:
                ends = self.headers["Range"].removeprefix("bytes=").split("-")
                first, last = int(ends[0]), min(last, int(ends[1] or last))
            self.send_response((206 if "Range" in self.headers else 200) if content else 403)
            self.send_header("Content-Length", str(last - first + 1 if content else 0))
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content[first : last + 1])

    monkeypatch.setenv("PC_SDK_SAS_URL", f"{serve(Tokens)}/token")
    monkeypatch.setenv("GDAL_HTTP_PROXY", serve(Blobs).removeprefix("http://"))
    planetary_computer.settings.Settings.get.cache_clear()
    planetary_computer.sas.TOKEN_CACHE.clear()
    readers.shared_raster_reader.cache_clear()
    yield asked
    planetary_computer.settings.Settings.get.cache_clear()
    planetary_computer.sas.TOKEN_CACHE.clear()
    readers.shared_raster_reader.cache_clear()


def signed_plan(folder, blob, container="good"):
    href = f"http://account.blob.core.windows.net/{container}/{blob}"
    write_raster(folder / "blobs" / "a.tif", noise(1), transform_over(TILE, (24, 24), 10), TILE.crs, nodata=0)
    shots = Shots(folder)
    shots.items.append(
        make_item("a", "2017-07-01T10:00:00Z", {"B1": make_asset(href)}, raster_outline(folder / "blobs" / "a.tif"))
    )
    return shots.plan(sign="planetary_computer")


def test_addresses_are_signed_when_read_and_nowhere_else(tmp_path, azure):
    plan = signed_plan(tmp_path, "a.tif")
    make_image(plan, TILE, tmp_path / "chip.tif")
    np.testing.assert_array_equal(Chip(tmp_path / "chip.tif").pixels[0], noise(1)[4:20, 4:20])
    assert azure[0] == "/token/account/good" and any(f"a.tif?se=2099&sig={SECRET}" in path for path in azure[1:])
    for path in ("scenes.parquet", "chip.tif"):
        assert SECRET.encode() not in (tmp_path / path).read_bytes()
    assert SECRET not in "".join(scene.pin + repr(scene) for scene in plan.lock.scenes)


def test_no_message_tells_the_signature(tmp_path, azure, capfd):
    with pytest.raises(
        SceneError, match=r"http://account\.blob\.core\.windows\.net/good/none\.tif: cannot be read"
    ) as caught:
        make_image(signed_plan(tmp_path, "none.tif"), TILE, tmp_path / "chip.tif")
    assert azure and SECRET not in str(caught.value) and "\n" not in str(caught.value)
    told = capfd.readouterr()
    assert SECRET not in told.out + told.err


def test_a_token_service_that_refuses_gives_one_message(tmp_path, azure):
    with pytest.raises(
        SceneError, match=r"blob\.core\.windows\.net/shut/a\.tif: the Planetary Computer gave no signature"
    ) as caught:
        make_image(signed_plan(tmp_path, "a.tif", "shut"), TILE, tmp_path / "chip.tif")
    assert "\n" not in str(caught.value)


def test_addresses_elsewhere_are_not_signed(tmp_path, azure):
    shots = Shots(tmp_path)
    shots.add("a", "2017-07-01T10:00:00Z", {"B1": noise(1)}, nodata=0)
    assert shots.chip(sign="planetary_computer").valid == 1 and azure == []


# Real scenes.


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("closest", {"start": "2016-12-01", "end": "2017-02-28", "reference_date": "2017-01-05"}),
        ("closest", {"start": "2016-12-01", "end": "2017-02-28", "reference_date": "2017-01-05", "max_cloud": 0.3}),
        (
            "closest",
            {
                "start": "2016-12-01",
                "end": "2017-02-28",
                "reference_date": "2017-01-05",
                "cloud_mask": {"asset": "cloud_mask", "clear": [0]},
            },
        ),
        ("median", {"start": "2015-01-01", "end": "2017-12-31"}),
        ("mean", {"start": "2015-01-01", "end": "2017-12-31", "cloud_mask": {"asset": "cloud_mask", "clear": [0]}}),
    ],
)
def test_real_scenes_by_loop(tmp_path, real_data, kind, options):
    folder = real_data.resolve()
    names = ["B04", "B11"]
    tile = Tile.from_key("60:2:10.0:33:-58:8465")
    dataset = make_dataset(
        imagery={
            "catalog": str(folder / "catalog.json"),
            "products": [{"id": "s2-l1c", "bands": names}],
            "composite": kind,
            **options,
        }
    )
    outlines = footprints([tile])
    lock = pin_scenes(
        SceneQuery.of(dataset.imagery), StacCatalogue(dataset.imagery).search(outlines), [tile.key], outlines
    )
    make_image(image_plan(dataset, lock), tile, tmp_path / "chip.tif")
    chip = Chip(tmp_path / "chip.tif")

    items = [(path, json.loads(path.read_text())) for path in sorted(folder.glob("s2-l1c/*/*.json"))]
    start, end = (
        datetime.fromisoformat(f"{options['start']}T00:00:00Z"),
        datetime.fromisoformat(f"{options['end']}T23:59:59.999Z"),
    )
    chosen = []
    for path, content in items:
        when = datetime.fromisoformat(content["properties"]["datetime"])
        if start <= when <= end and content["properties"]["eo:cloud_cover"] / 100 < options.get("max_cloud", 9):
            chosen.append((when, content["id"], path.parent))
    if kind == "closest":
        midnight = datetime.fromisoformat(f"{options['reference_date']}T00:00:00Z")
        chosen.sort(key=lambda each: (abs((each[0].date() - midnight.date()).days), abs(each[0] - midnight), each[1]))
    assert chosen
    for plane, name in zip(chip.pixels, names, strict=True):
        layers = []
        for _, _, place in chosen:
            mask = nearest_by_loop(place / "cloud_mask.tif", tile)[0] if "cloud_mask" in options else None
            layers.append(
                (
                    nearest_by_loop(place / f"{name}.tif", tile)[0],
                    lambda value, row, column, mask=mask: value != 0 and (mask is None or mask[row][column] == 0),
                )
            )
        assert_band(plane, stack_up(layers), kind, 0)
