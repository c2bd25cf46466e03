import json
import os
import time
from collections import Counter

import numpy as np
import pytest

import segchips
from support.chips import write_png_pairs
from support.projects import Project


def test_chips_made_elsewhere_become_shards(fresh: Project) -> None:
    pairs = write_png_pairs(fresh.folder)
    fresh.write(
        {
            "defaults": fresh.config["defaults"],
            "datasets": {
                "foreign": {
                    "chips": {"images": "chips/images", "labels": "chips/labels"},
                    "tfrecords": {"storage": "png", "shards": None, "splits": {"train": 1}},
                }
            },
        }
    )
    assert fresh.run_and_count() == Counter(convert=1, all=1)
    found = {}
    for record in segchips.load(fresh.results("foreign") / "tfrecords", "train").as_numpy_iterator():
        found[record["identifier"].decode().partition("|")[0]] = (record["image"], record["label"])
    assert set(found) == {f"{name}.png" for name in pairs}
    for name, (image, label) in pairs.items():
        np.testing.assert_array_equal(found[f"{name}.png"][0], image)
        np.testing.assert_array_equal(found[f"{name}.png"][1], label)
    rows = {row["tile"]: row for row in fresh.ledger("foreign")}
    assert {name for name, row in rows.items() if row["state"] == "made"} == set(pairs)
    assert "no label of the same name" in rows["alone"]["reason"]
    assert "torn.png" in rows["torn"]["reason"]
    assert segchips.verify(fresh.results("foreign") / "tfrecords") == []
    assert fresh.run_and_count() == Counter()
    info = json.loads((fresh.results("foreign") / "tfrecords/dataset_info.json").read_text())
    assert [split["shardLengths"] for split in info["splits"]] == [["8"]]


def made_and_reused(project: Project) -> str:
    return (project.folder / "logs/foreign/convert.log").read_text().splitlines()[-1]


@pytest.mark.slow
def test_contents_decide_and_records_of_unchanged_chips_are_reused(fresh: Project) -> None:
    write_png_pairs(fresh.folder, 8)
    fresh.write({"datasets": {"foreign": {"chips": {"images": "chips/images", "labels": "chips/labels"}}}})
    for path in (fresh.folder / "chips").rglob("*"):
        os.utime(path, (1e9, 1e9))
    time.sleep(2.1)  # a file that is newer could change within the resolution of its times
    fresh.run_and_count()
    assert made_and_reused(fresh) == "8 records made, 0 reused"
    for kind in ("images", "labels"):
        folder = fresh.folder / "chips" / kind
        (folder / "chip 9.png").write_bytes((folder / "chip 1.png").read_bytes())
        os.utime(folder / "chip 2.png")
    time.sleep(2.1)
    assert fresh.run_and_count() == Counter(convert=1, all=1)
    made, reused = (int(word) for word in made_and_reused(fresh).split() if word.isdigit())
    assert made + reused == 9 and 1 <= made < 9
    for kind in ("images", "labels"):
        os.utime(fresh.folder / "chips" / kind / "chip 3.png")
    assert fresh.run_and_count() == Counter()
    next((fresh.results("foreign") / "tfrecords").glob("*.tfrecord-*")).unlink()
    assert fresh.run_and_count() == Counter(convert=1, all=1)
    assert fresh.run_and_count() == Counter()
    assert segchips.verify(fresh.results("foreign") / "tfrecords") == []
    assert segchips.statistics(fresh.results("foreign") / "tfrecords")["train"].chips > 0
    assert json.loads((fresh.results("foreign") / "audit.json").read_text())["passed"]
    assert "image chips and label chips" in (fresh.results("foreign") / "README.md").read_text()


@pytest.mark.slow
def test_folders_without_a_pair_are_named(fresh: Project) -> None:
    (fresh.folder / "chips/images").mkdir(parents=True)
    (fresh.folder / "chips/labels").mkdir()
    fresh.write({"datasets": {"foreign": {"chips": {"images": "chips/images", "labels": "chips/labels"}}}})
    result = fresh.run()
    assert result.returncode == 1
    assert "datasets.foreign: chips: chips/images holds no chips, nor" in " ".join(result.stdout.split())
    assert "Traceback" not in result.stdout
