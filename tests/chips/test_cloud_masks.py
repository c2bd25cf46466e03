"""Cloud masks of assets and of other products, by values and by bits."""

import math

import numpy as np
import pytest
import rasterio

from segchips.chips.images import make_image
from support.catalogues import make_asset
from support.rasters import OUTSIDE, transform_over, write_raster
from support.scene_series import TILE, Chip, SceneSeries, assert_composite, flat, noise, valid_stacks

# Cloud masks.


def masked_catalogue(folder, masks):
    """Three scenes with a mask each, of its own grid."""
    series = SceneSeries(folder)
    for number, (name, mask) in enumerate(zip("abc", masks, strict=True)):
        series.add(name, f"2017-07-0{number + 1}T10:00:00Z", {"B1": noise(number, holes=0, share=0.1)}, nodata=0)
        path = write_raster(
            folder / "s2" / f"{name}-m.tif",
            mask,
            transform_over(TILE, mask.shape, (18, 22), shift=(0.3, 0.6)),
            TILE.crs,
        )
        series.items[-1]["assets"]["m"] = make_asset(f"./{path.name}")
        series.paths["s2", name, "m"] = path
    return series


@pytest.mark.parametrize("kind", ["closest", "median", "mean"])
@pytest.mark.parametrize(
    ("how", "is_clear", "dtype"),
    [
        ({"clear": [4, 5, 7]}, lambda value: value in (4, 5, 7), "uint8"),
        ({"clear": [-1]}, lambda value: value == -1, "int16"),
        ({"bits": [1, 10]}, lambda value: not int(value) >> 1 & 1 and not int(value) >> 10 & 1, "uint16"),
        ({"bits": [31]}, lambda value: not int(value) >> 31 & 1, "uint32"),
        ({"bits": [0]}, lambda value: not int(value) & 1, "int32"),
        ({"max": 6}, lambda value: value <= 6, "uint8"),
        ({"min": 2, "max": 6.5}, lambda value: value in (2, 3, 4, 5, 6), "uint8"),
        ({"min": 0}, lambda value: value >= 0, "int16"),
        # MODIS state: bits 0-1 are 00 (clear) or 11 (assumed clear), bit 2 is shadow, bits 8-9 cirrus
        (
            {"bits": [2], "fields": [{"bits": [0, 1], "clear": [0, 3]}, {"bits": [8, 9], "clear": [0, 1]}]},
            lambda value: (
                f"{int(value):016b}"[-2:] in ("00", "11")
                and f"{int(value):016b}"[-3] == "0"
                and f"{int(value):016b}"[-10:-8] in ("00", "01")
            ),
            "uint16",
        ),
        # HLS: aerosol level in bits 6-7, 11 is high
        ({"fields": [{"bits": [6, 7], "clear": [0, 1, 2]}]}, lambda value: f"{int(value):08b}"[:2] != "11", "byte"),
    ],
)
def test_masks_by_values_and_by_bits(tmp_path, kind, how, is_clear, dtype):
    ranges = {
        "byte": (0, 256),
        "uint8": (0, 12),
        "int16": (-2, 2),
        "uint16": (0, 65536),
        "uint32": (0, 2**32),
        "int32": (-5, 6),
    }
    stored = "uint8" if dtype == "byte" else dtype
    masks = [noise([7, number], stored, *ranges[dtype], shape=(12, 13)) for number in range(3)]
    series = masked_catalogue(tmp_path, masks)
    chip = series.chip(composite=kind, cloud_mask={"asset": "m", **how})
    layers = []
    for name in "abc":
        mask = series.expected(name, "m")
        layers.append(
            (
                series.expected(name, "B1"),
                lambda value, row, column, mask=mask: (
                    value != 0 and mask[row][column] is not OUTSIDE and is_clear(mask[row][column])
                ),
            )
        )
    stacks = valid_stacks(layers)
    assert_composite(chip.pixels[0], stacks, kind, 0)
    assert {0, 2} <= {len(stack) for row in stacks for stack in row}


