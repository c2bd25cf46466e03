"""Objects numbered within a chip, against polygons tested pixel by pixel."""

import numpy as np
import pytest
import rasterio
import shapely

from segchips.errors import ConfigError, InputError
from segchips.labels.chip import make_label
from segchips.labels.instances import TAG, Instance, burn_instances, instances_from_text, instances_to_text
from support.datasets import make_dataset
from support.label_features import TILE, UTM, read_features, star_polygons, values_by_centre
from support.vectors import write_vectors

WEST, SOUTH, EAST, NORTH = TILE.bounds


def burned(features):
    return burn_instances(features, TILE, features.intersecting([TILE])[0])


def test_each_pixel_names_the_last_object_over_its_centre(tmp_path):
    polygons = star_polygons(np.random.default_rng(3), TILE, 30, radius=60)
    values = [1 + number % 3 for number in range(30)]
    path = write_vectors(tmp_path / "a.gpkg", polygons, UTM, kind=values)
    pixels, instances = burned(read_features(path, kind="instances", attribute="kind", all_touched=False, background=0))
    order, sure = values_by_centre(TILE, [(polygons, list(range(1, 31)), UTM)], 0)
    assert sure.all() and pixels.dtype == np.uint16 and pixels.max() == len(instances) > 8
    fids = np.array([0, *(one.fid for one in instances)])
    np.testing.assert_array_equal(fids[pixels], order)
    assert [one.number for one in instances] == list(range(1, len(instances) + 1))
    assert all(one.value == values[one.fid - 1] for one in instances)


@pytest.mark.parametrize("all_touched", [False, True])
def test_touching_buildings_stay_apart(tmp_path, all_touched):
    boxes = [shapely.box(WEST + 35 * n, SOUTH + 100, WEST + 35 * (n + 1), SOUTH + 135) for n in range(5)]
    path = write_vectors(tmp_path / "a.gpkg", boxes, UTM)
    pixels, instances = burned(read_features(path, kind="instances", background=0, all_touched=all_touched))
    assert sorted(np.unique(pixels)) == [0, 1, 2, 3, 4, 5] and [one.fid for one in instances] == [1, 2, 3, 4, 5]


def test_parts_of_a_feature_have_one_number_and_hidden_objects_none(tmp_path):
    squares = shapely.box(
        [WEST, EAST - 20, WEST + 50, WEST + 40], SOUTH, [WEST + 20, EAST, WEST + 80, WEST + 90], NORTH
    )
    parts, hidden, above = shapely.MultiPolygon(squares[:2].tolist()), squares[2], squares[3]
    path = write_vectors(tmp_path / "a.gpkg", [hidden, parts, above], UTM)
    pixels, instances = burned(read_features(path, kind="instances", background=0, all_touched=False))
    assert pixels[31, 0] == pixels[31, 31] == 1 and pixels[25, 6] == 2
    assert instances == [Instance(1, 0, 2, 1), Instance(2, 0, 3, 1)]


def test_a_chip_lists_its_objects(tmp_path):
    path = write_vectors(tmp_path / "a.gpkg", [shapely.box(WEST, SOUTH, WEST + 20, SOUTH + 20)], UTM, kind=[7])
    features = read_features(path, kind="instances", attribute="kind", background=0)
    make_label(features, TILE, [0], tmp_path / "chip.tif", "made")
    with rasterio.open(tmp_path / "chip.tif") as chip:
        assert chip.nodata == 0 and chip.dtypes == ("uint16",)
        listed = instances_from_text(chip.tags()[TAG], "chip.tif")
    assert listed == [Instance(1, 0, 1, 7)] == instances_from_text(instances_to_text(listed), "")
    with pytest.raises(InputError, match=r"chip\.tif: does not list its objects"):
        instances_from_text(None, "chip.tif")


def test_the_digest_follows_the_feature_ids(tmp_path):
    boxes = [shapely.box(WEST, SOUTH, WEST + 20, SOUTH + 20)]
    far = shapely.box(WEST + 9000, SOUTH, WEST + 9020, SOUTH + 20)
    first = write_vectors(tmp_path / "a.gpkg", boxes, UTM)
    second = write_vectors(tmp_path / "b.gpkg", [far, *boxes], UTM)

    def digest(path, kind):
        features = read_features(path, kind=kind, background=0)
        return features.describe(TILE, features.intersecting([TILE])[0]).digest

    assert digest(first, "classes") == digest(second, "classes")
    assert digest(first, "instances") != digest(second, "instances")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"background": 255}, "labels.background: 255 is the number of an object"),
        ({"unknown": 254}, "labels.unknown: does not apply to kind 'instances'"),
        ({"coverage": {"path": "a.gpkg"}}, "labels.coverage: does not apply to kind 'instances'"),
    ],
)
def test_what_does_not_apply_to_objects_is_said(labels, words):
    with pytest.raises(ConfigError, match=words):
        make_dataset(labels={"kind": "instances", **labels})
    assert make_dataset(labels={"kind": "instances"}).labels.first.background == 0
