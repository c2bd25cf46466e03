"""A shard with reused records has the bytes of one that is written from nothing."""

import json
import os
import random
import shutil

import numpy as np
import pytest

from segchips.records import reuse
from segchips.records.file_names import counts_path, index_name, provenance_path, shard_name
from segchips.records.shard_writer import write_shard
from support.chips import random_pixels, records_config, write_chip

SHAPE = (12, 10, 3)
KEYS = [f"60:2:10.0:33:{column}:{row}" for column in range(4) for row in range(4)]


@pytest.fixture(autouse=True)
def _old_chips(monkeypatch):
    """Chips are never too new, although each of these is a new file."""
    monkeypatch.setattr(reuse, "_TIMESTAMP_MARGIN", 0)


def put(root, kind, key, seed, dtype="uint8", valid=1.0):
    """A new chip in the place of any before; labels have few classes, in patches."""
    array = (
        random_pixels(dtype, SHAPE, seed, 99)
        if kind == "images"
        else np.random.default_rng(seed).integers(0, 4, (3, 2, 1))
    )
    if kind == "labels":
        array = array.repeat(4, axis=0).repeat(5, axis=1).astype(dtype)
    path = root / kind / f"{key.replace(':', '#')}.tif"
    write_chip(path.with_suffix(".new"), array, tags={"VALID": str(valid)}, nodata=7)
    path.with_suffix(".new").rename(path)


def chips(root, keys=KEYS, dtype="uint8", label="uint8"):
    for seed, key in enumerate(keys):
        put(root, "images", key, seed, dtype)
        put(root, "labels", key, 100 + seed, label)


def shard(root, keys, out="kept", recipe="as ever", **options):
    """Write the shard; the records that were made and kept, and the bytes of its files."""
    storage, compression = options.pop("storage", "array"), options.pop("compression", None)
    folder = root / out
    paths = folder / shard_name("d", "train", 0, 1), folder / index_name("d", "train", 0, 1)
    how = (
        {"": root / "images"},
        {"": root / "labels"},
        "train",
        records_config(storage, compression=compression),
        [options.pop("least", 0)],
    )
    count = write_shard(*paths, keys, *how, recipe=recipe, **options)
    return count, [path.read_bytes() for path in (*paths, counts_path(paths[1]))]


def fresh(root, keys, **options):
    """The same from nothing."""
    (made, none), content = shard(root, keys, "fresh", "", **options)
    assert none == 0 and not provenance_path(root / "fresh" / index_name("d", "train", 0, 1)).exists()
    return made, content


@pytest.mark.parametrize("unknown", [None, 200])
@pytest.mark.parametrize("compression", [None, "GZIP", "ZLIB"])
@pytest.mark.parametrize("storage", ["array", "float", "encoded", "png"])
def test_after_any_change_the_bytes_are_those_of_a_new_shard(tmp_path, storage, compression, unknown):
    chips(tmp_path)
    options = {"storage": storage, "compression": compression, "unknown": [unknown], "least": 0.5}
    draw, keys = random.Random(3), KEYS[:12]
    assert shard(tmp_path, keys, **options)[0] == (12, 0)
    for step in range(12):
        changed = set(draw.sample(keys, step % 4))
        for key in changed:
            put(tmp_path, draw.choice(["images", "labels"]), key, draw.randrange(10**6), valid=draw.choice([1.0, 0.1]))
        before = set(keys)
        if step % 3 == 0:
            keys = sorted(draw.sample(KEYS, draw.choice([11, 12, 13])))
        excluded = {keys[0]: "no image"} if step % 5 == 4 else {}
        (made, old), content = shard(tmp_path, keys, excluded=excluded, **options)
        total, expected = fresh(tmp_path, keys, excluded=excluded, **options)
        assert content == expected
        assert made + old == total
        assert old == 0 or made <= len(changed | (set(keys) - before)) + 4


def test_only_records_of_changed_chips_are_made(tmp_path):
    chips(tmp_path)
    assert shard(tmp_path, KEYS[:12])[0] == (12, 0)
    assert shard(tmp_path, KEYS[:12])[0] == (0, 12)
    put(tmp_path, "labels", KEYS[3], 7)
    assert shard(tmp_path, KEYS[:12])[0] == (1, 11)
    assert shard(tmp_path, KEYS[:13])[0] == (1, 12)
    assert shard(tmp_path, KEYS[2:13])[0] == (0, 11)


def test_nothing_is_reused_if_most_has_changed(tmp_path):
    chips(tmp_path)
    shard(tmp_path, KEYS)
    for key in KEYS[:8]:
        put(tmp_path, "images", key, 77)
    (made, old), content = shard(tmp_path, KEYS)
    assert (made, old) == (16, 0) and content == fresh(tmp_path, KEYS)[1]


@pytest.mark.parametrize(
    ("dtype", "label", "storage"),
    [
        ("float32", "uint8", "array"),
        ("int32", "uint8", "array"),
        ("uint8", "float32", "array"),
        ("uint8", "uint8", "jpeg"),
    ],
)
def test_counts_that_are_not_divisible_are_made_again(tmp_path, dtype, label, storage):
    chips(tmp_path, dtype=dtype, label=label)
    if label == "float32":
        write_chip(tmp_path / "labels" / f"{KEYS[0].replace(':', '#')}.tif", np.full((*SHAPE[:2], 1), 0.5, label))
    shard(tmp_path, KEYS, storage=storage)
    put(tmp_path, "labels", KEYS[3], 7, label)
    (made, old), content = shard(tmp_path, KEYS, storage=storage)
    assert (made, old) == (16, 0) and content == fresh(tmp_path, KEYS, storage=storage)[1]


