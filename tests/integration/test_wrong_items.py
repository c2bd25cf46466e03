"""Items that cannot be placed, or that hold anything at all: a scene or one message."""

import json
import os
import random

import numpy as np
import pytest
import rasterio
import shapely

from segchips.errors import InputError, SegchipsError
from support.catalogues import make_asset, make_item, make_link, write_catalogue, write_json
from support.projects import Project
from support.rasters import transform_over, write_raster
from support.wrong_catalogues import DAY, NODATA, SEED, TILE, make, outline, pixels, scene_file, slow

# Items that cannot be placed.


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ({"geometry": None}, "it has no geometry"),
        ({"properties": {"datetime": None}}, "it has no time"),
        ({"geometry": None, "properties": {"datetime": None}}, "it has no geometry and time"),
    ],
)
def test_an_item_without_geometry_or_time_is_skipped_by_name(tmp_path, spoil, reason):
    good, bad = (scene_file(tmp_path / f"{name}.tif", pixels(seed)) for seed, name in enumerate("ab"))
    items = [make_item(path.stem, DAY, {"B1": make_asset(path)}, outline(path)) for path in (good, bad)]
    chip, ids, skipped = make(tmp_path, [items[0], items[1] | spoil])
    np.testing.assert_array_equal(chip, slow([good]))
    assert ids == ["a"]
    assert skipped == [f"scene 'b' of product 's2' is left out: {reason}"]


def test_an_item_without_geometry_outside_the_dates_is_not_reported(tmp_path):
    path = scene_file(tmp_path / "a.tif")
    items = [
        make_item("a", DAY, {"B1": make_asset(path)}, outline(path)),
        make_item("old", "2011-01-01T00:00:00Z", {"B1": make_asset(path)}, None),
    ]
    assert make(tmp_path, items)[2] == []


def test_a_wrong_footprint_gives_no_pixel_of_elsewhere(tmp_path):
    here, far = scene_file(tmp_path / "here.tif", pixels(1)), tmp_path / "far.tif"
    shift = rasterio.Affine.translation(50_000, 0)
    write_raster(far, pixels(2), shift @ transform_over(TILE, (24, 24), 10), TILE.crs, nodata=NODATA)
    items = [
        make_item("liar", "2017-06-30T10:00:00Z", {"B1": make_asset(far)}, outline(here)),
        make_item("here", DAY, {"B1": make_asset(here)}, outline(here)),
    ]
    chip, ids, _ = make(tmp_path, items)
    np.testing.assert_array_equal(chip, slow([here]))
    assert ids == ["here"]


ODD = {
    "empty": {"type": "Polygon", "coordinates": []},
    "a point": {"type": "Point", "coordinates": [14.0, 46.0]},
    "text": {"type": "Polygon", "coordinates": [[["a", "b"], ["c", "d"], ["e", "f"], ["a", "b"]]]},
    "not finite": {"type": "Polygon", "coordinates": [[[0, 0], [float("nan"), 1], [1, float("inf")], [0, 0]]]},
    "metres": {"type": "Polygon", "coordinates": [[[5e5, 5e6], [6e5, 5e6], [6e5, 6e6], [5e5, 5e6]]]},
    "a bow tie": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]},
    "a collection": {"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [1, 1]}]},
    "a number": 7,
    "deep": {"type": "Polygon", "coordinates": eval("[" * 60 + "]" * 60)},
}


@pytest.mark.parametrize("name", ODD)
def test_a_footprint_of_any_kind_is_a_footprint_or_one_message(tmp_path, name):
    good = scene_file(tmp_path / "a.tif")
    items = [
        make_item("a", DAY, {"B1": make_asset(good)}, outline(good)),
        {**make_item("odd", DAY, {"B1": make_asset(good)}, None), "geometry": ODD[name]},
    ]
    try:
        chip, ids, _ = make(tmp_path, items)
    except InputError as error:
        assert "scene 'odd'" in str(error) and "\n" not in str(error)
    else:
        np.testing.assert_array_equal(chip, slow([good]))
        assert ids == ["a"]


def test_of_items_with_one_id_one_counts_and_the_other_is_named(tmp_path):
    first, second = (scene_file(tmp_path / f"{name}.tif", pixels(seed)) for seed, name in enumerate("ab"))
    items = [make_item("same", DAY, {"B1": make_asset(path)}, outline(path)) for path in (first, second)]
    results = [make(tmp_path / str(n), order) for n, order in enumerate((items, items[::-1]))]
    for chip, ids, skipped in results:
        assert any(np.array_equal(chip, slow([path])) for path in (first, second))
        assert ids == ["same"] and len(skipped) == 1 and "scene 'same' of product 's2'" in skipped[0]
    np.testing.assert_array_equal(results[0][0], results[1][0])


