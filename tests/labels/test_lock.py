"""The label lock: which tiles' digests an edit of the features changes."""

import numpy as np
import pytest
import shapely

from segchips.labels.lock import lock_labels, read_label_locks, write_label_locks
from support.datasets import tile_at
from support.label_features import TILE, UTM, read_features, reproject, squares, star_polygons, tile_block
from support.vectors import write_vectors


def edited_tiles(tmp_path, change, crs=UTM, **config):
    """The tiles whose digest an edit changes, and those whose padded box the edited polygon meets before or after."""
    tiles = tile_block(33, TILE.path, TILE.row, 6)
    rng = np.random.default_rng(8)
    polygons = [polygon for tile in tiles[::3] for polygon in star_polygons(rng, tile, 3)]
    values = rng.integers(1, 200, len(polygons)).tolist()
    before = write_vectors(
        tmp_path / "before.gpkg", [reproject(p, UTM, crs) for p in polygons], crs, layer="l", number=values
    )
    after_polygons, after_values, touched = change(list(polygons), list(values))
    after = write_vectors(
        tmp_path / "after.gpkg", [reproject(p, UTM, crs) for p in after_polygons], crs, layer="l", number=after_values
    )
    config = {"attribute": "number", **config}
    old, new = (lock_labels(read_features(path, **config), tiles, "code").digests for path in (before, after))
    changed = {tile.key for tile in tiles if old[tile.key] != new[tile.key]}
    expected = {tile.key for tile in tiles if any(shapely.box(*tile.bounds).intersects(p) for p in touched)}
    return changed, expected, len(tiles)


def shift(polygons, values):
    old, new = polygons[10], shapely.affinity.translate(polygons[10], 350, -200)
    polygons[10] = new
    return polygons, values, [old, new]


def revalue(polygons, values):
    values[12] = 201
    return polygons, values, [polygons[12]]


def remove(polygons, values):
    gone = polygons.pop(5)
    values.pop(5)
    return polygons, values, [gone]


def add_first(polygons, values):
    fresh = shapely.affinity.translate(polygons[7], 50, 50)
    return [fresh, *polygons], [202, *values], [fresh]


def nudge(polygons, values):
    old, new = polygons[3], shapely.affinity.translate(polygons[3], 1e-3, 0)
    polygons[3] = new
    return polygons, values, [old, new]


@pytest.mark.parametrize("change", [shift, revalue, remove, add_first, nudge])
@pytest.mark.parametrize("crs", [UTM, "EPSG:4326"])
def test_an_edit_changes_exactly_the_tiles_it_touches(tmp_path, change, crs):
    changed, expected, count = edited_tiles(tmp_path, change, crs)
    assert changed == expected and 0 < len(changed) < count


def test_features_that_swap_order_change_the_tiles_where_both_lie(tmp_path):
    def swap(polygons, values):
        polygons[0], polygons[1], values[0], values[1] = polygons[1], polygons[0], values[1], values[0]
        return polygons, values, []

    changed, _, count = edited_tiles(tmp_path, swap)
    tiles = tile_block(33, TILE.path, TILE.row, 6)
    rng = np.random.default_rng(8)
    first, second = [polygon for tile in tiles[::3] for polygon in star_polygons(rng, tile, 3)][:2]
    boxes = {tile.key: shapely.box(*tile.bounds) for tile in tiles}
    both = {key for key, box in boxes.items() if box.intersects(first) and box.intersects(second)}
    assert changed == both and 0 < len(changed) < count


def test_an_edit_that_burns_the_same_changes_nothing(tmp_path):
    polygons = squares(4)
    one = write_vectors(tmp_path / "one.gpkg", polygons, UTM, kind=["a", "b", "a", "b"], note=["x"] * 4)
    two = write_vectors(tmp_path / "two.gpkg", polygons, UTM, kind=["b", "b", "b", "a"], note=["y"] * 4)
    three = write_vectors(tmp_path / "three.gpkg", polygons, UTM, layer="other", number=[1, 1, 1, 1])
    digests = [
        lock_labels(read_features(path, **config), [TILE], "code").digests[TILE.key]
        for path, config in (
            (one, {"attribute": "kind", "classes": {"a": 1, "b": 1}}),
            (two, {"attribute": "kind", "classes": {"a": 1, "b": 1}}),
            (two, {}),
            (three, {"attribute": "number"}),
        )
    ]
    assert len(set(digests)) == 1