def test_classes_that_come_and_go_are_counted_as_in_a_new_shard(tmp_path):
    """With more than 256 values in all, but never at once: what is gone does not count."""
    chips(tmp_path, label="uint16")
    for number, key in enumerate(KEYS):
        values = (number * 15 + np.arange(120) % 15).reshape(*SHAPE[:2], 1).astype("uint16")
        write_chip(tmp_path / "labels" / f"{key.replace(':', '#')}.tif", values)
    shard(tmp_path, KEYS)
    for number, key in enumerate(KEYS[:6]):
        values = (1000 + number * 15 + np.arange(120) % 15).reshape(*SHAPE[:2], 1).astype("uint16")
        write_chip(tmp_path / "labels" / f"{key.replace(':', '#')}.tif", values)
        os.utime(tmp_path / "labels" / f"{key.replace(':', '#')}.tif")
        (made, old), content = shard(tmp_path, KEYS)
        assert (made, old) == (1, 15) and content == fresh(tmp_path, KEYS)[1]


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 1
    path.write_bytes(content)


def edit_sources(index, edit):
    notes = json.loads(provenance_path(index).read_text())
    edit(notes["sources"])
    provenance_path(index).write_text(json.dumps(notes))


def others(folder):
    """Shards of the same tiles, from other chips of the same size."""
    folder.mkdir()
    chips(folder)
    for key in KEYS:
        put(folder, "images", key, 5)
    shard(folder, KEYS)


DAMAGES = {
    "a bit in the shard": lambda shard, index, root: flip(shard, 5000),
    "a shorter shard": lambda shard, index, root: os.truncate(shard, 9000),
    "another shard": lambda shard, index, root: shutil.copy(root / "other" / "kept" / shard.name, shard),
    "another shard and index": lambda shard, index, root: [
        shutil.copy(root / "other" / "kept" / path.name, path) for path in (shard, index)
    ],
    "an edited index": lambda shard, index, root: index.write_text(index.read_text().replace("1.0", "0.9")),
    "other pixel counts": lambda shard, index, root: shutil.copy(
        root / "other" / "kept" / counts_path(index).name, counts_path(index)
    ),
    "no pixel counts": lambda shard, index, root: counts_path(index).unlink(),
    "no index": lambda shard, index, root: index.unlink(),
    "no shard": lambda shard, index, root: shard.unlink(),
    "no provenance": lambda shard, index, root: provenance_path(index).unlink(),
    "provenance cut off": lambda shard, index, root: os.truncate(provenance_path(index), 700),
    "provenance of another kind": lambda shard, index, root: provenance_path(index).write_text("[1, 2]"),
    "provenance of nothing": lambda shard, index, root: edit_sources(
        index, lambda sources: sources.update(dict.fromkeys(KEYS, 5))
    ),
    "provenance without a tile": lambda shard, index, root: edit_sources(index, lambda sources: sources.popitem()),
    "the provenance of another shard": lambda shard, index, root: shutil.copy(
        provenance_path(root / "other" / "kept" / index.name), reuse.provenance_path(index)
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_nothing_is_reused_of_files_that_have_changed(tmp_path, damage):
    chips(tmp_path)
    others(tmp_path / "other")
    shard(tmp_path, KEYS)
    put(tmp_path, "labels", KEYS[3], 7)
    DAMAGES[damage](*(tmp_path / "kept" / name("d", "train", 0, 1) for name in (shard_name, index_name)), tmp_path)
    (made, old), content = shard(tmp_path, KEYS)
    assert (made, old) == (16, 0) and content == fresh(tmp_path, KEYS)[1]


def test_another_recipe_makes_all_records_again(tmp_path):
    chips(tmp_path)
    shard(tmp_path, KEYS)
    assert shard(tmp_path, KEYS, recipe="another")[0] == (16, 0)


def test_a_chip_of_the_same_size_and_age_is_another_one(tmp_path):
    chips(tmp_path)
    shard(tmp_path, KEYS)
    path = tmp_path / "images" / f"{KEYS[5].replace(':', '#')}.tif"
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns, path.stat().st_ino) == (
        status.st_size,
        status.st_mtime_ns,
        status.st_ino,
    )
    (made, old), after = shard(tmp_path, KEYS)
    assert (made, old) == (1, 15) and after == fresh(tmp_path, KEYS)[1]


def test_a_chip_that_was_new_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(reuse, "_TIMESTAMP_MARGIN", 60)
    chips(tmp_path)
    shard(tmp_path, KEYS)
    assert shard(tmp_path, KEYS)[0] == (16, 0)
    monkeypatch.setattr(reuse, "_TIMESTAMP_MARGIN", 0)
    shard(tmp_path, KEYS)
    assert shard(tmp_path, KEYS)[0] == (0, 16)


def test_a_missing_chip_is_named_and_not_reused(tmp_path):
    chips(tmp_path)
    shard(tmp_path, KEYS)
    (tmp_path / "labels" / f"{KEYS[5].replace(':', '#')}.tif").unlink()
    with pytest.raises(Exception, match=f"{KEYS[5].replace(':', '#')}.tif cannot be read: No such file"):
        shard(tmp_path, KEYS)


def test_a_chip_unlike_the_reused_ones_is_named(tmp_path):
    chips(tmp_path)
    shard(tmp_path, KEYS)
    name = f"{KEYS[5].replace(':', '#')}.tif"
    write_chip(tmp_path / "images" / name, random_pixels("uint16", SHAPE))
    with pytest.raises(Exception, match="all chips of a dataset need the same size"):
        shard(tmp_path, KEYS)
