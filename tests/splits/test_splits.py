"""placing.py: square blocks that keep their shares, guards against pairwise geometry, and growth that moves no tile."""

from collections import Counter
from dataclasses import replace
from itertools import combinations

import geopandas
import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from segchips.errors import InputError
from segchips.grids.cover import cover_area
from segchips.grids.indices import encode_indices, tile_indices
from segchips.grids.neighbours import neighbour_pairs
from segchips.grids.tile import Grid, Tile
from segchips.splits.assignment import assign_tiles
from segchips.splits.blocks import DEGREE, Blocks, split_numbers
from segchips.splits.splits import read_splits, write_splits
from segchips.tiles.assignment import DROPPED, PLANNED, shard_of, split_of
from support.datasets import make_dataset
from support.vectors import write_vectors

GRID = Grid(64, 2, 10)
SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
ACROSS = shapely.box(11.97, 47.0, 12.03, 47.05)
"""Ground on both sides of the border of zones 32 and 33."""


def config(**keys):
    return make_dataset(splitting={"by": "block", **keys}).splitting


def square(columns, rows, grid=GRID, zone=33, path=-334, row=8903):
    return [Tile(grid, zone, path + i, row + j) for j in range(rows) for i in range(columns)]


def placed(tiles, classes=None, old=(), **keys):
    return assign_tiles(tiles, config(**keys), 4, classes or [[]] * len(tiles), {}, old)[0]


def footprints(rows, flat):
    """Padded footprints in one plane, edges followed."""
    shapes = []
    for row in rows:
        tile = Tile.from_key(row.key)
        project = pyproj.Transformer.from_crs(tile.crs, flat, always_xy=True).transform
        shapes.append(shapely.transform(shapely.segmentize(shapely.box(*tile.bounds), 50), project, interleaved=False))
    return shapes


# Blocks.


@pytest.mark.parametrize("side", [500.0, 4800.0, 60_000.0])
def test_a_block_is_a_square_of_its_side(side):
    rng = np.random.default_rng(0)
    blocks = Blocks(side, 0)
    for lon, lat in zip(rng.uniform(-180, 180, 40), rng.uniform(-70, 70, 40), strict=True):
        flat = pyproj.Transformer.from_crs(f"+proj=laea +lon_0={lon} +lat_0={lat}", 4326, always_xy=True).transform
        x, y = np.meshgrid(*[np.linspace(-3 * side, 3 * side, 301)] * 2)
        found = blocks.at(*flat(x.ravel(), y.ravel()))
        here = (found == blocks.at(np.array([lon]), np.array([lat]))).all(axis=1)
        inside = x.ravel()[here], y.ravel()[here]
        assert here.sum() * (side / 50) ** 2 == pytest.approx(side**2, rel=0.12)
        # square, but that meridians lean a little towards each other
        assert [np.ptp(axis) for axis in inside] == pytest.approx([side, side], rel=0.16)


def test_blocks_are_the_same_whatever_the_tiles_and_their_zone():
    split = {}
    for grid in (Grid(64, 2, 10), Grid(40, 0, 5)):
        for tile in cover_area(ACROSS, grid):
            west, south, east, north = tile.core_bounds
            project = pyproj.Transformer.from_crs(tile.crs, 4326, always_xy=True).transform
            (row,) = placed([tile], block=1500, allow_overlap=True)
            block = tuple(Blocks(1500, 0).at(*map(np.atleast_1d, project((west + east) / 2, (south + north) / 2)))[0])
            assert split.setdefault(block, row.split) == row.split
    assert set(split.values()) == set(SHARES)


def test_shares_hold_for_few_blocks():
    rng = np.random.default_rng(3)
    worst = Counter()
    for _ in range(300):
        row, column = rng.integers(0, 30_000, 2)
        side = int(rng.integers(4, 9))
        window = np.stack(np.meshgrid(np.arange(row, row + side), np.arange(column, column + side)), -1).reshape(-1, 2)
        found = np.bincount(split_numbers(Blocks(4800, int(rng.integers(99))).draw(window), SHARES), minlength=3)
        worst["off"] = max(worst["off"], int(np.abs(found - side**2 * np.array([0.8, 0.1, 0.1])).max()))
        worst["empty"] += int((found == 0).any())
    assert worst["off"] <= 4 and worst["empty"] <= 3


