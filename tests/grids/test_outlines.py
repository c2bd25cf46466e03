"""Outlines of tiles against PROJ, at the antimeridian and at a pole."""

import geopandas
import numpy as np
import pyproj
import pytest
import shapely
from earthdaily.earthone.core.common.dltile.utm import utm_to_lonlat

from segchips.grids.cover import cover_area
from segchips.grids.outlines import footprints
from segchips.grids.tile import POLE, Grid, Tile
from segchips.tiles.manifest import write_manifest
from support.areas import GRID
from support.assignments import assign_by_key


def test_tiles_on_the_antimeridian_are_split_there(tmp_path):
    tiles = cover_area(shapely.box(179.9, -17, 180.1, -16.9), GRID)
    write_manifest(tmp_path / "tiles.parquet", assign_by_key(tiles))
    frame = geopandas.read_parquet(tmp_path / "tiles.parquet")
    for geometry in (frame.geometry.values, footprints(tiles)):
        assert shapely.is_valid(geometry).all() and (np.abs(shapely.bounds(geometry)) <= 180).all()
        assert {shape.geom_type for shape in geometry} == {"Polygon", "MultiPolygon"}
        parts = shapely.get_parts(geometry)
        assert (np.ptp(shapely.bounds(parts)[:, [0, 2]], axis=1) < 0.1).all()


@pytest.mark.parametrize(("grid", "tolerance"), [(GRID, 0.05), (Grid(2048, 24, 10), 3), (Grid(1000, 10, 100), 3)])
def test_a_footprint_holds_the_padded_box_and_little_more(grid, tolerance):
    areas = shapely.box(17.9, 68, 17.95, 68.01), shapely.box(0, -40, 0.05, -39.9)
    tiles = [tile for area in areas for tile in cover_area(area, grid)[:20]]
    assert {tile.zone for tile in tiles} >= {33, 31}
    for tile, outline in zip(tiles, footprints(tiles), strict=True):
        to_utm = pyproj.Transformer.from_crs(4326, 32600 + tile.zone, always_xy=True).transform
        back = shapely.transform(shapely.segmentize(outline, 0.001), to_utm, interleaved=False)
        box = shapely.box(*tile.bounds)
        assert shapely.hausdorff_distance(back, box) < tolerance
        assert shapely.is_valid(outline)


def test_a_footprint_over_a_pole_reaches_round_it():
    (outline,) = footprints([Tile(Grid(64, 0, 1000), 33, 0, int(POLE // 64_000))])
    assert outline.bounds[0] == -180 and outline.bounds[2] == 180 and outline.bounds[3] == 90
    assert outline.bounds[1] == pytest.approx(utm_to_lonlat(np.array([[564_000, 157 * 64_000.0]]), 33)[0, 1])
