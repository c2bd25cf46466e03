"""scenes.py: which scenes meet a tile, in which order they come, and the lock file that pins them."""

import itertools
import json
import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import geopandas
import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely

from segchips.errors import InputError
from segchips.scenes.lock import read_lock, write_lock
from segchips.scenes.model import Band, Scene, parse_time
from segchips.scenes.pinning import SceneLock, describe_changes, merge_pins, pin_scenes
from segchips.scenes.query import SceneQuery, closest_order, natural_order
from support.datasets import make_dataset, parse_utc

QUERY = SceneQuery("stac", "catalog.json", ("s2",), "2017-01-01", "2017-12-31", 0.1, None)


def scene(name="a", when="2017-06-01T10:00:00+00:00", box=(14, 45, 15, 46), product="s2", cloud=0.05, **assets):
    assets = assets or {"B1": [("B1", Band(f"{name}.tif", 1, 0.0, 1.0, 0.0))]}
    return Scene(product, name, parse_utc(when), cloud, assets, shapely.to_wkb(shapely.box(*box)))


def boxes(*corners):
    return np.array([shapely.box(x, y, x + 0.1, y + 0.1) for x, y in corners], dtype=object)


def names(lock, key):
    return [lock.scenes[index].id for index in lock.tiles[key]]


# Order.


def slow_rank(acquired, reference):
    """Whole days by the calendar, then seconds from the reference day's midnight."""
    day = date(acquired.year, acquired.month, acquired.day)
    days = 0
    while day + timedelta(days) != reference and day - timedelta(days) != reference:
        days += 1
    midnight = datetime(reference.year, reference.month, reference.day, tzinfo=UTC)
    return days, abs((acquired - midnight).total_seconds())


def test_closest_counts_calendar_days_then_hours_then_ids():
    reference = date(2017, 1, 5)
    times = [
        "2017-01-05T23:59:59Z",
        "2017-01-05T00:00:00Z",
        "2017-01-04T00:00:00Z",
        "2017-01-04T23:59:59Z",
        "2017-01-06T00:00:01Z",
        "2017-01-06T23:00:00Z",
        "2017-01-03T12:00:00Z",
        "2017-01-07T12:00:00Z",
        "2016-12-31T23:59:59.999Z",
        "2017-01-06T01:30:00+02:00",
    ]
    scenes = [scene(f"{name}{when}", when) for when in times for name in "ba"]
    expected = [each.id for each in sorted(scenes, key=lambda each: (*slow_rank(each.acquired, reference), each.id))]
    midnight = datetime(2017, 1, 5, tzinfo=UTC)
    rng = np.random.default_rng(0)
    for _ in range(20):
        shuffled = [scenes[index] for index in rng.permutation(len(scenes))]
        assert [each.id for each in closest_order(shuffled, midnight)] == expected
    # the day counts before the hours: a late scene of the reference day comes before an early one of the next
    assert expected[:6] == [
        "a2017-01-05T00:00:00Z",
        "b2017-01-05T00:00:00Z",
        "a2017-01-06T01:30:00+02:00",
        "b2017-01-06T01:30:00+02:00",
        "a2017-01-05T23:59:59Z",
        "b2017-01-05T23:59:59Z",
    ]


def test_natural_order_is_by_time_then_id():
    scenes = [
        scene("b", "2017-01-01T00:00:00Z"),
        scene("a", "2017-01-01T00:00:00Z"),
        scene("c", "2016-01-01T00:00:00Z"),
    ]
    for some in itertools.permutations(scenes):
        assert [each.id for each in natural_order(some)] == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2017-01-05T10:20:30Z", (2017, 1, 5, 10, 20, 30)),
        ("2017-01-05T10:20:30.123Z", (2017, 1, 5, 10, 20, 30, 123000)),
        ("2017-01-05T10:20:30.123456789Z", (2017, 1, 5, 10, 20, 30, 123456)),
        ("2017-01-05T01:20:30+02:30", (2017, 1, 4, 22, 50, 30)),
        ("2017-01-05T10:20:30", (2017, 1, 5, 10, 20, 30)),
        ("2017-01-05t10:20:30z", (2017, 1, 5, 10, 20, 30)),
    ],
)
def test_times_are_utc(text, expected):
    assert parse_time(text) == datetime(*expected, tzinfo=UTC)


# Bands.


def band(number=1, href="x.tif"):
    return Band(href, number, None, 1.0, 0.0)


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
    assert one.find_band("nir") is None and one.find_band("y") == band(2)


def test_a_scene_without_rasters_says_so():
    bare = Scene("s2", "a", parse_utc("2017-06-01T10:00:00+00:00"), None, {}, b"")
    with pytest.raises(InputError, match="no raster asset"):
        bare.band("B1")


# Pinning.


