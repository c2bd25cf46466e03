import json
from collections import Counter

import numpy as np
import pytest
import rasterio

import segchips
from support.projects import Project


def write_pairs(project: Project, count: int = 8) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Chips as another tool would leave them: PNG with world files, and some that do not fit."""
    rng = np.random.default_rng(1)
    pairs = {}
    for kind in ("images", "labels"):
        (project.folder / "chips" / kind).mkdir(parents=True)
    for number in range(count):
        image, label = (rng.integers(0, 255, (bands, 20, 30), dtype=np.uint8) for bands in (3, 1))
        for kind, pixels in (("images", image), ("labels", label)):
            path = project.folder / "chips" / kind / f"chip {number}.png"
            with rasterio.open(path, "w", "PNG", 30, 20, len(pixels), dtype="uint8") as file:
                file.write(pixels)
            path.with_suffix(".pgw").write_text(f"10\n0\n0\n-10\n{5000 + 300 * number}\n8000\n")
        pairs[f"chip {number}"] = (image.transpose(1, 2, 0), label[0])
    (project.folder / "chips/images/alone.png").write_bytes((project.folder / "chips/images/chip 0.png").read_bytes())
    for kind in ("images", "labels"):
        (project.folder / "chips" / kind / "torn.png").write_bytes(b"\x89PNG\r\n")
    return pairs


def test_chips_made_elsewhere_become_shards(fresh: Project) -> None:
    pairs = write_pairs(fresh)
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


@pytest.mark.slow
def test_another_chip_converts_again(fresh: Project) -> None:
    write_pairs(fresh, 3)
    fresh.write({"datasets": {"foreign": {"chips": {"images": "chips/images", "labels": "chips/labels"}}}})
    fresh.run_and_count()
    assert fresh.run_and_count() == Counter()
    for kind in ("images", "labels"):
        folder = fresh.folder / "chips" / kind
        (folder / "chip 9.png").write_bytes((folder / "chip 1.png").read_bytes())
    assert fresh.run_and_count() == Counter(convert=1, all=1)
    assert sum(row["state"] == "made" for row in fresh.ledger("foreign")) == 4


@pytest.mark.slow
def test_folders_without_a_pair_are_named(fresh: Project) -> None:
    (fresh.folder / "chips/images").mkdir(parents=True)
    (fresh.folder / "chips/labels").mkdir()
    fresh.write({"datasets": {"foreign": {"chips": {"images": "chips/images", "labels": "chips/labels"}}}})
    result = fresh.run()
    assert result.returncode == 1
    assert "datasets.foreign: chips: chips/images holds no chips" in " ".join(result.stdout.split())
    assert "Traceback" not in result.stdout
