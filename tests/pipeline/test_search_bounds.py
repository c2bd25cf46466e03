"""Where scenes are searched before a run."""

import shapely

from segchips.pipeline.search_bounds import search_bounds
from support.datasets import make_dataset
from support.vectors import write_vectors


def test_scenes_are_searched_around_points_and_not_around_the_labels(tmp_path):
    points = [shapely.Point(10, 50), shapely.Point(11, 51)]
    path = write_vectors(tmp_path / "points.gpkg", points, "EPSG:4326", name=["a", "b"])
    labels = write_vectors(tmp_path / "labels.gpkg", [shapely.box(-60, -30, -59, -29)], "EPSG:4326", name=["c"])
    (area,) = search_bounds(make_dataset(tiles={"centers": str(path)}, labels={"path": str(labels)}))
    assert area.contains(shapely.MultiPoint(points)) and area.area < 1.2
