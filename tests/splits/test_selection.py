"""Selection against the pixels of burned labels."""

import numpy as np
import pytest
import shapely

from segchips.errors import InputError
from segchips.labels.chip import make_label
from segchips.labels.features import LabelFeatures
from segchips.labels.lock import lock_labels
from segchips.records.chip_reader import read_chip
from segchips.splits.selection import count_classes, deselect, read_counts
from segchips.splits.splits import make_splits, read_splits
from support.assignments import write_dataset_manifest
from support.datasets import make_dataset, tile_at
from support.label_locks import with_digest
from support.vectors import write_vectors

TILES = [tile_at(16, 0, east=east) for east in range(40)]


def pixels(**counts):
    pixels_of = np.zeros(256, np.int64)
    for name, count in counts.items():
        pixels_of[int(name[1:])] = count
    return pixels_of


COUNTS = {
    "full": pixels(v1=100),
    "half": pixels(v1=40, v2=10, v255=50),
    "little": pixels(v2=4, v255=96),
    "empty": pixels(v255=100),
}


@pytest.mark.parametrize(
    ("select", "kept"),
    [
        ({}, "full half little empty"),
        ({"labelled": {"min": 0.5}}, "full half"),
        ({"labelled": {"min": 0.04}}, "full half little"),
        ({"labelled": {"max": 0.5}}, "half little empty"),
        ({"classes": {"2": {"min": 0.05}}}, "half"),
        ({"classes": {"2": {"max": 0.04}}}, "full little empty"),
        ({"classes": {"2": {"min": 0.04}, "1": {"max": 0.1}}}, "little"),
        ({"empty": 0}, "full half little"),
        ({"empty": 1, "labelled": {"min": 0.1}}, "full half empty"),
    ],
)
def test_tiles_are_kept_by_their_shares(select, kept):
    dataset = make_dataset(select=select)
    reasons = deselect(dataset.select, dataset.labels.first, COUNTS, 0)
    assert set(COUNTS) - set(reasons) == set(kept.split())


def test_the_reason_gives_the_numbers():
    dataset = make_dataset(select={"labelled": {"min": 0.1}, "classes": {"1": {"max": 0.5}}, "empty": 0})
    assert deselect(dataset.select, dataset.labels.first, COUNTS, 0) == {
        "full": "select: 100 of 100 pixels are classes.1, select.classes.1.max is 0.5",
        "little": "select: 4 of 100 pixels are labelled, select.labelled.min is 0.1",
        "empty": "select: no pixel is labelled, and select.empty keeps 0 of such tiles",
    }


def test_a_share_of_empty_tiles_is_kept_by_a_seeded_draw_of_each():
    dataset = make_dataset(select={"empty": 0.2})
    empty = {f"60:2:10.0:33:{number}:1": pixels(v255=9) for number in range(5000)}
    first, again, other = (set(deselect(dataset.select, dataset.labels.first, empty, seed)) for seed in (0, 0, 1))
    assert first == again != other
    assert abs(len(first) / 5000 - 0.8) < 4 * np.sqrt(0.8 * 0.2 / 5000)
    some = dict(list(empty.items())[:50])
    assert set(deselect(dataset.select, dataset.labels.first, some, 0)) == first & set(some)


def labelled(folder, **keys):
    """A dataset whose first tiles are labelled, more and more of each."""
    west, south, _, north = TILES[0].bounds
    boxes = [shapely.box(west + 160 * n, south, west + 160 * n + 8 * n, north) for n in range(1, 20)]
    path = write_vectors(folder / "labels.gpkg", boxes, "EPSG:32633", kind=[1 + n % 3 for n in range(1, 20)])
    return make_dataset(labels={"path": path, "attribute": "kind", "all_touched": False}, **keys)


def test_counts_are_those_of_the_label_chips(tmp_path):
    dataset = labelled(tmp_path)
    features = LabelFeatures(dataset.labels.first)
    lock = lock_labels(features, TILES, "code")
    keys = [tile.key for tile in TILES]
    counts = count_classes(dataset.labels.first, lock, keys, {})
    for tile in TILES:
        make_label(features, tile, lock.feature_indices[tile.key], tmp_path / "chip.tif")
        _, chip = read_chip(tmp_path / "chip.tif")
        assert counts[tile.key].tolist() == [int((chip == value).sum()) for value in range(256)]
    assert sum(count[255] < 256 for count in counts.values()) == 19


def test_the_file_of_splits_keeps_counts_of_labels_that_stay(tmp_path):
    dataset = labelled(tmp_path, select={"labelled": {"min": 0.3}}, splitting={"by": "block", "allow_overlap": True})
    features = LabelFeatures(dataset.labels.first)
    lock = lock_labels(features, TILES, "code")
    write_dataset_manifest(tmp_path / "tiles.parquet", TILES, dataset)
    make_splits(dataset, tmp_path / "tiles.parquet", tmp_path / "splits.parquet", lock, "")
    rows = {row.key: row for row in read_splits(tmp_path / "splits.parquet")}
    for number, tile in enumerate(TILES):
        share = round(number * 8 / 10 + 1e-9) / 16 if number < 20 else 0
        assert (rows[tile.key].state == "planned") == (share >= 0.3), (number, rows[tile.key])
    counts = read_counts(tmp_path / "splits.parquet", lock)
    assert counts.keys() == lock.digests.keys()
    other = with_digest(lock, 3, "other")
    assert lock.digests.keys() - read_counts(tmp_path / "splits.parquet", other).keys() == {TILES[3].key}


def test_a_selection_that_leaves_nothing_is_an_error(tmp_path):
    dataset = labelled(tmp_path, select={"labelled": {"min": 0.99}})
    lock = lock_labels(LabelFeatures(dataset.labels.first), TILES, "code")
    write_dataset_manifest(tmp_path / "tiles.parquet", TILES, dataset)
    with pytest.raises(InputError, match=r"none of the 40 tiles is left; .*select\.labelled\.min is 0\.99"):
        make_splits(dataset, tmp_path / "tiles.parquet", tmp_path / "splits.parquet", lock, "")
    assert not (tmp_path / "splits.parquet").exists()