def test_each_tile_gets_the_scenes_whose_footprint_it_meets():
    rng = np.random.default_rng(4)
    keys = [f"t{number}" for number in range(60)]
    tiles = np.array([shapely.box(x, y, x + 0.3, y + 0.2) for x, y in rng.uniform(0, 5, (60, 2))], dtype=object)
    scenes = []
    for number, (x, y) in enumerate(rng.uniform(0, 5, (25, 2))):
        slanted = shapely.affinity.rotate(shapely.box(x, y, x + 1, y + 0.7), float(rng.uniform(0, 90)))
        scenes.append(replace(scene(f"s{number:02}"), footprint=shapely.to_wkb(slanted)))
    lock = pin_scenes(QUERY, [scenes[index] for index in rng.permutation(25)], keys, tiles)
    for key, tile in zip(keys, tiles, strict=True):
        expected = [each.id for each in scenes if shapely.from_wkb(each.footprint).intersects(tile)]
        assert sorted(names(lock, key)) == expected
    assert any(lock.tiles.values()) and not all(lock.tiles.values())


def test_a_footprint_that_crosses_itself_does_no_harm():
    bow = shapely.to_wkb(shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)]))
    lock = pin_scenes(QUERY, [replace(scene(), footprint=bow)], ["left", "top"], boxes((0.1, 1.0), (1.0, 1.9)))
    assert lock.tiles == {"left": (0,), "top": ()}


def test_the_lock_does_not_depend_on_the_catalogues_order():
    scenes = [scene(f"s{n}", f"2017-01-0{1 + n % 3}T00:00:00Z", (0, 0, 1 + n, 1)) for n in range(5)]
    tiles = boxes((0, 0), (3.5, 0))
    first = pin_scenes(QUERY, scenes, ["x", "y"], tiles)
    for some in itertools.permutations(scenes):
        assert pin_scenes(QUERY, some, ["x", "y"], tiles) == first


# The file.


def full_lock():
    bands = {
        "data": [("B1", Band("a/b.tif", 1, math.nan, 0.0001, -0.1)), ("B2", Band("a/b.tif", 2, -9999.0, 1.0, 0.0))],
        "scl": [("scl", Band("https://example.com/a.tif", 1, None, 1.0, 0.0))],
    }
    scenes = (
        scene("ä b/c", "2017-06-01T10:00:00.123456+00:00", cloud=None, **bands),
        scene("b", "2017-06-01T10:00:00+00:00", (0, 0, 1, 1), cloud=0.0),
        scene("b", "2017-06-01T12:00:00+02:00", product="masks"),
    )
    return SceneLock(QUERY.text, scenes, {"t1": (0, 1), "t0": (1, 2), "bare": (), "t2": (2,)})


def plain(lock):
    """A lock without what NaN hides from comparison."""
    return repr(
        (
            lock.query,
            [(each.product, each.id, each.acquired, each.cloud, each.assets, each.footprint) for each in lock.scenes],
            sorted(lock.tiles.items()),
        )
    )


def test_the_lock_comes_back_as_it_went(tmp_path):
    write_lock(tmp_path / "scenes.parquet", full_lock())
    back = read_lock(tmp_path / "scenes.parquet")
    assert plain(back) == plain(full_lock())
    assert [each.pin for each in back.scenes] == [each.pin for each in full_lock().scenes]
    assert all(each.acquired.tzinfo is UTC for each in back.scenes)


def test_the_same_lock_gives_the_same_bytes_and_no_other_file(tmp_path):
    write_lock(tmp_path / "a.parquet", full_lock())
    shuffled = SceneLock(QUERY.text, full_lock().scenes, dict(reversed(full_lock().tiles.items())))
    write_lock(tmp_path / "b.parquet", shuffled)
    write_lock(tmp_path / "c.parquet", read_lock(tmp_path / "a.parquet"))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "c.parquet").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "b.parquet", "c.parquet"]


def test_scenes_without_a_tile_are_not_kept(tmp_path):
    lock = SceneLock(QUERY.text, full_lock().scenes, {"t": (2,)})
    write_lock(tmp_path / "a.parquet", lock)
    back = read_lock(tmp_path / "a.parquet")
    assert [each.product for each in back.scenes] == ["masks"] and back.tiles == {"t": (0,)}


def test_geopandas_opens_the_lock(tmp_path):
    write_lock(tmp_path / "scenes.parquet", full_lock())
    table = geopandas.read_parquet(tmp_path / "scenes.parquet")
    assert table["scene"].tolist() == ["ä b/c", "b", "b"] and table.crs == "OGC:CRS84"
    assert table.geometry.iloc[1].equals(shapely.box(0, 0, 1, 1))
    assert table["acquired"].iloc[0].isoformat() == "2017-06-01T10:00:00.123456+00:00"
    assert math.isnan(table["cloud"].iloc[0]) and table["tiles"].iloc[1].tolist() == ["t0", "t1"]


