"""Scale and offset of scenes and chips."""

from fractions import Fraction

import numpy as np
import pytest

from segchips.errors import SceneError
from support.scene_series import B04, SceneSeries, flat, noise

# Scale and offset.


def harmonised(folder, offsets, scale=0.0001, base=1500, **options):
    """Scenes of the same reflectance whose pixels are shifted by different offsets."""
    series = SceneSeries(folder)
    for day, offset in enumerate(offsets, 1):
        declared = {"B04": {"raster:bands": [{"nodata": 0, "scale": scale, "offset": offset}]}}
        pixel = round((base * scale - offset) / scale)
        series.add(f"a{day}", f"2017-07-0{day}T10:00:00Z", {"B04": flat(pixel)}, declared=declared, nodata=0, **options)
    return series


@pytest.mark.parametrize("kind", ["closest", "median", "mean"])
@pytest.mark.parametrize("offsets", [(-0.1, 0.0, 0.0), (0.0, -0.1), (-0.1, -0.1, 0.0, -0.05)])
def test_shifted_scenes_are_brought_to_one_offset(tmp_path, kind, offsets):
    chip = harmonised(tmp_path, offsets).chip(products=B04, composite=kind)
    assert (chip.pixels == 1500).all() and chip.scales == (0.0001,) and chip.offsets == (0.0,)


def test_scenes_of_one_offset_are_left_as_they_are(tmp_path):
    series = harmonised(tmp_path, (-0.1, -0.1))
    chip = series.chip(products=B04)
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
    series = SceneSeries(tmp_path)
    series.add("old", f"{when[0]}T10:00:00Z", {"B04": flat(1500), "SCL": flat(4, "uint8")}, nodata=0, **old)
    series.add("new", f"{when[1]}T10:00:00Z", {"B04": flat(2500), "SCL": flat(4, "uint8")}, nodata=0, **new)
    for kind in ("closest", "median", "mean"):
        chip = series.chip(
            products=[{"id": "s2", "bands": ["B04", "SCL"]}], composite=kind, cloud_mask={"asset": "SCL", "clear": [4]}
        )
        assert (chip.pixels[0] == 1500).all() and (chip.pixels[1] == 4).all() and chip.offsets == (0.0, 0.0)


def test_an_offset_that_was_applied_already_is_not_applied_again(tmp_path):
    series = SceneSeries(tmp_path)
    declared = {"red": {"raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1}]}}
    done = {"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": True}
    plain = {"red": {"raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": 0}]}}
    series.add("new", "2017-07-01T10:00:00Z", {"red": noise(1)}, declared=declared, nodata=0, **done)
    series.add(
        "old",
        "2017-07-02T10:00:00Z",
        {"red": noise(2)},
        declared=plain,
        nodata=0,
        **{"s2:processing_baseline": "02.06"},
    )
    chip = series.chip(products=[{"id": "s2", "bands": ["red"]}])
    np.testing.assert_array_equal(chip.pixels[0], noise(1)[4:20, 4:20])


def test_bands_of_version_1_1_carry_scale_and_offset(tmp_path):
    series = SceneSeries(tmp_path)
    for day, offset in ((1, -0.1), (2, 0.0)):
        declared = {"B04": {"bands": [{"name": "B04", "nodata": 0, "raster:scale": 0.0001, "raster:offset": offset}]}}
        series.add(
            f"a{day}",
            f"2017-07-0{day}T10:00:00Z",
            {"B04": flat(1500 - round(offset * 10000))},
            declared=declared,
            nodata=0,
        )
    for content in series.items:
        content["stac_version"] = "1.1.0"
    assert (series.chip(products=B04).pixels == 1500).all()


def test_what_falls_below_zero_is_the_smallest_valid_value(tmp_path):
    series = SceneSeries(tmp_path)
    for day, offset in ((1, -0.1), (2, 0.0)):
        declared = {"B04": {"raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": offset}]}}
        series.add(
            f"a{day}",
            f"2017-07-0{day}T10:00:00Z",
            {"B04": noise(day, "uint16", 1, 3000, holes=0)},
            declared=declared,
            nodata=0,
        )
    chip = series.chip(products=B04)
    one, two = series.expected("a1", "B04"), series.expected("a2", "B04")
    for row, column in np.ndindex(16, 16):
        first, second = int(one[row][column]), int(two[row][column])
        right = max(1, first - 1000) if first else second
        assert chip.pixels[0, row, column] == right
    assert (chip.pixels == 1).sum() > 10


def test_other_scales_of_integers_and_floats(tmp_path):
    for dtype in ("int16", "float32"):
        series = SceneSeries(tmp_path / dtype)
        for day, scale, offset in ((1, 0.5, 10.0), (2, 1.0, 0.0)):
            declared = {"B04": {"raster:bands": [{"scale": scale, "offset": offset}]}}
            series.add(
                f"a{day}",
                f"2017-07-0{day}T10:00:00Z",
                {"B04": noise(day, dtype, -50, 50)},
                declared=declared,
                nodata=-9999,
            )
        chip = series.chip(products=B04)
        one = series.expected("a1", "B04")
        for row, column in np.ndindex(16, 16):
            exact = Fraction(int(one[row][column])) / 2 + 10
            assert chip.pixels[0, row, column] == (round(exact) if dtype == "int16" else float(exact))
        assert chip.offsets == (0.0,) and chip.scales == (1.0,)


@pytest.mark.parametrize(("dtype", "value"), [("uint8", 200), ("int16", 20_000), ("uint16", 40_000)])
@pytest.mark.parametrize("kind", ["closest", "mean"])
def test_values_that_do_not_fit_with_the_scale_of_other_scenes_are_refused(tmp_path, dtype, value, kind):
    series = SceneSeries(tmp_path)
    for day, scale, pixel in ((1, 2.0, value), (2, 1.0, 7)):
        declared = {"B04": {"raster:bands": [{"scale": scale, "offset": 0, "nodata": 0}]}}
        data = flat(pixel, dtype)
        data[:12] = 0
        series.add(f"a{day}", f"2017-07-0{day}T10:00:00Z", {"B04": data}, declared=declared, nodata=0)
    with pytest.raises(SceneError, match=f"'a1'.*its value {2 * value:g} does not fit {dtype}"):
        series.chip(products=B04, composite=kind, reference_date="2017-07-01")
    chip = series.chip(products=B04, composite=kind, reference_date="2017-07-01", on_failure="skip_scene")
    assert set(np.unique(chip.pixels)) == {0, 7} and chip.contributions["s2"][-1]["id"] == "a1"
