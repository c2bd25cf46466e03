"""pinning.py: which scenes meet a tile, and how locks merge and differ."""

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import shapely

from segchips.scenes.pinning import (
    PinnedTiles,
    SceneLock,
    combine_pins,
    describe_changes,
    merge_pins,
    pin_scenes,
)
from support.scenes import QUERY, band, boxes, full_lock, names, scene

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


# Keeping and comparing.


def test_merged_pins_keep_old_tiles_and_take_new_ones():
    old_a, new_a = scene("a", cloud=0.01), scene("a", B1=[("B1", band(1, "moved.tif"))])
    b, c = scene("b"), scene("c", "2016-01-01T00:00:00Z")
    old = SceneLock.of(QUERY.text, (old_a, b), {"kept": (0, 1), "bare": (), "gone": (0,)})
    new = SceneLock.of(QUERY.text, (c, new_a, b), {"kept": (0, 1, 2), "bare": (0, 1), "fresh": (0, 1)})
    merged = merge_pins(old, new)
    assert set(merged.tiles) == {"kept", "bare", "fresh"}
    assert names(merged, "kept") == ["a", "b"] and names(merged, "bare") == [] and names(merged, "fresh") == ["c", "a"]
    # a scene is one thing in a lock: where it is pinned already it stays what it was
    chosen = {each.id: each for each in merged.scenes}
    assert chosen["a"].pin == old_a.pin and merged.query == QUERY.text


def test_merged_pins_of_equal_locks_change_nothing():
    lock = full_lock()
    assert {key: names(merge_pins(lock, lock), key) for key in lock.tiles} == {
        key: names(lock, key) for key in lock.tiles
    }


def test_changes_list_added_removed_and_changed_scenes():
    a, b, c = scene("a"), scene("b"), scene("c")
    moved = scene("b", B1=[("B1", band(1, "moved.tif"))])
    unused = scene("unused")
    old = SceneLock.of(QUERY.text, (a, b, unused), {"x": (0,), "y": (1,), "z": (0, 1), "gone": (0,)})
    new = SceneLock.of(QUERY.text, (b, c, unused), {"x": (0,), "y": (0,), "z": (0, 1), "fresh": (1,), "also": ()})
    assert describe_changes(old, new) == [
        "+ s2/c",
        "- s2/a",
        "2 of 5 tiles have other scenes than before; 2 tiles are new, 1 gone",
    ]
    assert describe_changes(
        SceneLock.of(QUERY.text, (b,), {"y": (0,)}), SceneLock.of(QUERY.text, (moved,), {"y": (0,)})
    ) == [
        "~ s2/b (assets changed)",
        "1 of 1 tiles have other scenes than before; 0 tiles are new, 0 gone",
    ]
    assert describe_changes(old, old) == ["0 of 4 tiles have other scenes than before; 0 tiles are new, 0 gone"]


def random_tiles(rng, scenes, keys):
    """Sets of scenes by tile, of which many are equal and some are empty."""
    kinds = [tuple(np.flatnonzero(rng.random(scenes) < 0.3).tolist()) for _ in range(6)]
    return {key: kinds[rng.integers(6)] for key in keys}


def test_tiles_by_scene_and_scenes_by_tile_are_the_same():
    rng = np.random.default_rng(8)
    tiles = random_tiles(rng, 9, [f"t{number}" for number in rng.permutation(200)])
    pinned = PinnedTiles.of(tiles)
    assert pinned == tiles and len(pinned.sets) == len(set(tiles.values()))
    rows = {scene: [row for row, members in enumerate(tiles.values()) if scene in members] for scene in range(9)}
    assert {scene: found.tolist() for scene, found in pinned.rows_by_scene().items()} == {
        scene: members for scene, members in rows.items() if members
    }
    again = PinnedTiles.from_scenes(pinned.tiles, [np.array(rows[scene], int) for scene in range(9)])
    assert again == tiles and sorted(again.sets) == sorted(pinned.sets)
    counts = dict(zip(again.sets, again.counts().tolist(), strict=True))
    assert counts == Counter(tiles.values())


def test_locks_are_merged_and_combined_as_tile_by_tile():
    rng = np.random.default_rng(9)
    scenes = [scene(f"s{number}", f"2017-07-{number + 1:02d}T10:00:00Z") for number in range(8)]
    old_tiles = random_tiles(rng, 6, [f"t{number}" for number in range(150)])
    new_tiles = random_tiles(rng, 6, [f"t{number}" for number in range(100, 250)])
    old, new = SceneLock.of("old", scenes[:6], old_tiles), SceneLock.of(QUERY.text, scenes[2:], new_tiles)
    by_name = {each.id: number for number, each in enumerate(scenes)}
    expected = {key: [f"s{index + 2}" for index in indices] for key, indices in new_tiles.items()}
    both = {key: names(old, key) if key in old_tiles else found for key, found in expected.items()}
    merged = merge_pins(old, new)
    assert {key: names(merged, key) for key in merged.tiles} == both
    shared = [f"t{number}" for number in range(149, 99, -1)]
    combined = combine_pins(QUERY, [old, new], shared)
    assert {key: names(combined, key) for key in combined.tiles} == {
        key: sorted({*names(old, key), *names(new, key)}, key=by_name.__getitem__) for key in shared
    }
    changed = sum(names(old, key) != names(new, key) for key in shared)
    assert describe_changes(old, new)[-1] == (
        f"{changed} of 150 tiles have other scenes than before; 100 tiles are new, 100 gone"
    )
