"""Boundaries of features, against each pixel's neighbours in labels that were burned feature by feature."""

import numpy as np
import pytest
import shapely

from segchips.errors import ConfigError, InputError
from support.datasets import make_dataset
from support.label_features import TILE, UTM, burn_tile, read_features, star_polygons
from support.rasters import transform_over, write_raster
from support.vectors import write_vectors

WEST, SOUTH, EAST, NORTH = TILE.bounds


def objects_around(path, boxes, all_touched):
    """The number of the object at each pixel of the tile with a margin of one pixel, each burned alone."""
    wide = np.zeros((TILE.grid.size + 2,) * 2, int)
    for number, box in enumerate(boxes, 1):
        for shift_x, shift_y in np.ndindex(3, 3):
            moved = shapely.transform(box, lambda xy, dx=shift_x, dy=shift_y: xy + [10 * (1 - dx), 10 * (dy - 1)])
            file = path / f"{number}-{shift_x}-{shift_y}.gpkg"
            burned = burn_tile(read_features(write_vectors(file, [moved], UTM), all_touched=all_touched)) == 1
            wide[shift_y : shift_y + 32, shift_x : shift_x + 32][burned] = number
    return wide


@pytest.mark.parametrize("all_touched", [True, False])
def test_pixels_beside_another_feature_or_none_are_boundary(tmp_path, all_touched):
    stars = star_polygons(np.random.default_rng(3), TILE, 4)
    touching = [shapely.box(WEST + 60 * n, SOUTH - 30, WEST + 60 * n + 60, SOUTH + 75) for n in range(2)]
    shapes = [*stars, *touching]
    wide = objects_around(tmp_path, shapes, all_touched)
    expected = np.where(wide[1:-1, 1:-1] > 0, 1, 255)
    for row, column in np.argwhere(wide[1:-1, 1:-1] > 0):
        around = wide[row, column + 1], wide[row + 2, column + 1], wide[row + 1, column], wide[row + 1, column + 2]
        if any(other != wide[row + 1, column + 1] for other in around):
            expected[row, column] = 2
    path = write_vectors(tmp_path / "all.gpkg", shapes, UTM)
    features = read_features(path, all_touched=all_touched)
    (indices,) = features.intersecting([TILE])
    labels = make_dataset(labels={"path": str(path), "all_touched": all_touched, "boundary": 2}).labels.first
    drawn = type(features)(labels)
    np.testing.assert_array_equal(burn_tile(drawn), expected)
    assert drawn.describe(TILE, indices).digest != features.describe(TILE, indices).digest
    assert {1, 2, 255} == set(np.unique(expected)) and labels.names == {1: "all", 2: "boundary"}


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"boundary": 255}, "255 is also the background or unknown"),
        ({"boundary": 1}, "labels.value: 1 is also the boundary"),
        ({"boundary": 3, "attribute": "kind", "classes": {"a": 3}}, "boundary: 3 is also a class of layers.0"),
        ({"boundary": 2, "kind": "instances"}, "boundary: is a class, and kind 'instances' has none"),
    ],
)
def test_boundaries_are_a_class_of_their_own(labels, words):
    with pytest.raises(ConfigError, match=words):
        make_dataset(labels=labels)


def test_attributes_and_rasters_have_no_boundary_value(tmp_path):
    path = write_vectors(tmp_path / "a.gpkg", [shapely.box(*TILE.bounds)], UTM, kind=[2])
    with pytest.raises(InputError, match="has the value of the boundary"):
        read_features(path, attribute="kind", boundary=2)
    raster = write_raster(tmp_path / "a.tif", np.ones((1, 40, 40), "uint8"), transform_over(TILE, (40, 40), 10), UTM)
    with pytest.raises(InputError, match="is a raster, and labels.boundary is for features"):
        read_features(raster, boundary=2)