def test_the_masks_own_nodata_value_can_mean_clear(tmp_path):
    series = SceneSeries(tmp_path)
    series.add("a", "2017-07-01T10:00:00Z", {"B1": flat(7), "m": flat(0, "uint8")}, nodata=0)
    assert (series.chip(cloud_mask={"asset": "m", "clear": [0]}).pixels == 7).all()


def test_outside_the_mask_nothing_is_clear(tmp_path):
    series = SceneSeries(tmp_path)
    series.add("a", "2017-07-01T10:00:00Z", {"B1": flat(7), "m": flat(0, "uint8", (24, 12))}, nodata=0)
    chip = series.chip(cloud_mask={"asset": "m", "clear": [0]})
    assert (chip.pixels[0][:, 2:14] == 7).all() and chip.valid == 12 / 16
    assert (chip.pixels[0][:, :2] == 0).all() and (chip.pixels[0][:, 14:] == 0).all()


@pytest.mark.parametrize("declares", ["file", "item"])
@pytest.mark.parametrize(("dtype", "nodata", "limits"), [("int16", -9999, {"max": 40}), ("uint8", 255, {"min": 20})])
def test_nodata_of_a_measured_mask_is_not_clear_but_0_is_a_measurement(tmp_path, declares, dtype, nodata, limits):
    for value, share in ((nodata, 0.5), (0, 1.0 if "max" in limits else 0.5)):
        series = SceneSeries(tmp_path / str(value))
        mask = flat(30, dtype)
        mask[:, 12:] = value
        declared = {"m": {"raster:bands": [{"nodata": value}]}} if declares == "item" else {}
        bands = {"B1": flat(7, dtype), "m": mask}
        series.add("a", "2017-07-01T10:00:00Z", bands, declared=declared, nodata=value if declares == "file" else None)
        assert series.chip(cloud_mask={"asset": "m", **limits}).valid == share


def test_where_the_file_of_a_mask_masks_it_nothing_is_clear(tmp_path):
    series = SceneSeries(tmp_path)
    series.add("a", "2017-07-01T10:00:00Z", {"B1": flat(7), "m": flat(0, "uint8")}, nodata=None)
    with rasterio.open(series.paths["s2", "a", "m"], "r+") as file, rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        file.write_mask(np.arange(24) < np.full((24, 1), 12))
    for how in ({"bits": [3]}, {"clear": [0]}, {"max": 0}):
        assert series.chip(cloud_mask={"asset": "m", **how}).valid == 0.5


def test_nan_in_a_mask_is_not_clear(tmp_path):
    series = SceneSeries(tmp_path)
    mask = flat(0, "float32")
    mask[:, 12:] = math.nan
    series.add("a", "2017-07-01T10:00:00Z", {"B1": flat(7), "m": mask}, nodata=0)
    with np.errstate(all="raise"):
        for how in ({"bits": [3]}, {"clear": [0]}, {"max": 0}, {"min": 0}, {"fields": [{"bits": [1], "clear": [0]}]}):
            assert series.chip(cloud_mask={"asset": "m", **how}).valid == 0.5


def test_where_everything_is_masked_the_chip_is_nodata(tmp_path):
    series = SceneSeries(tmp_path)
    for day in (1, 2):
        series.add(f"a{day}", f"2017-07-0{day}T10:00:00Z", {"B1": flat(7), "m": flat(1, "uint8")}, nodata=99)
    for kind in ("closest", "median", "mean"):
        chip = series.chip(cloud_mask={"asset": "m", "clear": [0]}, composite=kind)
        assert (chip.pixels == 99).all() and chip.valid == 0 and chip.scenes == {"s2": []}