def test_a_draw_falls_among_the_shares_in_their_order():
    drawn = np.array([0.0, 0.49, 0.5, 0.74, 0.75, 0.9999999])
    assert split_numbers(drawn, {"a": 2, "b": 1, "c": 1}).tolist() == [0, 0, 1, 1, 2, 2]


def test_a_degree_is_what_it_is():
    assert pyproj.Geod(ellps="WGS84").inv(9, 45, 9, 46)[2] == pytest.approx(DEGREE, rel=0.005)


# The guard.


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
def test_no_two_kept_tiles_of_different_splits_share_ground_or_come_too_close(grid, guard, block, area):
    tiles = cover_area(area, grid)
    assert len({tile.zone for tile in tiles}) == 2 and len(tiles) > 60
    rows = placed(tiles, guard=guard, block=block, cover=False)
    kept = [row for row in rows if row.state == PLANNED]
    assert len({row.split for row in kept}) > 1 and len(kept) < len(rows)
    flat = f"+proj=laea +lat_0={area.centroid.y} +lon_0={180 if area.bounds[0] < -179 else area.centroid.x}"
    shapes = footprints(kept, flat)
    for (one, first), (other, second) in combinations(zip(kept, shapes, strict=True), 2):
        if one.split != other.split:
            assert first.intersection(second).area < 1e-3
            assert first.distance(second) >= guard * 0.998


@pytest.mark.parametrize("guard", [0, 700])
def test_a_tile_is_dropped_only_beside_a_smaller_split(guard):
    rows = {row.key: row for row in placed(square(40, 40), guard=guard, block=4800, cover=False)}
    rank = {"train": 0, "val": 1, "test": 2}
    # 40 m of padding, then the guard: how many tiles away another may be
    reach = 1 if guard == 0 else 2
    inner = [row for row in rows.values() if all(rows_around(rows, row.key, reach))]
    assert len(inner) > 1000 and {row.split for row in inner} == set(SHARES)
    for row in inner:
        around = [other for other in rows_around(rows, row.key, reach) if too_close(row.key, other.key, guard)]
        rivals = {other.split for other in around if rank[other.split] > rank[row.split]}
        assert (row.state == DROPPED) == bool(rivals)
        assert not rivals or row.reason.endswith(f"split {max(rivals, key=rank.get)}")


def rows_around(rows, key, reach):
    tile, steps = Tile.from_key(key), range(-reach, reach + 1)
    return [rows.get(replace(tile, path=tile.path + i, row=tile.row + j).key) for i in steps for j in steps if i or j]


def too_close(one, other, guard):
    first, second = (shapely.box(*Tile.from_key(key).bounds) for key in (one, other))
    return first.intersection(second).area > 0 or first.distance(second) < guard


def test_neither_padding_nor_guard_drops_nothing():
    rows = placed(square(20, 20, Grid(60, 0, 10)), block=2400, cover=False)
    assert {row.state for row in rows} == {PLANNED} and len({row.split for row in rows}) == 3


def test_allowed_overlap_drops_nothing():
    assert {row.state for row in placed(square(20, 20), block=2400, allow_overlap=True)} == {PLANNED}


# Growth.

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
    having = dict(zip(PATCH, classes, strict=True))
    old = []
    for size in sorted(sizes):
        members = sorted(order[:size])
        tiles = [Tile(GRID, 33, -334 + i, 8903 + j) for i, j in members]
        rows = placed(tiles, [[having[member]] for member in members], old, block=block, seed=seed)
        now = {row.key: row for row in rows}
        assert all(now[row.key] == row for row in old)
        old = rows


