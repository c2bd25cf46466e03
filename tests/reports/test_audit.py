"""audit.py against every pair of footprints, intersected and measured in a plane of its own."""

import json
import time
from collections import Counter
from itertools import combinations

import numpy as np
import pyproj
import pytest
import shapely

from segchips.errors import InputError
from segchips.grids.cover import cover_area
from segchips.grids.outlines import core_outlines
from segchips.grids.tile import Grid, Tile
from segchips.reports.audit import audit_splits, check_audit, write_audit
from segchips.reports.ledger import LedgerRow, write_ledger
from segchips.reports.overlaps import find_overlaps, min_distances
from segchips.tiles.assignment import DROPPED, MADE
from segchips.vectors.geoparquet import write_geoparquet
from support.datasets import make_dataset

GRID = Grid(64, 2, 10)
AREAS = {
    "within a zone": shapely.box(14.2, 46.0, 14.24, 46.03),
    "two zones": shapely.box(11.98, 47.0, 12.02, 47.03),
    "two zones, south": shapely.box(17.98, -33.02, 18.02, -33.0),
    "antimeridian": shapely.box(-180, 64.99, -179.97, 65.01).union(shapely.box(179.97, 64.99, 180, 65.01)),
}


def flat_shapes(tiles, zone):
    """Padded footprints in the CRS of one zone, edges followed closely."""
    shapes = []
    for tile in tiles:
        project = pyproj.Transformer.from_crs(tile.crs, f"EPSG:{32600 + zone}", always_xy=True).transform
        shapes.append(shapely.transform(shapely.segmentize(shapely.box(*tile.bounds), 5), project, interleaved=False))
    return shapes


def slowly(tiles, splits):
    """Shared pixels of each pair and least distances, pair by pair; across zones measured in the lower one."""
    shared, apart = {}, {}
    planes = {zone: flat_shapes(tiles, zone) for zone in {tile.zone for tile in tiles}}
    for one, other in combinations(range(len(tiles)), 2):
        if splits[one] != splits[other]:
            plane = planes[min(tiles[one].zone, tiles[other].zone)]
            area, distance = plane[one].intersection(plane[other]).area, plane[one].distance(plane[other])
            if area > 0.1:
                shared[frozenset((tiles[one].key, tiles[other].key))] = area / 100
            pair = tuple(sorted((splits[one], splits[other])))
            apart[pair] = min(apart.get(pair, np.inf), distance)
    return shared, apart


@pytest.mark.parametrize("name", AREAS)
def test_every_shared_pixel_and_every_least_distance(name):
    tiles = cover_area(AREAS[name], GRID)
    assert len({tile.zone for tile in tiles}) == (1 if name == "within a zone" else 2)
    rng = np.random.default_rng(5)
    for shares in ([0.4, 0.3, 0.3], [0.05, 0.05, 0.9]):
        splits = rng.choice(["train", "val", "test"], len(tiles), p=shares).tolist()
        wanted, distances = slowly(tiles, splits)
        found = {frozenset((pair.first, pair.second)): pair for pair in find_overlaps(tiles, splits)}
        assert found.keys() == wanted.keys() and found
        for key, pair in found.items():
            assert pair.pixels == pytest.approx(wanted[key], rel=1e-3, abs=0.05)
            assert pair.between_zones == (len({Tile.from_key(member).zone for member in key}) == 2)
            if not pair.between_zones:
                assert pair.pixels == wanted[key]
        assert min_distances(tiles, splits) == pytest.approx(distances, abs=0.5)


def test_tiles_apart_share_nothing_and_their_distance_is_told():
    tiles = [Tile(GRID, 33, 0, 8500), Tile(GRID, 33, 5, 8500), Tile(GRID, 33, 5, 8509)]
    assert find_overlaps(tiles, ["train", "val", "test"]) == []
    assert min_distances(tiles, ["train", "val", "test"]) == {
        ("train", "val"): 4 * 600 - 40,
        ("test", "val"): 8 * 600 - 40,
        ("test", "train"): round(np.hypot(4 * 600 - 40, 8 * 600 - 40), 3),
    }


def test_between_far_zones_the_distance_is_that_of_middles():
    tiles = [Tile(GRID, 20, 0, 8500), Tile(GRID, 33, 0, 8500)]
    (distance,) = min_distances(tiles, ["train", "val"]).values()
    ends = [pyproj.Transformer.from_crs(tile.crs, 4326, always_xy=True).transform(500_300, 5_100_300) for tile in tiles]
    assert distance == pytest.approx(pyproj.Geod(ellps="WGS84").inv(*ends[0], *ends[1])[2], rel=1e-6)


