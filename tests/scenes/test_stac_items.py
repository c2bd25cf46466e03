"""stac_items.py: bands, nodata, scale and offset of items of either STAC version."""

import json
import math

import pytest

from segchips.scenes.model import Band
from support.catalogues import make_asset, make_collection, make_item, write_catalogue
from support.stac_scenes import DAY, HERE, find, one

# Bands, nodata, scale and offset.


def bands_of(folder, asset_content, version="1.0.0", key="B1", **properties):
    content = make_item("a", DAY, {key: asset_content}, HERE, **properties)
    return find(write_catalogue(folder, [content], version))[0].assets.get(key)


SAME_BAND_SAID_IN_FOUR_WAYS = {
    "raster:bands": ("1.0.0", {"raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1}]}),
    "with eo:bands": (
        "1.0.0",
        {"eo:bands": [{"name": "B1"}], "raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1}]},
    ),
    "bands": ("1.1.0", {"bands": [{"name": "B1", "nodata": 0, "raster:scale": 0.0001, "raster:offset": -0.1}]}),
    "asset": ("1.1.0", {"nodata": 0, "raster:scale": 0.0001, "raster:offset": -0.1}),
}


@pytest.mark.parametrize("way", SAME_BAND_SAID_IN_FOUR_WAYS)
@pytest.mark.parametrize("kind", ["static", "api"])
def test_nodata_scale_and_offset_of_either_version(tmp_path, stac_api, way, kind):
    version, extra = SAME_BAND_SAID_IN_FOUR_WAYS[way]
    href = "https://example.com/a.tif"
    content = {**make_item("a", DAY, {"B1": make_asset(href, **extra)}, HERE), "stac_version": version}
    catalog = (
        write_catalogue(tmp_path / "c", [content], version)
        if kind == "static"
        else stac_api([content], [make_collection("s2")])
    )
    band = Band(href, 1, 0.0, 0.0001, -0.1, described=way in ("with eo:bands", "bands"))
    assert find(catalog)[0].assets == {"B1": [("B1", band)]}


def test_bands_of_one_asset_are_numbered_and_named(tmp_path):
    described = [{"nodata": -1, "scale": 2}, {"nodata": "nan", "offset": 5}, {}]
    named = [{"name": "red"}, {"name": "green"}, {}]
    bands = bands_of(tmp_path, make_asset("https://e.com/a.tif", **{"eo:bands": named, "raster:bands": described}))
    assert [(name, band.index, band.scale, band.offset) for name, band in bands] == [
        ("red", 1, 2.0, 0.0),
        ("green", 2, 1.0, 5.0),
        ("B1", 3, 1.0, 0.0),
    ]
    assert bands[0][1].nodata == -1 and math.isnan(bands[1][1].nodata) and bands[2][1].nodata is None


def test_one_entry_of_raster_bands_holds_for_all_bands_in_item_and_collection(tmp_path):
    named = [{"name": "red"}, {"name": "green"}]
    content = make_item("a", DAY, {"B1": make_asset("https://e.com/a.tif", **{"eo:bands": named})}, HERE)
    catalog = write_catalogue(tmp_path, [content])
    path = tmp_path / "s2" / "collection.json"
    described = {"item_assets": {"B1": {"raster:bands": [{"nodata": 7, "scale": 2}]}}}
    path.write_text(json.dumps(json.loads(path.read_text()) | described))
    bands = find(catalog)[0].assets["B1"]
    assert [(name, band.nodata, band.scale) for name, band in bands] == [("red", 7, 2), ("green", 7, 2)]


@pytest.mark.parametrize(
    ("content", "raster"),
    [
        ({"href": "https://e.com/a.tif"}, True),
        ({"href": "https://e.com/a.TIFF?sig=x.txt"}, True),
        ({"href": "https://e.com/a.jp2"}, True),
        ({"href": "https://e.com/a", "type": "image/tiff; application=geotiff"}, True),
        ({"href": "https://e.com/a", "type": "image/jp2"}, True),
        ({"href": "https://e.com/a", "type": "image/vnd.stac.geotiff; cloud-optimized=true"}, True),
        ({"href": "https://e.com/a.xml", "type": "application/xml"}, False),
        ({"href": "https://e.com/a.png", "type": "image/png"}, False),
        ({"href": "https://e.com/a.json"}, False),
        ({"href": "/vsicurl/http://x/thumbnail.png", "type": "image/png"}, False),
    ],
)
def test_only_rasters_count(tmp_path, content, raster):
    assert (bands_of(tmp_path, content) is not None) == raster


def test_assets_of_a_collections_kind_do_not_matter(tmp_path):
    scene = one(
        tmp_path,
        assets={"B1": make_asset("https://e.com/a.tif"), "meta": {"href": "./a.xml", "type": "application/xml"}},
    )
    assert list(scene.assets) == ["B1"]


@pytest.mark.parametrize(
    ("key", "extra", "properties", "expected"),
    [
        # the offset that the item gives
        (
            "B04",
            {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]},
            {"s2:processing_baseline": "05.09"},
            (0.0001, -0.1),
        ),
        ("red", {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]}, {}, (0.0001, -0.1)),
        ("B04", {"raster:bands": [{"scale": 0.0001, "offset": 0}]}, {"s2:processing_baseline": "05.09"}, (0.0001, 0.0)),
        # a baseline without offset
        ("B04", {}, {"s2:processing_baseline": "04.00"}, (1.0, -1000.0)),
        ("B8A", {}, {"s2:processing_baseline": "05.11"}, (1.0, -1000.0)),
        ("B04", {"raster:bands": [{"scale": 0.0001}]}, {"s2:processing_baseline": "04.00"}, (0.0001, -0.1)),
        ("B04", {}, {"s2:processing_baseline": "03.01"}, (1.0, 0.0)),
        ("B04", {}, {"s2:processing_baseline": "02.14"}, (1.0, 0.0)),
        ("B04", {}, {"s2:processing_baseline": 2.14}, (1.0, 0.0)),
        ("B04", {}, {"s2:processing_baseline": 4.0}, (1.0, -1000.0)),
        ("B04", {}, {"s2:processing_baseline": "N0205"}, (1.0, 0.0)),
        ("B04", {}, {"s2:processing_baseline": "N0400"}, (1.0, -1000.0)),
        ("B04", {}, {"sentinel:processing_baseline": "04.00"}, (1.0, -1000.0)),
        ("B04", {}, {}, (1.0, 0.0)),
        # what holds no reflectance has no offset
        ("SCL", {}, {"s2:processing_baseline": "04.00"}, (1.0, 0.0)),
        ("AOT", {}, {"s2:processing_baseline": "04.00"}, (1.0, 0.0)),
        # one band whose name, not key, tells what it is
        ("red", {"eo:bands": [{"name": "B04"}]}, {"s2:processing_baseline": "04.00"}, (1.0, -1000.0)),
        # an offset that was taken off already
        (
            "red",
            {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]},
            {"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": True},
            (0.0001, 0.0),
        ),
        ("B04", {}, {"sentinel:processing_baseline": "04.00", "sentinel:boa_offset_applied": True}, (1.0, 0.0)),
        (
            "red",
            {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]},
            {"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": False},
            (0.0001, -0.1),
        ),
    ],
)
def test_sentinel_2_offsets(tmp_path, key, extra, properties, expected):
    ((_, band),) = bands_of(tmp_path, make_asset("https://e.com/a.tif", **extra), key=key, **properties)
    assert (band.scale, band.offset) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("key", ["visual", "visual-jp2", "TCI", "TCI_10m"])
def test_a_true_colour_picture_has_no_reflectance_offset(tmp_path, key):
    named = {"eo:bands": [{"name": "B04"}, {"name": "B03"}, {"name": "B02"}]}
    bands = bands_of(
        tmp_path, make_asset("https://e.com/a.tif", **named), key=key, **{"s2:processing_baseline": "04.00"}
    )
    assert [(band.scale, band.offset) for _, band in bands] == [(1.0, 0.0)] * 3


def test_a_stack_of_named_bands_has_the_offset_of_each(tmp_path):
    named = {"eo:bands": [{"name": "B04"}, {"name": "B8A"}, {"name": "SCL"}]}
    bands = bands_of(
        tmp_path, make_asset("https://e.com/a.tif", **named), key="data", **{"s2:processing_baseline": "04.00"}
    )
    assert [band.offset for _, band in bands] == [-1000.0, -1000.0, 0.0]
