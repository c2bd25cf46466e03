"""The nodata value of a chip, and valid values that equal it."""

import math

import numpy as np
import pytest

from segchips.chips.nodata import chip_nodata
from segchips.errors import ConfigError
from support.scene_series import SceneSeries, flat, noise

# Nodata of scenes that differ.


def test_nodata_is_each_scenes_own_and_valid_values_stay_valid(tmp_path):
    series = SceneSeries(tmp_path)
    first, second = noise(1, "uint8", 0, 256), noise(2, "uint8", 0, 256)
    first[::2], second[:, ::2] = 0, 0
    first[1::4, 1::3], second[0::4, 1::3] = 255, 255
    series.add("a", "2017-07-01T10:00:00Z", {"B1": first}, nodata=0)
    series.add("b", "2017-07-02T10:00:00Z", {"B1": second}, nodata=255)
    chip = series.chip()
    one, two = series.expected("a", "B1"), series.expected("b", "B1")
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
    series = SceneSeries(tmp_path)
    data = noise(1, "uint8", 0, 3)
    series.add("a", "2017-07-01T10:00:00Z", {"B1": data}, grid={"step": 10, "shift": (9, 0)})
    for options in (
        {},
        {"composite": "median"},
        {"composite": "mean"},
        {"products": [{"id": "s2", "bands": ["B1"], "resampling": "bilinear"}]},
    ):
        chip = series.chip(**options)
        assert chip.nodata is None and chip.valid == 11 / 16
        np.testing.assert_array_equal(chip.pixels[0, :, 5:], data[4:20, :11])
        np.testing.assert_array_equal(chip.pixels[0, :, :5], 0)
        np.testing.assert_array_equal(chip.mask, [[column >= 5 for column in range(16)]] * 16)


def test_floats_without_any_nodata_take_nan(tmp_path):
    series = SceneSeries(tmp_path)
    data = noise(1, "float32", -2, 3)
    data[4:8] = math.inf
    series.add("a", "2017-07-01T10:00:00Z", {"B1": data})
    for kind in ("closest", "median", "mean"):
        chip = series.chip(composite=kind)
        assert math.isnan(chip.nodata)
        np.testing.assert_array_equal(chip.pixels[0], np.where(np.isinf(data), np.nan, data)[4:20, 4:20])


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [("uint8", 254), ("uint8", 1), ("int8", 0), ("int8", -127), ("uint16", 40000), ("int16", -9999), ("int32", 0)]
    + [("float32", 0.0), ("float32", 3.0), ("float32", -9999.0), ("float64", 0.5)],
)
@pytest.mark.parametrize("kind", ["median", "mean"])
def test_a_computed_value_that_lands_on_nodata_moves_beside_it(tmp_path, kind, dtype, nodata):
    series = SceneSeries(tmp_path)
    for day, value in enumerate((nodata - 1, nodata + 1), 1):
        series.add(f"a{day}", f"2017-07-0{day}T10:00:00Z", {"B1": flat(value, dtype)}, nodata=nodata)
    chip = series.chip(composite=kind)
    assert chip.valid == 1 and chip.nodata == nodata and chip.mask.all()
    assert chip.tags["MOVED_OFF_NODATA"] == "256" and set(chip.pixels.ravel().tolist()) < beside(nodata, dtype)


def beside(nodata, dtype):
    """The nearest values on both sides that differ from nodata as GDAL compares them."""
    stored = np.array(nodata, dtype)
    if stored.dtype.kind in "iu":
        return {nodata - 1, nodata + 1}
    sides = []
    for side in (-np.inf, np.inf):
        reach = stored.dtype.type(nodata + math.copysign(4 * 2.0**-23 * abs(nodata), side))
        sides.append(np.nextafter(reach, stored.dtype.type(side)).item())
    return set(sides)


@pytest.mark.parametrize(
    ("dtype", "nodata", "beside"),
    [("uint8", 0, 1), ("uint8", 255, 254), ("int8", -128, -127), ("int8", 127, 126), ("int16", -32768, -32767)],
)
def test_nodata_at_a_limit_of_the_dtype_has_one_neighbour(tmp_path, dtype, nodata, beside):
    series = SceneSeries(tmp_path)
    series.add("a", "2017-07-01T10:00:00Z", {"B1": noise(1, dtype, 3, 9, holes=nodata, share=0.5)}, nodata=nodata)
    series.add("b", "2017-07-02T10:00:00Z", {"B1": flat(nodata, dtype)}, nodata=1)
    chip = series.chip()
    one = series.expected("a", "B1")
    assert chip.nodata == nodata and chip.valid == 1
    for row, column in np.ndindex(16, 16):
        right = one[row][column] if one[row][column] != np.array(nodata, dtype) else beside
        assert chip.pixels[0, row, column] == right