def test_how_features_are_burned_changes_every_tile(tmp_path):
    path = write_vectors(tmp_path / "a.gpkg", squares(2), UTM)
    usual, other = (
        read_features(path),
        [read_features(path, 0), read_features(path, all_touched=False), read_features(path, value=2)],
    )
    far = tile_at(32, east=790)
    old = lock_labels(usual, [TILE, far], "code").digests
    for number, features in enumerate(other):
        new = lock_labels(features, [TILE, far], "code").digests
        assert new[TILE.key] != old[TILE.key]
        # no feature lies there, so its value does not matter
        assert (new[far.key] != old[far.key]) == (number < 2)


def test_a_label_lock_is_read_as_it_was_written(tmp_path):
    tiles = tile_block(33, TILE.path, TILE.row, 3)
    path = write_vectors(tmp_path / "a.gpkg", star_polygons(np.random.default_rng(1), TILE, 9), UTM)
    lock = lock_labels(read_features(path), tiles, "code")
    write_label_locks(tmp_path / "labels.parquet", {"": lock})
    write_label_locks(tmp_path / "again.parquet", {"": lock})
    back = read_label_locks(tmp_path / "labels.parquet")[""]
    assert dict(back.digests) == dict(lock.digests) and list(back.digests) == [tile.key for tile in tiles]
    assert {key: list(numbers) for key, numbers in back.feature_indices.items()} == dict(lock.feature_indices)
    assert (tmp_path / "labels.parquet").read_bytes() == (tmp_path / "again.parquet").read_bytes()


@pytest.mark.parametrize(
    ("crs", "square", "expected"),
    [
        ("EPSG:2056", (2_900_000, 1_000_000, 3_300_000, 1_400_000), "5c851e2cf3c0e8d0"),
        ("EPSG:25832", (870_000, 5_080_000, 900_000, 5_120_000), "b94d63f92a983c41"),
    ],
)
def test_digests_are_the_same_with_every_release_of_proj(tmp_path, crs, square, expected):
    path = write_vectors(tmp_path / "a.gpkg", [shapely.box(*square)], crs)
    assert lock_labels(read_features(path), [TILE], "code").digests == {TILE.key: expected}


@pytest.mark.parametrize("case", ["plain", "unknown", "coverage", "continuous"])
def test_tiles_with_the_same_features_have_the_pixels_of_their_own_place(tmp_path, case):
    tiles = tile_block(33, TILE.path, TILE.row, 4)
    west, south, east, north = TILE.bounds
    left, right = shapely.box(west, south, east, north).buffer(900), shapely.box(east, south, east + 300, north)
    path = write_vectors(tmp_path / "a.gpkg", [left, right], UTM, number=[3, 7])
    known = write_vectors(tmp_path / "known.gpkg", [shapely.Point(east, north).buffer(300)], UTM)
    config = {
        "plain": {},
        "unknown": {"unknown": 7, "classes": {3: 3, 7: 7}},
        "coverage": {"unknown": 9, "coverage": {"path": known}},
        "continuous": {"kind": "continuous", "background": None},
    }[case]
    features = read_features(path, attribute="number", **{"background": 0, **config})
    lock = lock_labels(features, tiles, "code")
    for tile in tiles:
        some = [number for number, shape in enumerate([left, right]) if shape.intersects(shapely.box(*tile.bounds))]
        pixels = features.burn(tile, some)
        unknown = np.isnan(pixels) if case == "continuous" else pixels == config.get("unknown", -1)
        assert lock.feature_indices[tile.key] == some
        assert lock.covered_pixels[tile.key] == (~unknown).sum()
        values = [[3, 7][number] for number in some if [3, 7][number] != config.get("unknown")]
        assert lock.values[tile.key] == ([] if case == "continuous" else values)
    shared = [tuple(numbers) for numbers in lock.feature_indices.values()]
    assert len(set(shared)) < len(shared)
    assert (len(set(lock.digests.values())) > len(set(shared))) == (case == "coverage")
