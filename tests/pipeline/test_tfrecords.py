import json
import shutil
import time
from collections import Counter

import geopandas
import numpy as np
import pytest
import rasterio
import shapely

import segchips
from support.projects import Project, chips_and_shards, chips_touched


def records(project: Project, split: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    loaded = segchips.load(project.results() / "tfrecords", split)
    return {record["identifier"].decode(): (record["image"], record["label"]) for record in loaded.as_numpy_iterator()}


def test_every_record_is_its_chips(sample_run: Project) -> None:
    rows = sample_run.ledger()
    for split in ("train", "val", "test"):
        found = records(sample_run, split)
        assert set(found) == {row["tile"] for row in rows if row["split"] == split}
        for key, (image, label) in found.items():
            name = f"{key.replace(':', '#')}.tif"
            with rasterio.open(sample_run.results() / "images" / name) as chip:
                np.testing.assert_array_equal(image, chip.read().transpose(1, 2, 0))
            with rasterio.open(sample_run.results() / "labels" / name) as chip:
                np.testing.assert_array_equal(label, chip.read(1))


def test_tensorflow_datasets_opens_the_result(sample_run: Project) -> None:
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(sample_run.results() / "tfrecords"))
    count = Counter(row["split"] for row in sample_run.ledger())
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {
        name: count[name] for name in ("train", "val", "test")
    }
    ours = records(sample_run, "train")
    for example in builder.as_dataset(split="train").as_numpy_iterator():
        image, label = ours[example["identifier"].decode()]
        np.testing.assert_array_equal(example["image"]["image_data"].reshape(image.shape), image)
        np.testing.assert_array_equal(example["target"]["target_data"].reshape(label.shape), label)


def test_storage_remakes_shards_alone(project: Project) -> None:
    before = records(project, "train")
    project.change("defaults.tfrecords.storage", "encoded")
    assert chips_and_shards(project.run_and_count()) == {"tfrecords": 6}
    after = records(project, "train")
    assert set(after) == set(before)
    for key, pair in before.items():
        np.testing.assert_array_equal(after[key][0], pair[0])
        np.testing.assert_array_equal(after[key][1], pair[1])


@pytest.mark.slow
def test_a_moved_polygon_costs_the_records_it_touches(project: Project) -> None:
    """The others are kept, and the files are those of a run from nothing."""
    project.change("defaults.tfrecords", {"shards": 1, "splits": {"train": 1.0}})
    project.run_and_count()
    layer = geopandas.read_file(project.folder / "resources/sample/labels.gpkg").to_crs(4326)
    number = next(n for n, shape in enumerate(layer.geometry) if len(chips_touched(project, [shape])) == 1)
    project.change("defaults.labels.path", "mine.gpkg")
    log = project.folder / "logs/sample/tfrecords/train-00000-of-00001.log"
    for _ in range(3):
        time.sleep(2.5)  # until no chip is so young that it is read again
        layer.loc[number, "geometry"] = shapely.affinity.translate(layer.geometry[number], 0.0002, 0)
        layer.to_file(project.folder / "mine.gpkg")
        made = project.run_and_count()
        assert (made["tfrecords"], made["images"]) == (1, 0)
    assert 0 < made["labels"] < 3
    assert log.read_text() == f"{made['labels']} records made, {6 - made['labels']} copied from the previous shard\n"
    files = project.file_bytes("results/sample/**/*")
    shutil.rmtree(project.folder / "results")
    project.run_and_count()
    assert project.file_bytes("results/sample/**/*") == files


@pytest.mark.slow
def test_another_number_of_shards_leaves_none_of_the_old(project: Project) -> None:
    before = {row["tile"]: (row["split"], row["shard"]) for row in project.ledger()}
    project.change("defaults.tfrecords.shards", 3)
    made = project.run_and_count()
    assert (made["tfrecords"], made["images"], made["labels"]) == (9, 0, 0)
    names = {path.name for path in (project.results() / "tfrecords").glob("sample-*.tfrecord-*")}
    assert names == {
        f"sample-{split}.tfrecord-0000{n}-of-00003" for split in ("train", "val", "test") for n in range(3)
    }
    info = json.loads((project.results() / "tfrecords" / "dataset_info.json").read_text())
    assert sum(int(length) for split in info["splits"] for length in split["shardLengths"]) == 6
    for row in project.ledger():
        split, shard = before[row["tile"]]
        assert row["reason"] == (
            "" if (row["split"], row["shard"]) == (split, shard) else f"moved from {split}/{shard}"
        )
    assert {row["reason"] for row in project.ledger()} != {""}


def test_other_splits_move_tiles_and_the_ledger_says_where_from(project: Project) -> None:
    before, chips = project.ledger(), project.file_bytes("results/**/*.tif")
    project.change("defaults.tfrecords.splits", {"train": 0.5, "test": 0.5})
    made = project.run_and_count()
    assert (made["images"], made["labels"]) == (0, 0)
    assert project.file_bytes("results/**/*.tif") == chips
    for old, new in zip(before, project.ledger(), strict=True):
        same = (old["split"], old["shard"]) == (new["split"], new["shard"])
        assert new["reason"] == ("" if same else f"moved from {old['split']}/{old['shard']}")