def test_the_mean_is_taken_before_a_value_moves_off_nodata(tmp_path):
    series = SceneSeries(tmp_path)
    for day, value in enumerate((0, 0, 6), 1):
        series.add(f"a{day}", f"2017-07-0{day}T10:00:00Z", {"B1": flat(value)}, nodata=9)
    products = [{"id": "s2", "bands": ["B1"], "nodata": 9}]
    assert (series.chip(composite="mean", products=products).pixels == 2).all()
    series.add("b", "2017-01-01T10:00:00Z", {"B1": flat(1)}, declared={"B1": {"nodata": 0}}, nodata=0)
    chip = series.chip(composite="mean", end="2017-12-31")
    assert (chip.pixels == 2).all()  # (0 + 0 + 6 + 1) / 4 = 1.75


def test_the_catalogues_nodata_is_the_chips_even_where_files_say_nothing(tmp_path):
    series = SceneSeries(tmp_path)
    declared = {"B1": {"raster:bands": [{"nodata": 7}]}}
    series.add("a", "2017-07-01T10:00:00Z", {"B1": noise(1, "uint8", 5, 9)}, declared=declared)
    chip = series.chip()
    assert chip.nodata == 7 and chip.valid == (noise(1, "uint8", 5, 9)[4:20, 4:20] != 7).mean()


@pytest.mark.parametrize(
    ("nodata", "dtype"), [(-1, "uint8"), (256, "uint8"), (0.5, "int16"), (math.nan, "uint16"), (70000, "int16")]
)
def test_a_configured_nodata_that_does_not_fit_is_named(tmp_path, nodata, dtype):
    series = SceneSeries(tmp_path)
    series.add("a", "2017-07-01T10:00:00Z", {"B1": noise(1, dtype, 0, 100)})
    with pytest.raises(
        ConfigError, match=rf"datasets\.d\.imagery\.products: nodata {nodata} of 's2' does not fit its {dtype}"
    ):
        series.chip(products=[{"id": "s2", "bands": ["B1"], "nodata": nodata}])


def test_a_catalogues_nodata_that_does_not_fit_is_ignored(tmp_path):
    series = SceneSeries(tmp_path)
    declared = {"B1": {"raster:bands": [{"nodata": -9999}]}}
    series.add("a", "2017-07-01T10:00:00Z", {"B1": noise(1, "uint8", 0, 100)}, declared=declared, nodata=3)
    chip = series.chip()
    assert chip.nodata == 3


# Nodata of a stack of products.


@pytest.mark.parametrize(
    ("products", "dtype", "expected"),
    [
        ([("uint8", 0), ("uint8", 0)], "uint8", 0),
        ([("uint8", 0), ("uint8", None)], "uint8", None),
        ([("uint16", 0), ("uint8", 255)], "uint16", None),
        ([("uint8", 255), ("int16", -9999)], "int16", -9999),
        ([("uint16", 0), ("int16", None)], "int32", -(2**31)),
        ([("uint8", None), ("uint16", None)], "uint16", None),
        ([("uint8", 0), ("float32", None)], "float32", math.nan),
        ([("float32", -1), ("float64", -1)], "float64", -1),
    ],
)
def test_nodata_of_a_stack_is_no_valid_value_of_any_product(products, dtype, expected):
    found = chip_nodata([(np.dtype(kind), nodata) for kind, nodata in products], np.dtype(dtype))
    assert found == expected or (found is not None and math.isnan(found) and math.isnan(expected))


@pytest.mark.parametrize("order", [("picture", "s2"), ("s2", "picture")])
def test_a_picture_keeps_its_black_beside_a_product_with_nodata(tmp_path, order):
    series = SceneSeries(tmp_path)
    picture, other = noise(1, "uint8", 0, 3), noise(2, "uint8", 0, 3)
    series.add("a", "2017-07-01T10:00:00Z", {"B1": picture}, "picture")
    series.add("b", "2017-07-01T10:00:00Z", {"B1": other}, "s2", nodata=0)
    chip = series.chip(products=[{"id": name, "bands": ["B1"]} for name in order])
    planes = dict(zip(order, chip.pixels, strict=True))
    assert chip.nodata is None and "MOVED_OFF_NODATA" not in chip.tags
    np.testing.assert_array_equal(planes["picture"], picture[4:20, 4:20])
    np.testing.assert_array_equal(planes["s2"], other[4:20, 4:20])
    np.testing.assert_array_equal(chip.mask, other[4:20, 4:20] != 0)