@settings(max_examples=30, deadline=None)
@given(members=st.sets(st.integers(0, 80), min_size=1))
def test_across_zones_a_tile_is_placed_as_if_it_were_alone(members):
    tiles = cover_area(ACROSS, GRID)
    assert len(tiles) > 80
    whole = placed(tiles, block=1800, cover=False)
    assert len({row.state for row in whole}) == 2
    some = sorted(members)
    assert placed([tiles[n] for n in some], block=1800, cover=False) == [whole[n] for n in some]


# Cover.


@pytest.mark.parametrize(
    ("lon", "lat", "grid", "guard"), [(12, 47, GRID, 0), (12, 69, GRID, 250), (18, -33, Grid(600, 20, 10), 0)]
)
def test_across_zones_tiles_are_close_that_are_close_on_the_ground(lon, lat, grid, guard):
    reach = max(0.02, 3e-5 * grid.size)
    tiles = cover_area(shapely.box(lon - reach / 2, lat, lon + reach / 2, lat + reach / 2), grid)
    ground, places, wanted, unsure = {}, tile_indices(tiles), set(), set()
    for tile in tiles:
        project = pyproj.Transformer.from_crs(tile.crs, f"EPSG:{32600 + int(lon // 6 + 31)}", always_xy=True).transform
        ground[tile] = shapely.transform(shapely.segmentize(shapely.box(*tile.bounds), 20), project, interleaved=False)
    for one, other in combinations(range(len(tiles)), 2):
        if tiles[one].zone != tiles[other].zone:
            apart = ground[tiles[one]].distance(ground[tiles[other]])
            for pair in ((one, other), (other, one)):
                (wanted if apart == 0 or apart < guard else unsure if apart <= 1.005 * guard + 0.1 else set()).add(pair)
    by_code = {code: number for number, code in enumerate(encode_indices(places).tolist())}
    found = {
        (owner, by_code[code])
        for owners, codes in neighbour_pairs(places, grid, guard)
        for owner, code in zip(owners.tolist(), codes.tolist(), strict=True)
        if code in by_code and tiles[owner].zone != tiles[by_code[code]].zone
    }
    assert wanted and wanted <= found <= wanted | unsure


def held(rows, classes):
    """The classes of each split's kept tiles."""
    found = {split: set() for split in SHARES}
    for row, values in zip(rows, classes, strict=True):
        if row.state == PLANNED:
            found[row.split].update(values)
    return found


def test_a_split_that_lacks_a_class_is_given_a_block_that_has_it():
    tiles = square(40, 40)
    plain = placed(tiles, block=2400, cover=False)
    train = [number for number, row in enumerate(plain) if (row.split, row.state) == ("train", PLANNED)]
    spots = {train[10], train[500], train[900]}
    classes = [[1, 7] if number in spots else [1] for number in range(len(tiles))]
    rows, notes = assign_tiles(tiles, config(block=2400), 4, classes, {}, [])
    assert held(rows, classes) == dict.fromkeys(SHARES, {1, 7})
    assert sum("moved to" in note for note in notes) == 2 and not any("has no" in note for note in notes)
    units = {row.unit for row, former in zip(rows, plain, strict=True) if row.split != former.split}
    assert len(units) == 2
    assert assign_tiles(tiles, config(block=2400), 4, classes, {}, [])[0] == rows


def test_what_no_block_can_give_is_told():
    tiles = square(30, 30)
    classes = [[1, 9] if number == 40 else [1] for number in range(len(tiles))]
    rows, notes = assign_tiles(tiles, config(block=2400), 4, classes, {}, [])
    lacking = {split for split, values in held(rows, classes).items() if 9 not in values}
    assert len(lacking) == 2
    for split in lacking:
        assert f"split {split} has no tile that a feature of class 9 meets" in notes


def test_an_empty_split_is_told_with_what_to_do():
    rows, notes = assign_tiles(square(3, 3), config(block=60_000), 4, [[]] * 9, {}, [])
    assert len({row.split for row in rows}) == 1
    assert sum("has no tile: 9 tiles lie in 1 blocks of 60000 m; take smaller ones" in note for note in notes) == 2


