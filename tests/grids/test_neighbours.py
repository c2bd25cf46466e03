"""Neighbours across the border of zones, against pairwise distances."""

from itertools import combinations

import pyproj
import pytest
import shapely

from segchips.grids.cover import cover_area
from segchips.grids.indices import encode_indices, tile_indices
from segchips.grids.neighbours import neighbour_pairs
from segchips.grids.tile import Grid
from support.areas import GRID


@pytest.mark.parametrize(
    ("lon", "lat", "grid", "guard"), [(12, 47, GRID, 0), (12, 69, GRID, 250), (18, -33, Grid(600, 20, 10), 0)]
)
def test_across_zones_tiles_are_close_that_are_close_on_the_ground(lon, lat, grid, guard):
    reach = max(0.02, 3e-5 * grid.size)
    tiles = cover_area(shapely.box(lon - reach / 2, lat, lon + reach / 2, lat + reach / 2), grid)
    footprints, indices, expected, uncertain = {}, tile_indices(tiles), set(), set()
    for tile in tiles:
        project = pyproj.Transformer.from_crs(tile.crs, f"EPSG:{32600 + int(lon // 6 + 31)}", always_xy=True).transform
        box = shapely.segmentize(shapely.box(*tile.bounds), 20)
        footprints[tile] = shapely.transform(box, project, interleaved=False)
    for one, other in combinations(range(len(tiles)), 2):
        if tiles[one].zone != tiles[other].zone:
            distance = footprints[tiles[one]].distance(footprints[tiles[other]])
            for pair in ((one, other), (other, one)):
                if distance == 0 or distance < guard:
                    expected.add(pair)
                elif distance <= 1.005 * guard + 0.1:
                    uncertain.add(pair)
    by_code = {code: number for number, code in enumerate(encode_indices(indices).tolist())}
    pairs = {
        (position, by_code[code])
        for positions, codes in neighbour_pairs(indices, grid, guard)
        for position, code in zip(positions.tolist(), codes.tolist(), strict=True)
        if code in by_code and tiles[position].zone != tiles[by_code[code]].zone
    }
    assert expected and expected <= pairs <= expected | uncertain
