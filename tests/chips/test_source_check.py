"""What is said of a layer's rasters before any image is made."""

from dataclasses import replace

import numpy as np
import pytest
from rasterio.transform import from_origin

from segchips.chips.source_check import check_rasters
from segchips.errors import ConfigError, UnusableRasterError
from support.range_server import RangeServer
from support.rasters import write_raster
from support.scene_series import SceneSeries, flat

RGB = {"id": "s2", "bands": ["red", "green", "blue"]}


def said(folder, **options):
    series, dtype = SceneSeries(folder), options.pop("dtype", "uint8")
    names = options.pop("names", ("red", "green", "blue"))
    series.add("a", "2017-07-01T10:00:00Z", {name: flat(7, dtype) for name in names}, nodata=options.pop("nodata", 0))
    plan = series.plan(products=[RGB | {"bands": list(names)} | options])
    return list(check_rasters(plan.imagery, plan.lock.scenes))


def test_nodata_of_single_bands_of_pictures_is_told(tmp_path):
    (line,) = said(tmp_path)
    assert "product 's2': nodata 0 of its 8-bit pictures" in line and "{value: 0, when: all}" in line
    (line,) = said(tmp_path / "b", nodata=255)
    assert "nodata 255" in line


@pytest.mark.parametrize(
    "options", [{"dtype": "uint16"}, {"nodata": None}, {"names": ("red", "nir")}, {"names": ("a", "b", "c")}]
)
def test_nothing_is_said_of_other_rasters(tmp_path, options):
    assert said(tmp_path, **options) == []


def test_nothing_is_said_where_all_bands_count(tmp_path):
    series = SceneSeries(tmp_path)
    series.add("a", "2017-07-01T10:00:00Z", {name: flat(7, "uint8") for name in RGB["bands"]}, nodata=0)
    plan = series.plan(products=[RGB | {"nodata": {"value": 0, "when": "all"}}])
    assert list(check_rasters(plan.imagery, plan.lock.scenes)) == []


@pytest.mark.parametrize("on_failure", ["fail", "exclude", "skip_scene"])
def test_rasters_that_no_chip_can_be_made_from_end_the_run_unless_left_out(tmp_path, on_failure):
    series = SceneSeries(tmp_path)
    for name in "abc":
        series.add(name, "2017-07-01T10:00:00Z", {"B1": flat(7)})
    plan = series.plan(on_failure=on_failure)
    series.paths["s2", "a", "B1"].unlink()
    write_raster(series.paths["s2", "c", "B1"], np.ones((9, 9), "complex64"), from_origin(0, 9, 1, 1), "EPSG:32633")
    if on_failure == "fail":
        with pytest.raises(UnusableRasterError, match=r"c-B1\.tif: band 1 holds complex pixels"):
            list(check_rasters(plan.imagery, plan.lock.scenes))
    else:
        assert list(check_rasters(plan.imagery, plan.lock.scenes)) == []


def test_scenes_of_several_dtypes_end_the_run_before_images_are_made(tmp_path):
    series = SceneSeries(tmp_path)
    for name, dtype in (("a", "uint8"), ("b", "uint16"), ("c", "uint8")):
        series.add(name, "2017-07-01T10:00:00Z", {"B1": flat(7, dtype)})
    plan = series.plan()
    with pytest.raises(UnusableRasterError, match="'s2' hold values of several types: 'a' holds uint8, 'b' holds uint"):
        list(check_rasters(plan.imagery, plan.lock.scenes))
    plan = series.plan(on_failure="skip_scene")
    assert list(check_rasters(plan.imagery, plan.lock.scenes)) == []


def test_files_far_away_are_opened_for_one_scene_that_was_not_checked_before(tmp_path):
    series = SceneSeries(tmp_path)
    for name in "abc":
        series.add(name, "2017-07-01T10:00:00Z", {"B1": flat(7)})
    plan = series.plan()
    with RangeServer(tmp_path) as server:
        href = f"{server.url}/s2/{{}}-B1.tif".format
        scenes = [
            replace(scene, assets={"B1": [(name, replace(band, href=href(scene.id)))]})
            for scene in plan.lock.scenes
            for name, band in scene.assets["B1"]
        ]
        for known, expected in ((0, {"a"}), (1, {"b"}), (3, set())):
            server.asked.clear()
            assert list(check_rasters(plan.imagery, scenes, {scene.pin for scene in scenes[:known]})) == []
            assert {path.split("/")[-1][0] for path, _, _ in server.asked} == expected


def test_a_configured_nodata_that_does_not_fit_is_named_before_images_are_made(tmp_path):
    series = SceneSeries(tmp_path)
    series.add("a", "2017-07-01T10:00:00Z", {"B1": flat(7, "uint8")})
    plan = series.plan(products=[{"id": "s2", "bands": ["B1"], "nodata": -1}])
    with pytest.raises(ConfigError, match=r"imagery\.products: nodata -1 of 's2' does not fit its uint8"):
        list(check_rasters(plan.imagery, plan.lock.scenes))
