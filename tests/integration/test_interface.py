"""What configs, scripts and training code outside this repository rely on.

A config of the first release works unchanged, its keys stay where they are, and it makes the same dataset: no tile
changes split or shard, and none is dropped.
"""

import csv
import hashlib

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio

import segchips
from support.projects import Project

SPLITS = {"train": 0.5, "val": 0.25, "test": 0.25}
CONFIG = {
    "results": "results",
    "defaults": {
        "tiles": {"size": 64, "pad": 2, "resolution": 10, "aoi": "resources/sample/aoi.gpkg", "keys": None},
        "imagery": {
            "source": "stac",
            "catalog": "resources/sample/catalog.json",
            "products": [{"id": "sample-l2a", "bands": ["B04", "B03", "B02"], "resampling": "nearest"}],
            "start": "2023-01-01",
            "end": "2023-12-31",
            "max_cloud": 0.9,
            "composite": "closest",
            "reference_date": "2023-06-30",
            "cloud_mask": {"asset": "cloud_mask", "clear": [0]},
            "min_valid": 0.0,
        },
        "labels": {
            "path": "resources/sample/labels.gpkg",
            "layer": None,
            "attribute": "class",
            "classes": {"water": 1, "forest": 2, "field": 3, "built": 4, "road": 5},
            "background": 255,
            "all_touched": True,
        },
        "tfrecords": {"storage": "array", "shards": 4, "compression": None, "splits": SPLITS},
    },
    "datasets": {"first": {}},
}


def drawn(key: str, salt: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8, salt=salt).digest(), "little")


def split_of(key: str) -> str:
    """Shares of the unit interval, in the config's order."""
    draw = drawn(key, b"split") / 2**64
    return "train" if draw < 0.5 else "val" if draw < 0.75 else "test"


@pytest.mark.slow
def test_a_config_of_the_first_release_makes_the_same_dataset(fresh: Project) -> None:
    fresh.write(CONFIG)
    result = fresh.run()
    assert result.returncode == 0, result.stdout
    folder = fresh.results("first")
    manifest = pq.read_table(folder / "tiles.parquet")
    assert {"key", "split", "shard", "state", "geometry"} <= set(manifest.column_names)
    with (folder / "ledger.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {"tile", "split", "shard", "state", "reason", "valid", "scenes"} <= set(rows[0])
    assert [row["state"] for row in rows] == ["made"] * 6
    for row in (*rows, *({**row, "tile": row["key"]} for row in manifest.to_pylist())):
        assert row["split"] == split_of(row["tile"])
        assert int(row["shard"]) == drawn(row["tile"], b"shard") % 4
    for split in SPLITS:
        for record in segchips.load(folder / "tfrecords", split).as_numpy_iterator():
            name = f"{record['identifier'].decode().replace(':', '#')}.tif"
            with rasterio.open(folder / "labels" / name) as label, rasterio.open(folder / "images" / name) as image:
                np.testing.assert_array_equal(record["label"], label.read(1))
                np.testing.assert_array_equal(record["image"], image.read().transpose(1, 2, 0))
    assert fresh.run("--dry-run").returncode == 0
