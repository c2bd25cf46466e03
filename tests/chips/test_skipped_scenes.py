"""Scenes that cannot be read: a failure, or left out and named where the config says so."""

import json

import numpy as np
import pytest

from segchips.chips.images import make_image
from segchips.chips.skipped_scenes import can_be_read, skipped_scenes
from segchips.errors import SceneError
from segchips.records.chip_tags import read_chip_tags
from support.datasets import tile_at
from support.scene_series import TILE, Chip, SceneSeries, flat, noise


def two_scenes(folder, damage):
    """A scene with a damaged file, nearest to the reference date, and one that is whole."""
    series = SceneSeries(folder)
    series.add("whole", "2017-07-09T10:00:00Z", {"B1": noise(1), "mask": flat(0, "uint8")})
    series.add("bad", "2017-07-01T10:00:00Z", {"B1": noise(2), "mask": flat(0, "uint8")})
    damage(series)
    return series


def remove(key):
    return lambda series: series.paths["s2", "bad", key].unlink()


def truncate(series):
    path = series.paths["s2", "bad", "B1"]
    path.write_bytes(path.read_bytes()[:300])


@pytest.mark.parametrize("composite", ["closest", "median", "mean"])
@pytest.mark.parametrize("damage", [remove("B1"), truncate, remove("mask")], ids=["missing", "truncated", "no mask"])
def test_a_scene_that_cannot_be_read_is_left_out_and_named(tmp_path, composite, damage):
    series = two_scenes(tmp_path, damage)
    mask = {"asset": "mask", "clear": [0]}
    with pytest.raises(SceneError, match=r"bad-(B1|mask)\.tif"):
        series.chip(composite=composite, cloud_mask=mask)
    chip = series.chip(composite=composite, cloud_mask=mask, on_failure="skip_scene")
    np.testing.assert_array_equal(chip.pixels[0], np.array(series.expected("whole", "B1"), float))
    whole, bad = chip.contributions["s2"]
    assert (whole["id"], whole["share"]) == ("whole", 1.0)
    assert bad["id"] == "bad" and bad["share"] == 0.0 and "bad-" in bad["skipped"]
    tags = read_chip_tags(None, json.dumps(chip.contributions), ["B1"])
    assert (tags.scenes, tags.skipped) == ((("s2", "whole"),), (("s2", "bad"),))


def test_a_tile_none_of_whose_scenes_can_be_read_fails(tmp_path):
    series = SceneSeries(tmp_path)
    series.add("bad", "2017-07-01T10:00:00Z", {"B1": noise(2)})
    series.paths["s2", "bad", "B1"].unlink()
    with pytest.raises(SceneError, match=r"none of the 1 scenes of 's2' can be read: .*bad-B1\.tif"):
        series.chip(on_failure="skip_scene")


@pytest.mark.parametrize(("on_failure", "left"), [("exclude", 0), ("skip_scene", 0), ("skip_scene", 1)])
def test_an_optional_layer_has_no_valid_pixels_where_its_scenes_cannot_be_read(tmp_path, on_failure, left):
    series, other = SceneSeries(tmp_path), tile_at(east=30)
    east = {"shift": (30 * 12, 0)}
    series.add("bad", "2017-07-01T10:00:00Z", {"B1": noise(1)})
    series.add("far", "2017-07-01T10:00:00Z", {"B1": noise(2, "int16")}, grid=east, nodata=-5)
    if left or on_failure == "exclude":
        series.add("whole", "2017-07-09T10:00:00Z", {"B1": noise(3, "int16")}, nodata=-5)
    series.paths["s2", "bad", "B1"].unlink()
    options = {"layers": {"one": {}, "two": {"optional": True}}, "on_failure": on_failure}
    plan = series.plan((TILE, other), layer="two", **options)
    make_image(plan, TILE, tmp_path / "chip.tif")
    chip = Chip(tmp_path / "chip.tif")
    expected = np.array(series.expected("whole", "B1")) if left else np.full((16, 16), -5)
    np.testing.assert_array_equal(chip.pixels[0], expected)
    assert (chip.valid, chip.nodata, chip.pixels.dtype) == (float(left), -5, "int16")
    assert skipped_scenes(tmp_path / "chip.tif") == [("s2", "bad")]
    assert plan.imagery.skips_scenes and not can_be_read(plan, "s2", "bad", TILE)


def test_clouds_and_a_scene_that_is_skipped_leave_a_chip_without_valid_pixels(tmp_path):
    series = two_scenes(tmp_path, remove("mask"))
    chip = series.chip(cloud_mask={"asset": "mask", "clear": [7]}, on_failure="skip_scene", reference_date="2017-07-30")
    assert chip.valid == 0.0 and [scene["id"] for scene in chip.contributions["s2"]] == ["bad"]


@pytest.mark.parametrize("damage", [remove("B1"), truncate, remove("mask")], ids=["missing", "truncated", "no mask"])
def test_a_chip_tells_which_scene_to_try_again(tmp_path, damage):
    series = two_scenes(tmp_path, lambda _: None)
    whole = {key: series.paths["s2", "bad", key].read_bytes() for key in ("B1", "mask")}
    damage(series)
    plan = series.plan(cloud_mask={"asset": "mask", "clear": [0]}, on_failure="skip_scene")
    make_image(plan, TILE, tmp_path / "chip.tif")
    assert skipped_scenes(tmp_path / "chip.tif") == [("s2", "bad")]
    assert not can_be_read(plan, "s2", "bad", TILE)
    for key, content in whole.items():
        series.paths["s2", "bad", key].write_bytes(content)
    assert can_be_read(plan, "s2", "bad", TILE)
    make_image(plan, TILE, tmp_path / "chip.tif")
    assert skipped_scenes(tmp_path / "chip.tif") == []


def test_a_step_that_lacks_a_scene_is_not_taken_over(tmp_path):
    series = two_scenes(tmp_path, lambda _: None)
    content = series.paths["s2", "bad", "B1"].read_bytes()
    series.paths["s2", "bad", "B1"].unlink()
    july, august = ["2017-07-01", "2017-07-31"], ["2017-08-01", "2017-08-31"]
    for periods in ([july], [july, august]):
        plan = series.plan(periods=periods, reference_date="2017-07-01", on_failure="skip_scene")
        make_image(plan, TILE, tmp_path / "chip.tif", made_from=plan.digest(TILE.key))
        expected = series.expected("whole" if periods == [july] else "bad", "B1")
        np.testing.assert_array_equal(Chip(tmp_path / "chip.tif").pixels[0], np.array(expected, float))
        series.paths["s2", "bad", "B1"].write_bytes(content)
