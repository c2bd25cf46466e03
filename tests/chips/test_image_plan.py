"""image_plan.py: when a chip has to be made again."""

import copy
import json
from dataclasses import replace

import pytest

from segchips.chips.images import make_image
from segchips.scenes.pinning import SceneLock
from support.datasets import tile_at
from support.scene_series import B04, PRODUCTS, TILE, Chip, SceneSeries, flat, noise, two_products

# When a chip has to be made again.

NEIGHBOUR = tile_at(east=2)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Three scenes over the tile, one over a neighbour alone, and masks, two of them for days without a scene."""
    series = SceneSeries(tmp_path_factory.mktemp("many"))
    scene = {"B1": noise(1), "B2": noise(2), "q": flat(0, "uint8")}
    for name, day, cloud in (("a", "2017-03-01", 5.0), ("b", "2017-06-01", 15.0), ("c", "2017-10-01", 25.0)):
        series.add(name, f"{day}T10:00:00Z", scene, cloud=cloud, nodata=0)
    clear = flat(0, "uint8")
    days = {"ma": "2017-03-01", "mb": "2017-06-01", "mc": "2017-10-01", "mx": "2017-05-01", "my": "2017-12-30"}
    for name, day in days.items():
        series.add(name, f"{day}T10:00:00Z", {"m": clear, "n": clear}, collection="masks")
    series.add("far", "2017-04-01T10:00:00Z", scene, cloud=1.0, nodata=0, grid={"step": 10, "shift": (24, 0)})
    return series


USUAL = {
    "products": [{"id": "s2", "bands": ["B1", "B2"]}],
    "cloud_mask": {"product": "masks", "band": "m", "clear": [0]},
    "max_cloud": 0.5,
    "reference_date": "2017-06-30",
}


def plan_of(series, items=list, tiles=(TILE, NEIGHBOUR), **imagery):
    changed = copy.copy(series)
    changed.items = items(series.items)
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


def test_a_scene_elsewhere_can_change_a_chips_scale_or_nodata(tmp_path):
    """One offset and one nodata value hold for all chips of a dataset."""
    digests, chips = set(), []
    for declared in ({"offset": 0, "nodata": 0}, {"offset": -0.1, "nodata": 0}, {"offset": -0.1, "nodata": 9}):
        series = SceneSeries(tmp_path)
        usual = {"B04": {"raster:bands": [{"scale": 0.0001, "offset": -0.1, "nodata": 9}]}}
        series.add("a", "2017-07-01T10:00:00Z", {"B04": flat(2500)}, declared=usual)
        for day in (2, 3):
            other, far = {"B04": {"raster:bands": [{"scale": 0.0001, **declared}]}}, {"step": 10, "shift": (24, 0)}
            series.add(f"far{day}", f"2017-07-0{day}T10:00:00Z", {"B04": flat(1)}, declared=other, grid=far)
        plan = series.plan((TILE, NEIGHBOUR), products=B04)
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
    series = two_products(tmp_path)
    dates = ("2017-06-01", "2017-06-15")
    assert len({series.plan(products=PRODUCTS, reference_date=day).digest(TILE.key) for day in dates}) == 1
    # 2017-07-05 turns the order of both products round, 2017-07-03 that of one
    turned = {series.plan(products=PRODUCTS, reference_date=f"2017-07-0{day}").digest(TILE.key) for day in (1, 3, 5)}
    assert len(turned) == 3


def test_scenes_of_other_products_change_neither_plan_nor_chip(many, tmp_path):
    plan = plan_of(many)
    stranger = replace(plan.lock.scenes[0], product="aaa", assets={})
    scenes = (stranger, *plan.lock.scenes)
    tiles = {key: (0, *(index + 1 for index in indices)) for key, indices in plan.lock.tiles.items()}
    other = replace(plan, lock=SceneLock.of(plan.lock.query, scenes, tiles))
    for tile in (TILE, NEIGHBOUR):
        assert other.digest(tile.key) == plan.digest(tile.key)
    make_image(plan, TILE, tmp_path / "a.tif")
    make_image(other, TILE, tmp_path / "b.tif")
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
