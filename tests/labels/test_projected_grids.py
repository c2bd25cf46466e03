"""Labels in degrees, burned on grids of a dozen CRSs, against a computation for each pixel centre."""

from itertools import product

import numpy as np
import pyproj
import pytest
import shapely

from segchips.config.labels import LabelLayer, LabelsConfig
from segchips.grids.cover import cover_area
from segchips.grids.projected import projected_crs
from segchips.grids.tile import Tile
from segchips.labels.features import LabelFeatures
from support.projected_grids import AREAS, area_of, projected_grid, to_crs
from support.vectors import write_vectors


def shapes_in(code):
    """Polygons with straight sides in degrees, some across the antimeridian or with a pole on a side."""
    west, south, east, north = AREAS[code]
    lon, lat = np.linspace(west, east, 6), np.linspace(south, north, 4)
    boxes = [shapely.box(lon[i], lat[0], lon[i + 1], lat[-1]) for i in (0, 2, 4)]
    ramp = shapely.Polygon([(lon[1], lat[1]), (lon[4], lat[1]), (lon[3], lat[2]), (lon[2], lat[2])])
    return [*boxes, shapely.segmentize(ramp, 20)]  # longer edges would be taken across the antimeridian


def labels_at(shapes, lon, lat):
    labels = np.zeros(lon.shape, np.uint8)
    for number, shape in enumerate(shapes, 1):
        for turn in (-360, 0, 360):
            labels[shapely.contains_xy(shape, lon + turn, lat)] = number
    return labels


@pytest.mark.parametrize("code", sorted(AREAS))
def test_pixels_are_those_whose_centre_lies_in_a_polygon(code, tmp_path):
    shapes = shapes_in(code)
    path = write_vectors(tmp_path / "labels.gpkg", shapes, "EPSG:4326", kind=list(range(1, len(shapes) + 1)))
    layer = LabelLayer(str(path), None, "kind", 1, None)
    features = LabelFeatures(LabelsConfig((layer,), background=0, all_touched=False))
    west, south, east, north = to_crs(code).transform_bounds(*AREAS[code])
    grid = projected_grid(code, 64, 2, round(abs(north - south) / 300, 1))
    tiles = cover_area(area_of(code), grid)
    rng, back = np.random.default_rng(3), pyproj.Transformer.from_crs(code, 4326, always_xy=True)
    seen = set()
    chosen = [tiles[at] for at in rng.permutation(len(tiles))[:12]]
    if code == "EPSG:3031":
        chosen += [Tile(grid, 0, path, row) for path in (-1, 0) for row in (-1, 0)]
    if seam := projected_crs(code).seam:
        chosen += [tile for tile in tiles if tile.bounds[0] < seam[0] or tile.bounds[2] > seam[1]][:4]
    found = features.intersecting(chosen)
    for tile, indices in zip(chosen, found, strict=True):
        left, step, _, top, _, _ = tile.geotransform
        x, y = np.meshgrid(left + (np.arange(64) + 0.5) * step, top - (np.arange(64) + 0.5) * step)
        expected = labels_at(shapes, *back.transform(x, y))
        sure = np.ones((64, 64), bool)  # pixels around which all labels are the same
        for dx, dy in product((-0.3, 0, 0.3), repeat=2):
            sure &= labels_at(shapes, *back.transform(x + dx * step, y + dy * step)) == expected
        burned = features.burn(tile, indices)
        assert (burned[sure] == expected[sure]).all(), tile.key
        seen |= set(np.unique(expected[sure]).tolist())
    assert len(seen) >= 3


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:6933", "EPSG:3857", "EPSG:32601"])
@pytest.mark.parametrize(("path", "side"), [(964, -1), (-965, 1)])
def test_a_tile_across_the_end_of_the_world_has_the_labels_of_the_other_end(tmp_path, crs, path, side):
    """The features lie at the end of the world away from the tile's middle."""
    west, east = sorted((side * 179.999, side * 179.96))
    field = shapely.box(west, 10.0, east, 10.1)
    there = shapely.transform(shapely.segmentize(field, 0.01), to_crs(crs).transform, interleaved=False)
    written = write_vectors(tmp_path / "labels.gpkg", [there], crs, kind=[1])
    features = LabelFeatures(LabelsConfig((LabelLayer(str(written), None, "kind", 1, None),), 0, False))
    tile = Tile(
        projected_grid("EPSG:6933", 64, 2, 300.0), 0, path, round(to_crs("EPSG:6933").transform(0, 10)[1] / 18e3)
    )
    (found,) = features.intersecting([tile])
    left, step, _, top, _, _ = tile.geotransform
    x, y = np.meshgrid(left + (np.arange(64) + 0.5) * step, top - (np.arange(64) + 0.5) * step)
    lon, lat = to_crs("EPSG:6933").transform(x, y, direction="INVERSE")
    expected = shapely.contains_xy(field, lon, lat)
    assert expected.any() and (features.burn(tile, found) == expected).all()
