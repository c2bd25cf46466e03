"""Guards against pairwise geometry, and areas that grow without moving a tile."""

from dataclasses import replace
from itertools import combinations

import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from segchips.grids.cover import cover_area
from segchips.grids.tile import Grid, Tile
from segchips.tiles.assignment import DROPPED, PLANNED
from support.areas import ACROSS, GRID
from support.assignments import SHARES, assign, tile_rectangle


def footprints(rows, flat):
    """Padded footprints in one plane, edges followed."""
    shapes = []
    for row in rows:
        tile = Tile.from_key(row.key)
        project = pyproj.Transformer.from_crs(tile.crs, flat, always_xy=True).transform
        shapes.append(shapely.transform(shapely.segmentize(shapely.box(*tile.bounds), 50), project, interleaved=False))
    return shapes


@pytest.mark.parametrize(
    ("grid", "guard", "block", "area"),
    [
        (GRID, 0, 1800, ACROSS),
        (GRID, 900, 3000, ACROSS),
        (Grid(40, 0, 10), 0, 900, ACROSS),
        (Grid(40, 9, 10), 50, 1500, shapely.box(17.98, -33.03, 18.03, -33.0)),
        (GRID, 0, 1800, shapely.box(-180, 64.99, -179.95, 65.02).union(shapely.box(179.95, 64.99, 180, 65.02))),
    ],
)
def test_no_two_kept_tiles_of_different_splits_come_too_close(grid, guard, block, area):
    tiles = cover_area(area, grid)
    assert len({tile.zone for tile in tiles}) == 2 and len(tiles) > 60
    rows = assign(tiles, guard=guard, block=block, cover=False)
    kept = [row for row in rows if row.state == PLANNED]
    assert len({row.split for row in kept}) > 1 and len(kept) < len(rows)
    flat = f"+proj=laea +lat_0={area.centroid.y} +lon_0={180 if area.bounds[0] < -179 else area.centroid.x}"
    shapes = footprints(kept, flat)
    for (one, first), (other, second) in combinations(zip(kept, shapes, strict=True), 2):
        if one.split != other.split:
            assert first.intersection(second).area < 1e-3
            assert first.distance(second) >= guard * 0.998


def test_neighbours_that_are_collected_in_parts_are_the_same(monkeypatch):
    rows = assign(tile_rectangle(30, 30), guard=2500, block=1800, cover=False)
    assert sum(row.state == DROPPED for row in rows) > 100
    monkeypatch.setattr("segchips.tiles.split_assignment._MAX_PAIRS", 100)
    assert assign(tile_rectangle(30, 30), guard=2500, block=1800, cover=False) == rows


@pytest.mark.parametrize("guard", [0, 700])
def test_a_tile_is_dropped_only_beside_a_smaller_split(guard):
    rows = {row.key: row for row in assign(tile_rectangle(40, 40), guard=guard, block=4800, cover=False)}
    rank = {"train": 0, "val": 1, "test": 2}
    # 40 m of padding, then the guard: how many tiles away another may be
    reach = 1 if guard == 0 else 2
    inner = [row for row in rows.values() if all(rows_around(rows, row.key, reach))]
    assert len(inner) > 1000 and {row.split for row in inner} == set(SHARES)
    for row in inner:
        around = [other for other in rows_around(rows, row.key, reach) if too_close(row.key, other.key, guard)]
        smaller = {other.split for other in around if rank[other.split] > rank[row.split]}
        assert (row.state == DROPPED) == bool(smaller)
        assert not smaller or row.reason.endswith(f"split {max(smaller, key=rank.get)}")


def rows_around(rows, key, reach):
    tile, steps = Tile.from_key(key), range(-reach, reach + 1)
    return [rows.get(replace(tile, path=tile.path + i, row=tile.row + j).key) for i in steps for j in steps if i or j]


def too_close(one, other, guard):
    first, second = (shapely.box(*Tile.from_key(key).bounds) for key in (one, other))
    return first.intersection(second).area > 0 or first.distance(second) < guard


def test_neither_padding_nor_guard_drops_nothing():
    rows = assign(tile_rectangle(20, 20, Grid(60, 0, 10)), block=2400, cover=False)
    assert {row.state for row in rows} == {PLANNED} and len({row.split for row in rows}) == 3


def test_allowed_overlap_drops_nothing():
    assert {row.state for row in assign(tile_rectangle(20, 20), block=2400, allow_overlap=True)} == {PLANNED}


PATCH = [(i, j) for i in range(9) for j in range(9)]


@settings(max_examples=60, deadline=None)
@given(
    order=st.permutations(PATCH),
    sizes=st.lists(st.integers(1, 81), min_size=2, max_size=4),
    classes=st.lists(st.integers(0, 4), min_size=81, max_size=81),
    seed=st.integers(0, 5),
    block=st.sampled_from([600, 1200, 1800]),
)
def test_an_area_that_grows_moves_no_tile_and_drops_none(order, sizes, classes, seed, block):
    class_of = dict(zip(PATCH, classes, strict=True))
    old = []
    for size in sorted(sizes):
        members = sorted(order[:size])
        tiles = [Tile(GRID, 33, -334 + i, 8903 + j) for i, j in members]
        rows = assign(tiles, [[class_of[member]] for member in members], old, block=block, seed=seed)
        now = {row.key: row for row in rows}
        assert all(now[row.key] == row for row in old)
        old = rows


@settings(max_examples=30, deadline=None)
@given(members=st.sets(st.integers(0, 80), min_size=1))
def test_across_zones_a_tile_is_placed_as_if_it_were_alone(members):
    tiles = cover_area(ACROSS, GRID)
    assert len(tiles) > 80
    whole = assign(tiles, block=1800, cover=False)
    assert len({row.state for row in whole}) == 2
    some = sorted(members)
    assert assign([tiles[n] for n in some], block=1800, cover=False) == [whole[n] for n in some]
