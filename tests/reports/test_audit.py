"""The audit of a dataset's results: its content, log lines and errors."""

import json
from collections import Counter

import pyarrow as pa
import pytest

from segchips.errors import InputError
from segchips.grids.outlines import core_outlines
from segchips.grids.tile import Grid, Tile
from segchips.grids.tile_array import ByTile, TileKeys
from segchips.reports.audit import audit_splits, check_audit, write_audit
from segchips.reports.ledger import LedgerRow, write_ledger
from segchips.tiles.assignment import DROPPED, MADE
from segchips.vectors.geoparquet import write_geoparquet
from support.datasets import make_dataset

GRID = Grid(64, 2, 10)


def write_results(folder, splits, allow_overlap=None):
    """A ledger and indices of tiles side by side, with their dataset."""
    tiles = [Tile(GRID, 33, path, 8500) for path in range(len(splits))]
    rows = [LedgerRow(tile.key, split, 0, MADE, "", 1.0, 1) for tile, split in zip(tiles, splits, strict=True)]
    rows.append(LedgerRow(Tile(GRID, 33, 0, 8501).key, "val", 0, DROPPED, "guard", None, 1))
    write_ledger(folder / "ledger.csv", rows)
    columns = {"key": [row.tile for row in rows], "label": ["x"] * len(rows), "pixels": list(range(len(rows)))}
    write_geoparquet(folder / "conflicts.parquet", columns, core_outlines([Tile.from_key(row.tile) for row in rows]))
    counts = {"train": {1: 4000, 255: 96}, "val": {255: 4096}, "test": {}}
    (folder / "tfrecords").mkdir()
    statistics = {}
    for split, pixels in counts.items():
        shared = {"share": 0, "chips": 1, "weight": None, "weight_with_background": None, "bands": []}
        classes = {value: {"pixels": count, **shared} for value, count in pixels.items()}
        statistics[split] = {"chips": 1, "pixels": sum(pixels.values()), "bands": [], "classes": classes}
    (folder / "tfrecords/statistics.json").write_text(json.dumps(statistics))
    return (
        make_dataset(splitting={"by": "block", "allow_overlap": allow_overlap}),
        folder,
        folder / "audit.json",
        folder / "audit.log",
    )


def test_an_overlap_is_an_error_that_names_tiles(tmp_path):
    files = write_results(tmp_path, ["train", "val", "val", "train"])
    write_audit(*files)
    assert json.loads(files[2].read_text())["passed"] is False and "2 pairs of tiles" in files[3].read_text()
    with pytest.raises(InputError, match=r"8500 \(train\) and .*:1:8500 \(val\) share 256 pixels; .*lists 2 of 2 such"):
        check_audit(files[2])


def test_an_allowed_overlap_passes_and_is_listed(tmp_path):
    files = write_results(tmp_path, ["train", "val", "val", "train"], allow_overlap=True)
    write_audit(*files)
    check_audit(files[2])
    content = json.loads(files[2].read_text())
    assert content["passed"] is True
    assert content["shared"]["by_splits"] == {"train-val": {"pairs": 2, "pixels": 512}}
    text = files[2].read_text()
    assert '"pairs": 2' in text and '"pixels": 512' in text and '"empty_splits": [\n    "test"\n  ]' in text
    assert '"class": 1' in text and '"1": 0.976562' in text


def test_lacking_classes_and_empty_splits_are_named():
    tiles = [Tile(GRID, 33, path, 8500) for path in (0, 9)]
    rows = [
        LedgerRow(tile.key, split, 0, MADE, "", 1.0, 1) for tile, split in zip(tiles, ("train", "val"), strict=True)
    ]
    classes = {"train": Counter({1: 3000, 2: 1000, 255: 96}), "val": Counter({1: 4096}), "test": Counter()}
    content, lines = audit_splits(
        make_dataset(), rows, classes, ByTile(TileKeys([tile.key for tile in tiles]), pa.array([0, 7]))
    )
    assert content["tiles"] == {"train": 1, "val": 1, "test": 0} and content["empty_splits"] == ["test"]
    assert content["lacking"] == [{"split": "val", "class": 2}]
    assert content["class_shares"]["train"] == {"1": 0.732422, "2": 0.244141, "255": 0.023438}
    assert content["conflicts"] == {"tiles": 1, "pixels": 7, "by_tile": {tiles[1].key: 7}}
    assert {"split test is empty", "split val has no pixel of class 2"} <= set(lines)
