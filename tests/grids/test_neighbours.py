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
