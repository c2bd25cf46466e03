"""Squares of tiles, and the order of files in which those of a square follow each other."""

import itertools
import random

import pytest

from segchips.grids.squares import order_of, square_of


def name(column, row):
    return f"252#2#10.0#33#{column}#{row}"


def test_a_square_has_four_by_four_tiles_also_west_and_south_of_the_origin():
    places = list(itertools.product(range(-8, 8), range(-8, 8)))
    squares = {}
    for column, row in places:
        squares.setdefault(square_of(name(column, row)), set()).add((column, row))
    assert sorted(map(len, squares.values())) == [16] * 16
    for members in squares.values():
        columns, rows = zip(*members, strict=True)
        assert max(columns) - min(columns) == max(rows) - min(rows) == 3


def test_tiles_of_other_grids_or_zones_are_in_other_squares():
    names = [name(0, 0), "252#2#10.0#34#0#0", "252#2#20.0#33#0#0"]
    assert len(set(map(square_of, names))) == 3


def test_tiles_of_a_square_follow_each_other_and_other_files_come_by_name():
    paths = [f"r/d/images/{name(column, row)}.tif" for column in range(-9, 20) for row in range(3, 25)]
    paths += ["r/d/tiles.parquet", "r/d/images/b/252#2#10.0#33#0#0.tif", "r/d/ledger.csv"]
    random.Random(1).shuffle(paths)
    ordered = sorted(paths, key=order_of)
    runs = [square for square, _ in itertools.groupby(ordered, lambda path: path[-4:] == ".tif" and square_of(path))]
    assert len(runs) == len(set(runs)) + runs.count(False) - 1
    assert sorted(path for path in paths if path[-4:] != ".tif") == [path for path in ordered if path[-4:] != ".tif"]
    assert sorted(ordered) == sorted(paths)


@pytest.mark.parametrize("text", ["", "tiles.parquet", "60#2"])
def test_what_is_no_chip_is_in_no_square(text):
    with pytest.raises(ValueError, match="no name of a chip"):
        square_of(text)