def test_few_blocks_leave_no_split_empty():
    for seed in range(20):
        rows = placed(square(12, 12, Grid(60, 0, 10)), block=2400, seed=seed)
        assert {row.split for row in rows if row.state == PLANNED} == set(SHARES)


def test_a_moved_block_stays_where_it_was_moved():
    tiles = square(40, 40)
    plain = placed(tiles, block=2400, cover=False)
    spots = [n for n, row in enumerate(plain) if (row.split, row.state) == ("train", PLANNED)][::400]
    rows = placed(tiles, [[7] if n in spots else [] for n in range(len(tiles))], block=2400)
    assert rows != plain
    assert placed(tiles, old=rows, block=2400) == rows


# Tiles and regions.


def test_tiles_are_split_one_by_one():
    rows = placed(square(60, 60), by="tile")
    assert [row.split for row in rows] == [split_of(row.key, SHARES) for row in rows]
    assert {row.state for row in rows} == {PLANNED}
    count = Counter(row.split for row in rows)
    for split, share in SHARES.items():
        assert abs(count[split] / 3600 - share) < 4 * np.sqrt(share * (1 - share) / 3600)
    other = placed(square(60, 60), by="tile", seed=1)
    assert sum(a.split != b.split for a, b in zip(rows, other, strict=True)) > 900


def test_tiles_split_one_by_one_leave_no_shared_ground_where_it_is_not_allowed():
    rows = placed(square(12, 12), by="tile", allow_overlap=False)
    kept = [(row.split, shapely.box(*Tile.from_key(row.key).bounds)) for row in rows if row.state == PLANNED]
    assert 0 < len(kept) < 144
    for (split, box), (other, second) in combinations(kept, 2):
        assert split == other or box.intersection(second).area == 0


def regions(tmp_path, tiles, *shapes):
    """A layer in lon/lat of boxes given as fractions of the tiles' extent, with the split of each."""
    west, south, east, north = shapely.total_bounds([shapely.box(*tile.core_bounds) for tile in tiles])
    back = pyproj.Transformer.from_crs(tiles[0].crs, 4326, always_xy=True).transform
    boxes = []
    for left, right, _ in shapes:
        box = shapely.box(west + left * (east - west), south, west + right * (east - west), north)
        boxes.append(shapely.transform(shapely.segmentize(box, 100), back, interleaved=False))
    return write_vectors(tmp_path / "regions.gpkg", boxes, "EPSG:4326", fold=[name for *_, name in shapes])


def test_regions_name_splits_and_later_ones_win(tmp_path):
    tiles = square(20, 5)
    path = regions(tmp_path, tiles, (0, 0.6, "train"), (0.5, 0.8, "val"))
    rows = placed(tiles, by="region", path=path, attribute="fold")
    for tile, row in zip(tiles, rows, strict=True):
        column = tile.path + 334
        assert row.split == ("train" if column < 10 else "val" if column < 16 else "")
        assert row.state == (DROPPED if column == 9 or column >= 16 else PLANNED)
        assert ("no region" in row.reason) == (column >= 16) and ("shares ground" in row.reason) == (column == 9)


def test_a_region_that_names_no_split_is_an_error(tmp_path):
    path = regions(tmp_path, square(2, 2), (0, 1, "training"))
    with pytest.raises(InputError, match=r"'fold'.*'training'.*train, val, test"):
        placed(square(2, 2), by="region", path=path, attribute="fold")


# The file.


def test_the_file_gives_back_what_was_written_and_is_geoparquet(tmp_path):
    tiles = square(9, 9)
    rows = placed(tiles, block=1800)
    for name in ("a", "b"):
        write_splits(tmp_path / name, rows, "digest", {})
    assert read_splits(tmp_path / "a") == rows
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    frame = geopandas.read_parquet(tmp_path / "a")
    assert frame.crs == "EPSG:4326" and frame.shard.tolist() == [shard_of(tile.key, 4) for tile in tiles]


def test_what_is_no_file_of_splits_is_named(tmp_path):
    (tmp_path / "splits.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"splits\.parquet: not a file of splits"):
        read_splits(tmp_path / "splits.parquet")
