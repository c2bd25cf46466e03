"""Tiles, keys and values in columns against single tiles and dicts."""

import numpy as np
import pyarrow as pa
import pytest

from segchips.grids.systems import ProjectedSystem
from segchips.grids.tile import Grid, Tile
from segchips.grids.tile_array import ByTile, TileArray, TileKeys

GRIDS = [
    Grid(64, 2, 10.0),
    Grid(64, 0, 0.25, stride=1),
    Grid(64, 2, 10.0, system=ProjectedSystem("EPSG:2056")),
    Grid(64, 2, 1 / 8, stride=30, system=ProjectedSystem("ESRI:102008", (-12.5, 3.0))),
]


def some_tiles(grid, count=300):
    rng = np.random.default_rng(4)
    zones = rng.integers(1, 61, count) if grid.crs(1) != grid.crs(2) else np.zeros(count, int)
    return [Tile(grid, int(zone), *rng.integers(-9000, 9000, 2).tolist()) for zone in zones]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_tiles_and_keys_are_those_of_single_tiles(grid):
    tiles = some_tiles(grid)
    array = TileArray.of(tiles)
    assert list(array) == tiles == array and array[7] == tiles[7] and array[3:9] == tiles[3:9]
    assert list(array.keys) == [tile.key for tile in tiles]
    assert TileArray.from_keys(TileKeys([tile.key for tile in tiles])) == array
    assert array.keys.filenames().to_pylist() == [tile.filename for tile in tiles]


@pytest.mark.parametrize("count", [3, 200])
def test_rows_of_keys_are_found(count):
    keys = [tile.key for tile in some_tiles(GRIDS[0])]
    column, asked = TileKeys(keys), [*keys[5 : 5 + count], "none", *keys[:2]]
    assert column.rows(TileKeys(asked)).tolist() == [keys.index(key) if key in keys else -1 for key in asked]
    assert column.rows(column).tolist() == list(range(len(keys)))
    with pytest.raises(KeyError, match="none"):
        column.known_rows(asked)


def test_values_by_tile_are_a_mapping():
    values = {tile.key: [number] * (number % 3) for number, tile in enumerate(some_tiles(GRIDS[0]))}
    column = ByTile(TileKeys(values), pa.array(values.values()))
    assert column == values and list(column.values()) == list(values.values())
    some = list(values)[40:2:-7]
    assert column.of(some) == [values[key] for key in some]
    assert "none" not in column and len(column) == len(values)