def damaged(tmp_path, change):
    path = tmp_path / "scenes.parquet"
    write_lock(path, full_lock())
    table = pq.read_table(path)
    pq.write_table(change(table), path)
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.drop_columns(["assets"]),
        lambda table: table.replace_schema_metadata(None),
        lambda table: table.replace_schema_metadata({"segchips": "{}"}),
        lambda table: table.replace_schema_metadata({"segchips": "no json"}),
        lambda table: table.set_column(4, "assets", [["{", "{", "{"]]),
        lambda table: table.set_column(4, "assets", [["[]", "[]", "[]"]]),
        lambda table: table.set_column(4, "assets", [['{"a": {"href": 1}}'] * 3]),
        lambda table: table.set_column(4, "assets", [[None] * 3]),
        lambda table: table.set_column(2, "acquired", [["yesterday"] * 3]),
        lambda table: table.set_column(2, "acquired", [[None] * 3]),
        lambda table: table.set_column(5, "tiles", [[None] * 3]),
    ],
)
def test_a_lock_that_is_none_is_named(tmp_path, change):
    with pytest.raises(InputError, match=r"scenes\.parquet: not a scene lock .*delete it and run again"):
        read_lock(damaged(tmp_path, change))


@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_a_truncated_lock_is_named(tmp_path, share):
    path = damaged(tmp_path, lambda table: table)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputError, match=r"scenes\.parquet: not a scene lock"):
        read_lock(path)


# Keeping and comparing.


def test_keep_leaves_pinned_tiles_as_they_were_and_takes_new_ones_as_found():
    old_a, new_a = scene("a", cloud=0.01), scene("a", B1=[("B1", band(1, "moved.tif"))])
    b, c = scene("b"), scene("c", "2016-01-01T00:00:00Z")
    old = SceneLock(QUERY.text, (old_a, b), {"kept": (0, 1), "bare": (), "gone": (0,)})
    new = SceneLock(QUERY.text, (c, new_a, b), {"kept": (0, 1, 2), "bare": (0, 1), "fresh": (0, 1)})
    merged = merge_pins(old, new)
    assert set(merged.tiles) == {"kept", "bare", "fresh"}
    assert names(merged, "kept") == ["a", "b"] and names(merged, "bare") == [] and names(merged, "fresh") == ["c", "a"]
    # a scene is one thing in a lock: where it is pinned already it stays what it was
    chosen = {each.id: each for each in merged.scenes}
    assert chosen["a"].pin == old_a.pin and merged.query == QUERY.text


def test_keep_with_nothing_new_changes_nothing():
    lock = full_lock()
    assert {key: names(merge_pins(lock, lock), key) for key in lock.tiles} == {
        key: names(lock, key) for key in lock.tiles
    }


def test_difference_tells_scenes_that_came_went_and_changed():
    a, b, c = scene("a"), scene("b"), scene("c")
    moved = scene("b", B1=[("B1", band(1, "moved.tif"))])
    unused = scene("unused")
    old = SceneLock(QUERY.text, (a, b, unused), {"x": (0,), "y": (1,), "z": (0, 1), "gone": (0,)})
    new = SceneLock(QUERY.text, (b, c, unused), {"x": (0,), "y": (0,), "z": (0, 1), "fresh": (1,), "also": ()})
    assert describe_changes(old, new) == [
        "+ s2/c",
        "- s2/a",
        "2 of 5 tiles have other scenes than before; 2 tiles are new, 1 gone",
    ]
    assert describe_changes(SceneLock(QUERY.text, (b,), {"y": (0,)}), SceneLock(QUERY.text, (moved,), {"y": (0,)})) == [
        "~ s2/b (assets changed)",
        "1 of 1 tiles have other scenes than before; 0 tiles are new, 0 gone",
    ]
    assert describe_changes(old, old) == ["0 of 4 tiles have other scenes than before; 0 tiles are new, 0 gone"]


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


@pytest.mark.parametrize(
    ("change", "changes_text"),
    [
        ({"max_cloud": 0.2}, True),
        ({"start": "2017-01-02"}, True),
        ({"end": "2018-12-31"}, True),
        ({"catalog": "other.json"}, True),
        ({"products": [{"id": "s1", "bands": ["B1"]}]}, True),
        ({"cloud_mask": {"product": "masks", "band": "m", "clear": [0]}}, True),
        ({"cloud_mask": {"asset": "m", "clear": [0]}}, False),
        ({"composite": "median"}, False),
        ({"reference_date": "2017-01-01"}, False),
        ({"min_valid": 0.5}, False),
        ({"products": [{"id": "s2", "bands": ["B2"], "resampling": "cubic", "nodata": 7}]}, False),
    ],
)
def test_the_query_changes_with_the_search(change, changes_text):
    usual, other = (SceneQuery.of(make_dataset(imagery=imagery).imagery) for imagery in ({}, change))
    assert (usual.text != other.text) == changes_text
    assert json.loads(usual.text)["products"] == ["s2"]