def test_tiles_that_touch_without_padding_share_nothing():
    grid = Grid(60, 0, 10)
    tiles = [Tile(grid, 33, path, row) for path in range(4) for row in range(4)]
    assert find_overlaps(tiles, ["train", "val"] * 8) == []
    assert min_distances(tiles, ["train", "val"] * 8) == {("train", "val"): 0}


def test_fifty_thousand_tiles_take_seconds():
    tiles = [
        Tile(GRID, 32 + i // 125, i % 125 - (0 if i < 125 else 900), 8500 + j) for i in range(250) for j in range(200)
    ]
    splits = np.random.default_rng(0).choice(["train", "val", "test"], len(tiles), p=[0.8, 0.1, 0.1]).tolist()
    start = time.process_time()
    assert len(find_overlaps(tiles, splits)) > 50_000
    min_distances(tiles, splits)
    assert time.process_time() - start < 30


def finished(folder, splits, allow_overlap=None):
    """A ledger and indices of tiles side by side, with their dataset."""
    tiles = [Tile(GRID, 33, path, 8500) for path in range(len(splits))]
    rows = [LedgerRow(tile.key, split, 0, MADE, "", 1.0, 1) for tile, split in zip(tiles, splits, strict=True)]
    rows.append(LedgerRow(Tile(GRID, 33, 0, 8501).key, "val", 0, DROPPED, "guard", None, 1))
    write_ledger(folder / "ledger.csv", rows)
    columns = {"key": [row.tile for row in rows], "label": ["x"] * len(rows), "pixels": list(range(len(rows)))}
    write_geoparquet(folder / "conflicts.parquet", columns, core_outlines([Tile.from_key(row.tile) for row in rows]))
    counts = {"train": {1: 4000, 255: 96}, "val": {255: 4096}, "test": {}}
    (folder / "tfrecords").mkdir()
    found = {}
    for split, pixels in counts.items():
        shared = {"share": 0, "chips": 1, "weight": None, "weight_with_background": None, "bands": []}
        classes = {value: {"pixels": count, **shared} for value, count in pixels.items()}
        found[split] = {"chips": 1, "pixels": sum(pixels.values()), "bands": [], "classes": classes}
    (folder / "tfrecords/statistics.json").write_text(json.dumps(found))
    return (
        make_dataset(splitting={"by": "block", "allow_overlap": allow_overlap}),
        folder,
        folder / "audit.json",
        folder / "audit.log",
    )


def test_shared_ground_is_an_error_that_names_tiles(tmp_path):
    made = finished(tmp_path, ["train", "val", "val", "train"])
    write_audit(*made)
    assert json.loads(made[2].read_text())["passed"] is False and "2 pairs of tiles" in made[3].read_text()
    with pytest.raises(InputError, match=r"8500 \(train\) and .*:1:8500 \(val\) share 256 pixels; .*lists 2 of 2 such"):
        check_audit(made[2])


def test_shared_ground_that_is_allowed_is_told(tmp_path):
    made = finished(tmp_path, ["train", "val", "val", "train"], allow_overlap=True)
    write_audit(*made)
    check_audit(made[2])
    content = json.loads(made[2].read_text())
    assert content["passed"] is True
    assert content["shared"]["by_splits"] == {"train-val": {"pairs": 2, "pixels": 512}}
    text = made[2].read_text()
    assert '"pairs": 2' in text and '"pixels": 512' in text and '"empty_splits": [\n    "test"\n  ]' in text
    assert '"class": 1' in text and '"1": 0.976562' in text


def test_classes_and_empty_splits_are_told():
    tiles = [Tile(GRID, 33, path, 8500) for path in (0, 9)]
    rows = [
        LedgerRow(tile.key, split, 0, MADE, "", 1.0, 1) for tile, split in zip(tiles, ("train", "val"), strict=True)
    ]
    classes = {"train": Counter({1: 3000, 2: 1000, 255: 96}), "val": Counter({1: 4096}), "test": Counter()}
    content, lines = audit_splits(make_dataset(), rows, classes, {tiles[0].key: 0, tiles[1].key: 7})
    assert content["tiles"] == {"train": 1, "val": 1, "test": 0} and content["empty_splits"] == ["test"]
    assert content["lacking"] == [{"split": "val", "class": 2}]
    assert content["class_shares"]["train"] == {"1": 0.732422, "2": 0.244141, "255": 0.023438}
    assert content["conflicts"] == {"tiles": 1, "pixels": 7, "by_tile": {tiles[1].key: 7}}
    assert {"split test is empty", "split val has no pixel of class 2"} <= set(lines)
