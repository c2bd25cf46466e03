"""Splits of chips made elsewhere, and the ground that they share, against a comparison of all pairs."""

import math
from itertools import combinations

import pytest
import rasterio

from segchips.config.splitting import SplittingConfig
from segchips.errors import InputError
from segchips.records.chip_ground import Ground, find_shared_ground
from segchips.records.chip_splits import folder_splits, listed_splits
from segchips.records.conversion import convert
from segchips.records.dataset_files import read_info
from segchips.records.shard_index import read_index
from support.chips import random_pixels, records_config, write_chip

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
SIDE = 10


def export(root, stride, count=9, crs="EPSG:32633", step=1.0, corner=(500000.0, 5400000.0)):
    """Chips of SIDE x SIDE pixels, whose corners are `stride` pixels apart; returns the boxes in pixels by name."""
    boxes = {}
    for row in range(count):
        for column in range(count):
            name = f"{row:02d}_{column:02d}"
            place = rasterio.Affine(
                step, 0, corner[0] + column * stride * step, 0, -step, corner[1] - row * stride * step
            )
            for kind, bands in (("images", 3), ("labels", 1)):
                write_chip(
                    root / kind / f"{name}.tif", random_pixels("uint8", (SIDE, SIDE, bands)), transform=place, crs=crs
                )
            boxes[name] = (column * stride, row * stride)
    return boxes


def splits_of(directory):
    """The split of each chip, by the index of the shard that holds it."""
    found = {}
    for path in directory.glob("*.index-*.csv"):
        for entry in read_index(path):
            found[entry.tile] = path.name.partition("-")[2].partition(".")[0]
    return found


def too_close(boxes, splits, guard=0.0):
    """Pairs of chips of different splits that share pixels, or whose gap is smaller than the guard, in pixels."""
    close = []
    for one, other in combinations(sorted(boxes.keys() & splits.keys()), 2):
        gaps = [abs(a - b) - SIDE for a, b in zip(boxes[one], boxes[other], strict=True)]
        if splits[one] != splits[other] and (max(gaps) < 0 or math.hypot(*(max(0, gap) for gap in gaps)) < guard):
            close.append((one, other))
    return close


def test_shared_ground_is_told(tmp_path):
    boxes = export(tmp_path, 5, 6)
    with pytest.warns(UserWarning, match=r"\d+ pairs of chips of different splits overlap"):
        convert(tmp_path / "images", tmp_path / "labels", tmp_path / "out", "parcels", records_config(), workers=1)
    splits = splits_of(tmp_path / "out")
    grounds = {
        name: Ground.of("EPSG:32633", (500000 + x, 1, 0, 5400000 - y, 0, -1), SIDE, SIDE)
        for name, (x, y) in boxes.items()
    }
    shared = find_shared_ground(grounds, splits)
    assert [(pair.first, pair.second) for pair in shared] == too_close(boxes, splits)
    for pair in shared:
        sides = [SIDE - abs(a - b) for a, b in zip(boxes[pair.first], boxes[pair.second], strict=True)]
        assert pair.pixels == sides[0] * sides[1]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("guard", [0, 7])
@pytest.mark.parametrize(("crs", "step"), [("EPSG:32633", 1.0), ("EPSG:4326", 1e-5)])
def test_blocks_keep_splits_apart(tmp_path, guard, crs, step):
    corner = (500000.0, 5400000.0) if step == 1 else (15.0, 0.0)
    boxes = export(tmp_path, 5, 10, crs, step, corner)
    config = SplittingConfig(by="block", block=20.0, guard=guard)
    entries = convert(
        tmp_path / "images", tmp_path / "labels", tmp_path / "out", "p", records_config(splits=SHARES), splitting=config
    )
    splits = splits_of(tmp_path / "out")
    metres = 1.0 if step == 1 else 1.11320
    assert not too_close(boxes, splits, guard / metres)
    dropped = {entry.tile: entry.reason for entry in entries if entry.state == "dropped"}
    assert dropped and len(splits) + len(dropped) == len(boxes) and len(set(splits.values())) > 1
    assert all(("comes nearer than 7 m to" if guard else "shares ground with") in reason for reason in dropped.values())


def test_chips_without_location_cannot_be_split_by_block(tmp_path):
    for kind, bands in (("images", 3), ("labels", 1)):
        write_chip(tmp_path / kind / "a.tif", random_pixels("uint8", (8, 8, bands)), crs=None, transform=None)
    with pytest.raises(InputError, match="1 of 1 have none, such as a; use splitting.by: tile"):
        convert(
            *(tmp_path / name for name in ("images", "labels", "out")),
            "parcels",
            records_config(),
            splitting=SplittingConfig(by="block", block=20.0),
        )


def test_lists_and_folders_name_splits(tmp_path):
    names = [f"{split}/{number}" for split in ("training", "validation") for number in range(3)]
    assert set(folder_splits(names, ["train", "val"]).items()) == {
        (name, {"training": "train", "validation": "val"}[name.partition("/")[0]]) for name in names
    }
    assert folder_splits([*names, "other/1"], ["train", "val"]) == {} == folder_splits(["a", "b"], ["train"])
    for split, text in (("train", "# comment\na.tif\nb\n\n"), ("val", "images/c.png labels/c.png\n")):
        (tmp_path / split).write_text(text)
    lists = {split: str(tmp_path / split) for split in ("train", "val")}
    assert listed_splits(["a", "b", "x/c", "d"], lists) == {"a": "train", "b": "train", "x/c": "val"}
    (tmp_path / "val").write_text("a\n")
    with pytest.raises(InputError, match="val lists a, which is in the list of split train"):
        listed_splits(["a", "b"], lists)
    (tmp_path / "val").write_text("z\n")
    with pytest.raises(InputError, match="val names none of the 2 chips"):
        listed_splits(["a", "b"], lists)


def test_split_folders_decide(tmp_path):
    for split in ("train", "val", "test"):
        for number in range(2):
            for kind, bands in (("images", 3), ("labels", 1)):
                path = tmp_path / kind / split / f"{number}.tif"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_chip(path, random_pixels("uint8", (8, 8, bands)), crs=None, transform=None)
    convert(tmp_path / "images", tmp_path / "labels", tmp_path / "out", "parcels", records_config(shards=1))
    assert read_info(tmp_path / "out").splits == {"train": (2,), "val": (2,), "test": (2,)}
    assert all(name.startswith(f"{split}/") for name, split in splits_of(tmp_path / "out").items())


@pytest.mark.parametrize("name", ["all", "a+b", "train[:50%]", "Train", ""])
def test_split_names_that_tensorflow_datasets_cannot_read(tmp_path, name):
    with pytest.raises(InputError, match="split"):
        convert(tmp_path, tmp_path, tmp_path / "out", "parcels", records_config(splits={name: 1.0}))
    assert not (tmp_path / "out").exists()
