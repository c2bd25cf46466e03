"""Square blocks that keep their shares."""

from collections import Counter

import numpy as np
import pyproj
import pytest

from segchips.grids.cover import cover_area
from segchips.grids.tile import Grid
from segchips.tiles.blocks import DEGREE, Blocks, split_numbers
from support.areas import ACROSS
from support.assignments import SHARES, assign


@pytest.mark.parametrize("side", [500.0, 4800.0, 60_000.0])
def test_a_block_is_a_square_of_its_side(side):
    rng = np.random.default_rng(0)
    blocks = Blocks(side, 0)
    for lon, lat in zip(rng.uniform(-180, 180, 40), rng.uniform(-70, 70, 40), strict=True):
        flat = pyproj.Transformer.from_crs(f"+proj=laea +lon_0={lon} +lat_0={lat}", 4326, always_xy=True).transform
        x, y = np.meshgrid(*[np.linspace(-3 * side, 3 * side, 301)] * 2)
        at_points = blocks.containing(*flat(x.ravel(), y.ravel()))
        here = (at_points == blocks.containing(np.array([lon]), np.array([lat]))).all(axis=1)
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
            (row,) = assign([tile], block=1500, allow_overlap=True)
            block = tuple(
                Blocks(1500, 0).containing(*map(np.atleast_1d, project((west + east) / 2, (south + north) / 2)))[0]
            )
            assert split.setdefault(block, row.split) == row.split
    assert set(split.values()) == set(SHARES)


def test_shares_hold_for_few_blocks():
    rng = np.random.default_rng(3)
    worst = Counter()
    for _ in range(300):
        row, column = rng.integers(0, 30_000, 2)
        side = int(rng.integers(4, 9))
        window = np.stack(np.meshgrid(np.arange(row, row + side), np.arange(column, column + side)), -1).reshape(-1, 2)
        counts = np.bincount(split_numbers(Blocks(4800, int(rng.integers(99))).draw(window), SHARES), minlength=3)
        worst["off"] = max(worst["off"], int(np.abs(counts - side**2 * np.array([0.8, 0.1, 0.1])).max()))
        worst["empty"] += int((counts == 0).any())
    assert worst["off"] <= 4 and worst["empty"] <= 3


def test_a_draw_falls_among_the_shares_in_their_order():
    drawn = np.array([0.0, 0.49, 0.5, 0.74, 0.75, 0.9999999])
    assert split_numbers(drawn, {"a": 2, "b": 1, "c": 1}).tolist() == [0, 0, 1, 1, 2, 2]


def test_a_degree_is_what_it_is():
    assert pyproj.Geod(ellps="WGS84").inv(9, 45, 9, 46)[2] == pytest.approx(DEGREE, rel=0.005)
