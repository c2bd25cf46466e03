"""Geometries as GeoJSON against shapely's own, one by one."""

import numpy as np
import pytest
import shapely
from rasterio.features import rasterize

from segchips.labels.geojson import as_geojson
from support.label_features import TILE, star_polygons

HOLED = shapely.Point(0, 0).buffer(9).difference(shapely.Point(0, 0).buffer(4))
GEOMETRIES = {
    "polygons": [
        shapely.box(0, 0, 3, 4),
        shapely.Point(5, 5).buffer(2),
        shapely.Polygon([(0, 0, 1), (4, 0, 2), (0, 4, 3)]),
    ],
    "mixed": [HOLED, shapely.box(1, 1, 2, 2), shapely.MultiPolygon([shapely.box(3, 3, 4, 4)]), shapely.Point(1, 2)],
    "none": [],
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_polygons_have_the_vertices_that_shapely_gives(name):
    geometries = np.array(GEOMETRIES[name], dtype=object)
    for found, geometry in zip(as_geojson(geometries), geometries, strict=True):
        expected = shapely.geometry.mapping(shapely.force_2d(geometry))
        assert shapely.geometry.mapping(shapely.geometry.shape(found)) == expected or found is geometry
        assert isinstance(found, dict) == (geometry.geom_type == "Polygon" and not geometry.interiors)


@pytest.mark.parametrize("all_touched", [True, False])
def test_they_burn_the_same_pixels(all_touched):
    polygons = np.array(star_polygons(np.random.default_rng(3), TILE, 60), dtype=object)
    west, south, east, north = TILE.bounds
    transform = (TILE.grid.resolution, 0, west, 0, -TILE.grid.resolution, north)
    burned = [
        rasterize(
            zip(shapes, range(1, 61), strict=True), (TILE.size, TILE.size), transform=transform, all_touched=all_touched
        )
        for shapes in (polygons, as_geojson(polygons))
    ]
    assert np.array_equal(*burned) and burned[0].any()
