"""Coverage: pixels outside of it are unknown."""

import numpy as np
import shapely

from segchips.labels.lock import lock_labels
from support.label_features import TILE, UTM, burn_tile, read_features, reproject, star_polygons
from support.vectors import write_vectors


def test_pixels_with_their_centre_outside_the_coverage_are_unknown(tmp_path):
    rng = np.random.default_rng(8)
    shapes, covered = star_polygons(rng, TILE, 9), star_polygons(rng, TILE, 4, radius=200.0)
    path = write_vectors(tmp_path / "labels.gpkg", shapes, UTM, value=[1 + n % 3 for n in range(9)])
    away = [reproject(shapely.segmentize(shape, 20), UTM, "EPSG:3857") for shape in covered]
    write_vectors(tmp_path / "known.gpkg", away, "EPSG:3857")
    coverage = {"path": str(tmp_path / "known.gpkg")}
    plain, partly = (
        read_features(path, attribute="value"),
        read_features(path, attribute="value", unknown=254, coverage=coverage),
    )
    before, after = burn_tile(plain), burn_tile(partly)
    west, step, _, north, _, _ = TILE.geotransform
    inside = np.zeros((32, 32), bool)
    for row in range(32):
        for column in range(32):
            point = shapely.Point(west + (column + 0.5) * step, north - (row + 0.5) * step)
            inside[row, column] = any(shape.distance(point) == 0 for shape in covered)
    assert 0 < inside.sum() < inside.size
    assert (after == np.where(inside, before, 254)).all()
    lock = lock_labels(partly, [TILE], "code")
    assert (
        lock.covered_pixels[TILE.key] == inside.sum()
        and lock_labels(plain, [TILE], "code").covered_pixels[TILE.key] == 32 * 32
    )


def test_coverage_edited_elsewhere_changes_no_digest(tmp_path):
    west, south, east, north = TILE.bounds
    whole = shapely.box(west - 5000, south - 50, east + 50, north + 50)
    other = shapely.box(west - 9000, south - 70, east + 50, north + 50)
    half = shapely.box(west - 5000, south - 50, (west + east) / 2, north + 50)
    path = write_vectors(tmp_path / "labels.gpkg", [shapely.box(west, south, east, north)], UTM)
    digests = []
    for number, shape in enumerate((whole, other, half)):
        coverage = {"path": write_vectors(tmp_path / f"{number}.gpkg", [shape], UTM)}
        digests.append(
            lock_labels(read_features(path, unknown=254, coverage=coverage), [TILE], "code").digests[TILE.key]
        )
    assert digests[0] == digests[1] == lock_labels(read_features(path), [TILE], "code").digests[TILE.key] != digests[2]
