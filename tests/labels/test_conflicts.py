"""Counts of pixels in conflict against points in polygons."""

import geopandas
import numpy as np
import pytest
import shapely
import shapely.affinity

from segchips.grids.tile import Grid, Tile
from segchips.labels.conflicts import read_conflicts, write_conflicts
from segchips.labels.features import LabelFeatures
from segchips.labels.lock import lock_labels
from support.datasets import make_dataset, tile_at
from support.label_locks import with_digest
from support.vectors import write_vectors

TILES = [tile_at(20, 2, east=east) for east in range(6)]


def layer(folder, seed, name="labels.gpkg"):
    """Overlapping blobs over all tiles but the last, of three values, and a square of one value twice."""
    rng = np.random.default_rng(seed)
    west, south, _, north = TILES[0].bounds
    places = rng.uniform((west, south), (west + 700, north), (14, 2))
    shapes = [shapely.Point(x, y).buffer(rng.uniform(15, 70), 4) for x, y in places]
    shapes = [shape for shape in shapes if shape.bounds[2] < TILES[5].bounds[0] - 50]
    values = rng.integers(1, 4, len(shapes)).tolist()
    west, south, _, _ = TILES[5].core_bounds
    shapes += [shapely.box(west, south, west + 60, south + 60)] * 2
    return shapes, [*values, 2, 2], write_vectors(folder / name, shapes, "EPSG:32633", kind=[*values, 2, 2])


def count_by_points(tile, shapes, values):
    west, step, _, north, _, _ = tile.geotransform
    count = 0
    for row in range(tile.grid.size):
        for column in range(tile.grid.size):
            point = shapely.Point(west + (column + 0.5) * step, north - (row + 0.5) * step)
            count += len({value for shape, value in zip(shapes, values, strict=True) if shape.contains(point)}) > 1
    return count


@pytest.mark.parametrize("all_touched", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_every_pixel_with_its_centre_in_features_of_two_classes_counts(tmp_path, seed, all_touched):
    shapes, values, path = layer(tmp_path, seed)
    features = LabelFeatures(
        make_dataset(labels={"path": path, "attribute": "kind", "all_touched": all_touched}).labels.first
    )
    write_conflicts(tmp_path / "conflicts.parquet", [(features, lock_labels(features, TILES, "code"))])
    counts = read_conflicts(tmp_path / "conflicts.parquet")
    assert counts == {tile.key: count_by_points(tile, shapes, values) for tile in TILES}
    assert sum(counts.values()) > 0 and counts[TILES[5].key] == 0


def test_neighbours_that_share_an_edge_do_not_conflict(tmp_path):
    west, south, east, north = TILES[0].bounds
    middle = (west + east) / 2 + 3
    halves = [shapely.box(west, south, middle, north), shapely.box(middle, south, east, north)]
    path = write_vectors(tmp_path / "labels.gpkg", halves, "EPSG:32633", kind=[1, 2])
    features = LabelFeatures(make_dataset(labels={"path": path, "attribute": "kind"}).labels.first)
    write_conflicts(tmp_path / "conflicts.parquet", [(features, lock_labels(features, TILES[:1], "code"))])
    assert read_conflicts(tmp_path / "conflicts.parquet") == {TILES[0].key: 0}


def test_only_tiles_whose_labels_changed_are_counted_again(tmp_path):
    *_, path = layer(tmp_path, 0)
    features = LabelFeatures(make_dataset(labels={"path": path, "attribute": "kind"}).labels.first)
    lock = lock_labels(features, TILES, "code")
    write_conflicts(tmp_path / "a.parquet", [(features, lock)])
    frame = geopandas.read_parquet(tmp_path / "a.parquet")
    assert frame.crs == "EPSG:4326" and frame.key.tolist() == [tile.key for tile in TILES]
    # counts of unchanged tiles are kept, even wrong ones
    frame["pixels"] = 999
    frame.to_parquet(tmp_path / "b.parquet")
    write_conflicts(tmp_path / "b.parquet", [(features, with_digest(lock, 0, "other"))])
    first, *others = read_conflicts(tmp_path / "b.parquet").values()
    assert first == read_conflicts(tmp_path / "a.parquet")[TILES[0].key] and set(others) == {999}


def hostile_layer(folder, grid_step):
    """Shapes of all kinds over neighbouring tiles; many have edges and corners at centres or borders of pixels."""
    rng = np.random.default_rng(7)
    west, south, _, _ = TILES[0].bounds
    corners = np.round(rng.uniform((west, south), (west + 1000, south + 400), (60, 2)) / grid_step) * grid_step
    sides = np.round(rng.uniform(10, 150, (60, 2)) / grid_step) * grid_step
    boxes = [shapely.box(x, y, x + w, y + h) for (x, y), (w, h) in zip(corners, sides, strict=True)]
    turned = [shapely.affinity.rotate(box, angle) for box, angle in zip(boxes[:20], range(0, 100, 5), strict=True)]
    rings = [box.buffer(40, 3).difference(box) for box in boxes[20:26]]
    parted = [shapely.union_all(boxes[i : i + 4]) for i in range(26, 46, 4)]
    comb = shapely.Polygon(
        [(west + 7 * i, south + (90 if i % 2 else 250)) for i in range(300)] + [(west + 2100, south), (west, south)]
    )
    others = [shapely.LineString(corners[46:50]), shapely.Point(corners[50]), shapely.MultiPoint(corners[51:55])]
    shapes = [*boxes, *turned, *rings, *parted, comb, *others]
    kinds = rng.integers(1, 5, len(shapes)).tolist()
    return write_vectors(folder / "hostile.gpkg", shapes, "EPSG:32633", kind=kinds)


@pytest.mark.parametrize("grid_step", [5, 10, 0.01])
@pytest.mark.parametrize("grid", [Grid(20, 2, 10.0), Grid(20, 0, 10.0, stride=7), Grid(45, 3, 2.5)])
def test_blocks_of_tiles_count_as_one_tile_after_the_other(tmp_path, grid, grid_step):
    path = hostile_layer(tmp_path, grid_step)
    features = LabelFeatures(make_dataset(labels={"path": path, "attribute": "kind"}).labels.first)
    west, south, *_ = TILES[0].bounds
    path, row = int((west - grid.origin[0]) // grid.step), int((south - grid.origin[1]) // grid.step)
    places = [(path + across, row + up) for up in range(12) for across in range(60)]
    tiles = [Tile(grid, zone, *place) for place in places for zone in (33, 32 + 2 * (place[0] % 2))]
    tiles = list(dict.fromkeys(tiles))
    lock = lock_labels(features, tiles, "code")
    expected = {tile.key: features.count_conflicts(tile, lock.feature_indices[tile.key]) for tile in tiles}
    write_conflicts(tmp_path / "conflicts.parquet", [(features, lock)])
    assert read_conflicts(tmp_path / "conflicts.parquet") == expected
    assert sum(count > 0 for count in expected.values()) > 20