def test_an_equal_item_in_two_catalogues_is_one_scene(tmp_path):
    path = scene_file(tmp_path / "a.tif")
    content = make_item("a", DAY, {"B1": make_asset(path, **{"raster:bands": [{"nodata": "nan"}]})}, outline(path))
    assert make(tmp_path, [content, content])[2] == []


NUMBERS = {
    "scale": [float("nan"), float("inf"), "much", [1], {}],
    "offset": [float("nan"), -float("inf"), "none", [1]],
    "nodata": ["none", [0], {}],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in NUMBERS.items() for value in values])
def test_an_invalid_number_names_the_scene(tmp_path, key, value):
    path = scene_file(tmp_path / "a.tif")
    content = make_item("liar", DAY, {"B1": make_asset(path, **{"raster:bands": [{key: value}]})}, outline(path))
    with pytest.raises(InputError, match="scene 'liar'") as caught:
        make(tmp_path, [content])
    assert "\n" not in str(caught.value)


TIMES = ["yesterday", "2017-13-40T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", 5, [], {"a": 1}]


@pytest.mark.parametrize("when", TIMES, ids=map(str, range(len(TIMES))))
def test_an_invalid_time_names_the_scene(tmp_path, when):
    path = scene_file(tmp_path / "a.tif")
    items = [make_item("a", DAY, {"B1": make_asset(path)}, outline(path)), make_item("liar", when, {}, outline(path))]
    try:
        assert make(tmp_path, items)[1] == ["a"]
    except InputError as error:
        assert "\n" not in str(error) and "s2" in str(error)


# Fuzzing: anything may stand in an item.

JUNK = [None, "", "x", "\x00", -1, 0, 1e308, float("nan"), True, [], {}, [[]], {"href": "/etc/passwd"}, "é\n", 10**30]


def mutated(draws, content):
    """The content with up to three of its values replaced by junk, removed or doubled."""
    content = json.loads(json.dumps(content))
    for _ in range(draws.randint(1, 3)):
        place, keys = content, []
        while isinstance(place, dict | list) and place and (not keys or draws.random() < 0.75):
            keys.append(draws.choice(list(place) if isinstance(place, dict) else range(len(place))))
            last, place = place, place[keys[-1]]
        if not keys:
            continue
        if draws.random() < 0.2:
            del last[keys[-1]]
        else:
            last[keys[-1]] = draws.choice(JUNK)
    return content


def test_any_item_becomes_a_scene_or_one_message(tmp_path):
    """400 seeded mutations; only errors for users come out, and a chip shows what lies under its tile."""
    draws, path = random.Random(SEED), scene_file(tmp_path / "a.tif")
    facts = {"raster:bands": [{"nodata": NODATA, "scale": 1.0, "offset": 0.0}], "eo:bands": [{"name": "one"}]}
    content = make_item(
        "a", DAY, {"B1": make_asset(path, **facts)}, shapely.geometry.mapping(shapely.box(13, 45, 15, 47)), cloud=3
    )
    right, made = slow([path]), 0
    for number in range(400):
        folder = tmp_path / str(number)
        write_catalogue(folder, [content])
        (folder / "s2" / "0.json").write_text(json.dumps(mutated(draws, content)))
        try:
            chip, ids, _ = make(folder, [], catalog=folder / "catalog.json")
        except SegchipsError as error:
            assert "\n" not in str(error)
        else:
            made += bool(ids)
            assert chip is None or chip.shape == right.shape
    assert made > 20


# The whole workflow.


@pytest.mark.slow
def test_a_run_skips_items_that_it_cannot_place_and_reports_them(sample_run: Project, fresh: Project) -> None:
    folder = fresh.folder / "resources" / "sample"
    good = json.loads(sorted(folder.glob("sample-l2a/*/*.json"))[0].read_text())
    lies = {
        "nowhere": good | {"geometry": None},
        "never": good | {"properties": {**good["properties"], "datetime": None}},
    }
    root = json.loads((folder / "catalog.json").read_text())
    for name, content in lies.items():
        content.pop("bbox", None) if name == "nowhere" else None
        write_json(folder / f"{name}.json", content | {"id": name})
        root["links"].append(make_link("item", f"./{name}.json"))
    write_json(fresh.folder / "lies.json", root | {"links": [absolute(each, folder) for each in root["links"]]})
    fresh.change("defaults.imagery.catalog", "lies.json")
    result = fresh.run()
    assert result.returncode == 0, result.stdout
    log = (fresh.folder / "logs/sample/scenes.log").read_text()
    for name, reason in (("nowhere", "it has no geometry"), ("never", "it has no time")):
        line = f"scene '{name}' of product 'sample-l2a' is left out: {reason}"
        assert line in log and line in " ".join(result.stdout.split())
    assert fresh.file_bytes("results/sample/images/*") == sample_run.file_bytes("results/sample/images/*")


def absolute(entry, folder):
    return {**entry, "href": os.path.normpath(folder / entry["href"])}
