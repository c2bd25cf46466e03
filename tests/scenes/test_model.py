"""model.py: times, bands and pins of scenes."""

import pytest

from segchips.errors import InputError
from segchips.scenes.model import Band, Scene
from support.datasets import parse_utc
from support.scenes import band, scene

ASSETS = {
    "red": [("B04", band())],
    "B04": [("B04", band())],
    "visual": [("B04", band(1)), ("B03", band(2)), ("B02", band(3))],
    "stack": [("nir", band(1)), ("swir", band(2))],
    "odd:name": [("x", band(1)), ("y", band(2))],
}


@pytest.mark.parametrize(
    ("name", "index", "asset"),
    [
        ("red", 1, "red"),
        ("B04", 1, "B04"),
        ("visual:3", 3, "visual"),
        ("nir", 1, "stack"),
        ("swir", 2, "stack"),
        ("B03", 2, "visual"),
        ("stack:1", 1, "stack"),
        ("odd:name:2", 2, "odd:name"),
        ("red:1", 1, "red"),
    ],
)
def test_a_band_is_found_by_asset_number_or_name(name, index, asset):
    one = scene(**ASSETS)
    assert one.band(name) == one.find_band(name) == ASSETS[asset][index - 1][1]


@pytest.mark.parametrize("name", ["visual", "visual:0", "visual:4", "visual:-1", "visual:x", "B99", "", "stack:"])
def test_a_band_that_is_not_there_is_named_with_those_that_are(name):
    one = scene(**ASSETS)
    assert one.find_band(name) is None
    with pytest.raises(InputError) as caught:
        one.band(name)
    assert f"scene 'a' of product 's2' has no band '{name}'" in str(caught.value)
    assert "red" in str(caught.value) and "visual:1 to visual:3" in str(caught.value)


def test_a_name_that_two_assets_have_is_not_guessed():
    one = scene(first=[("x", band(1)), ("nir", band(2))], second=[("nir", band(1)), ("y", band(2))])
    with pytest.raises(InputError, match="'nir' is ambiguous; name one of the assets first, second"):
        one.find_band("nir")
    assert one.find_band("y") == band(2)


def test_a_scene_without_rasters_says_so():
    bare = Scene("s2", "a", parse_utc("2017-06-01T10:00:00+00:00"), None, {}, b"")
    with pytest.raises(InputError, match="no raster asset"):
        bare.band("B1")


@pytest.mark.parametrize(
    "other",
    [
        scene("b"),
        scene(product="s1"),
        scene(when="2017-06-01T10:00:00.000001+00:00"),
        scene(B1=[("B1", Band("other.tif", 1, 0.0, 1.0, 0.0))]),
        scene(B1=[("B1", Band("a.tif", 1, None, 1.0, 0.0))]),
        scene(B1=[("B1", Band("a.tif", 1, 0.0, 2.0, 0.0))]),
        scene(B1=[("B1", Band("a.tif", 1, 0.0, 1.0, 0.5))]),
        scene(B1=[("x", Band("a.tif", 1, 0.0, 1.0, 0.0))]),
    ],
)
def test_a_pin_changes_with_all_that_decides_what_is_read(other):
    assert other.pin != scene().pin


def test_a_pin_does_not_change_with_what_decides_nothing():
    assert scene(cloud=0.9, box=(0, 0, 1, 1)).pin == scene().pin