def test_a_scene_that_is_masked_away_is_not_read(tmp_path):
    series = SceneSeries(tmp_path)
    for day, mask in ((1, 1), (2, 0)):
        series.add(f"a{day}", f"2017-07-0{day}T10:00:00Z", {"B1": flat(day), "m": flat(mask, "uint8")})
    series.add("a3", "2017-06-30T10:00:00Z", {"B1": flat(9), "m": flat(1, "uint8")})
    plan = series.plan(cloud_mask={"asset": "m", "clear": [0]})
    series.paths["s2", "a1", "B1"].unlink()
    make_image(plan, TILE, tmp_path / "chip.tif")
    assert (Chip(tmp_path / "chip.tif").pixels == 2).all()


# Masks of another product.


def mask_product(folder, masks, dates=("2017-07-01T10:00:00Z", "2017-07-02T10:00:00Z", "2017-07-03T10:00:00Z")):
    """Three scenes a, b, c, and masks (name, time, array)."""
    series = SceneSeries(folder)
    for number, (name, when) in enumerate(zip("abc", dates, strict=True)):
        series.add(name, when, {"B1": flat(number + 1)}, nodata=0)
    for name, when, mask in masks:
        series.add(name, when, {"m": mask}, collection="masks")
    return series


MASK = {"product": "masks", "band": "m", "clear": [0]}
CLEAR, CLOUD = flat(0, "uint8"), flat(1, "uint8")


def test_masks_are_paired_by_acquisition_not_by_place_in_a_list(tmp_path):
    # the first scene has no mask, the others' masks come in the wrong order and under other names
    masks = [("z", "2017-07-03T10:00:00Z", CLEAR), ("y", "2017-07-02T12:00:00+02:00", CLOUD)]
    chip = mask_product(tmp_path, masks).chip(cloud_mask=MASK)
    assert (chip.pixels == 3).all() and chip.scenes == {"s2": ["c"]}
    median = mask_product(tmp_path / "2", masks).chip(cloud_mask=MASK, composite="median")
    assert (median.pixels == 3).all() and median.scenes == {"s2": ["c"]}


def test_a_mask_a_microsecond_off_does_not_count(tmp_path):
    masks = [("y", "2017-07-01T10:00:00.000001Z", CLEAR), ("z", "2017-07-02T10:00:00Z", CLEAR)]
    assert (mask_product(tmp_path, masks).chip(cloud_mask=MASK).pixels == 2).all()


def test_without_any_mask_nothing_is_clear(tmp_path):
    chip = mask_product(tmp_path, [("z", "2017-09-01T10:00:00Z", CLEAR)]).chip(cloud_mask=MASK)
    assert (chip.pixels == 0).all() and chip.valid == 0


def test_masks_of_one_time_are_combined_that_of_the_same_id_first(tmp_path):
    series = mask_product(tmp_path, [])
    when = "2017-07-01T10:00:00Z"
    left = {"grid": {"step": 10, "shift": (-9, 0)}}
    series.add("A", when, {"m": CLOUD}, collection="masks")
    series.add("a", when, {"m": flat(0, "uint8", (24, 12))}, collection="masks", **left)
    chip = series.chip(cloud_mask=MASK)
    # the namesake reaches over columns up to 12 - 9 + 6 - 4 of the tile's, the other one over all
    reach = np.array([[value is not OUTSIDE for value in row] for row in series.expected("a", "m", "masks")])
    assert 0 < reach.mean() < 1
    np.testing.assert_array_equal(chip.pixels[0] == 1, reach)


def test_masks_are_not_subject_to_the_cloud_limit(tmp_path):
    series = SceneSeries(tmp_path)
    series.add("a", "2017-07-01T10:00:00Z", {"B1": flat(1)}, cloud=5.0, nodata=0)
    series.add("m", "2017-07-01T10:00:00Z", {"m": CLEAR}, collection="masks", cloud=80.0)
    assert (series.chip(cloud_mask=MASK, max_cloud=0.1).pixels == 1).all()
