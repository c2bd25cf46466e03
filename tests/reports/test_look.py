"""The page of `segchips look`: the state of every tile from files alone, pictures of all layers, steps and targets."""

import base64
import json
import re
import shutil
import zlib
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio

from segchips.cli import main
from segchips.grids.tile import Grid, Tile, chip_filename, chip_name
from segchips.records.shard_index import IndexEntry, write_index
from segchips.reports.look import write_look
from segchips.reports.progress_rows import READY, read_progress
from segchips.scenes.lock import write_locks
from segchips.scenes.pinning import SceneLock
from segchips.splits.splits import write_splits
from segchips.tiles.assignment import DROPPED, MADE, PLANNED, TileAssignment
from segchips.tiles.manifest import write_manifest
from support.chips import write_chip
from support.report_results import make_scene

TILES = [Tile(Grid(16, 2, 10.0), 33, path, 8465) for path in range(-60, -52)]
KEYS = [tile.key for tile in TILES]


@pytest.fixture
def folder(tmp_path):
    """A dataset in the making: 0 is in a shard, 1 has its chips, 2 an image, 3 failed, 4 is excluded, 5 dropped."""
    folder, logs = tmp_path / "results" / "d", tmp_path / "logs" / "d"
    dropped = {5: (DROPPED, "select: 3 of 144 pixels are labelled")}
    rows = [
        TileAssignment(key, ("train", "test")[number % 2], 0, *dropped.get(number, (PLANNED, "")))
        for number, key in enumerate(KEYS)
    ]
    folder.mkdir(parents=True)
    write_manifest(folder / "tiles.parquet", rows)
    write_splits(folder / "splits.parquet", rows, "x", {})
    for number in (0, 1, 2):
        write_chip(folder / "images" / chip_filename(KEYS[number]), np.full((16, 16, 3), 100 + number, "uint16"))
    for number in (0, 1, 3):
        label = np.full((16, 16, 1), 255, "uint8")
        label[:4] = 1 + number
        write_chip(folder / "labels" / chip_filename(KEYS[number]), label, nodata=255)
    (folder / "images" / chip_filename(KEYS[4])).touch()
    (logs / "images").mkdir(parents=True)
    (logs / "images" / f"{chip_name(KEYS[3])}.log").write_text("scene a: 'http://x.org/a.tif?sig=1' cannot be read\n")
    (logs / "images" / f"{chip_name(KEYS[4])}.log").write_text("scene b cannot be read\n")
    (logs / "images" / f"{chip_name(KEYS[1])}.log").write_text("a note of a chip that was made\n")
    (folder / "tfrecords").mkdir()
    write_index(folder / "tfrecords" / "d-train.index-00000-of-00001.csv", [IndexEntry(KEYS[0], MADE, "", 0.5, 0, 9)])
    return folder


def states(folder):
    rows = read_progress(folder, folder.parents[1] / "logs" / "d").rows
    assert [row.tile for row in rows] == KEYS
    return [(row.state, row.reason) for row in rows]


def test_every_tile_has_the_state_that_the_files_tell(folder):
    assert states(folder) == [
        ("made", ""),
        ("unfinished", READY),
        ("unfinished", "not made yet: label"),
        ("failed", "scene a: 'http://x.org/a.tif?sig=1' cannot be read"),
        ("excluded", "scene b cannot be read"),
        ("dropped", "select: 3 of 144 pixels are labelled"),
        ("unfinished", "not made yet: image, label"),
        ("unfinished", "not made yet: image, label"),
    ]


def test_before_splits_and_chips_all_tiles_are_to_be_made(folder):
    for path in [*folder.rglob("*.tif"), folder / "splits.parquet"]:
        path.unlink()
    (folder / "images").rmdir()
    (folder / "labels").rmdir()
    assert states(folder)[1:3] == [("unfinished", "not made yet: all chips")] * 2


def page_data(page):
    packed = re.search(r'<script id="data"[^>]*>([^<]+)<', page)[1]
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def look(folder, count=60):
    write_look(folder, folder.parents[1] / "logs" / "d", folder / "look", count)
    page = (folder / "look" / "index.html").read_text(encoding="utf-8")
    return page, page_data(page)


def test_the_page_holds_tiles_states_and_reasons(folder):
    page, data = look(folder)
    assert data["tiles"]["keys"].split("\n") == KEYS and "squares" not in data
    assert [data["states"][number] for number in data["tiles"]["state"]] == [
        *("made", "chips ready", "unfinished", "failed", "excluded", "dropped", "unfinished", "unfinished")
    ]
    assert "sig=1" not in page + json.dumps(data), "signatures are no part of a page"
    assert "scene a: &#39;http://x.org/a.tif&#39; cannot be read" in page
    quads = np.cumsum(np.array(data["tiles"]["quads"]).reshape(-1, 8), axis=0)
    assert quads.min() > 0 and (quads.max(axis=0) < data["size"] * 4).all() and (np.diff(quads[:, 0]) > 0).all()
    assert set(re.findall(r'<tr><td><button class="go id" data-tile="([^"]+)"', page)) == {KEYS[3], KEYS[4]}
    assert "8 tiles: 1 made, 1 failed, 4 unfinished, 1 excluded, 1 dropped" in page


def test_pictures_are_files_beside_the_page(folder):
    _, data = look(folder)
    shown = {one["tile"]: one for one in data["shown"]}
    assert [KEYS.index(key) for key in shown] == [0, 1, 2], "an empty file is no chip"
    assert shown[KEYS[2]]["labels"] == [] and [value for value, *_ in data["legend"][""]] == [1, 2]
    ((title, name),) = shown[KEYS[0]]["labels"]
    with rasterio.open(folder / "look" / "pictures" / name) as picture:
        opacity = picture.read(4)
    assert title == "" and (opacity[:4] == 255).all() and not opacity[4:].any(), "the background is clear"
    assert len(look(folder, count=1)[1]["shown"]) == 1
    assert len(list((folder / "look" / "pictures").iterdir())) <= 2, "former pictures are gone"


def test_layers_steps_and_targets_are_all_there(folder):
    for part in ("images", "labels"):
        for path in (folder / part).iterdir():
            path.unlink()
    name = chip_filename(KEYS[0])
    steps = [{"start": f"2023-0{month}-01", "end": f"2023-0{month}-28"} for month in (1, 2)]
    series = folder / "images" / "s2" / name
    write_chip(series, np.arange(16 * 16 * 4, dtype="uint16").reshape(16, 16, 4))
    with rasterio.open(series, "r+") as chip:
        chip.update_tags(STEPS=json.dumps(steps))
    write_chip(folder / "images" / "dem" / name, np.ones((16, 16, 1), "float32"))
    write_chip(folder / "labels" / "height" / name, np.ones((16, 16, 1), "float32"))
    write_chip(folder / "labels" / "roofs" / name, np.full((16, 16, 1), 7, "uint16"))
    _, data = look(folder)
    (one,) = data["shown"]
    titles = [title for title, _ in one["images"]]
    assert titles == ["dem", "s2 2023-01-01 to 2023-01-28", "s2 2023-02-01 to 2023-02-28"]
    assert [title for title, _ in one["labels"]] == ["height", "roofs"] and data["legend"]["height"] == []


def test_a_chip_that_cannot_be_read_is_said_and_hides_no_other(folder):
    path = folder / "images" / chip_filename(KEYS[1])
    path.write_bytes(path.read_bytes()[:200])
    _, data = look(folder)
    (broken,) = [one for one in data["shown"] if one["broken"]]
    assert "cannot be read" in broken["broken"] and "delete it and run again" in broken["broken"]
    assert len(data["shown"]) == 3


def test_the_command_writes_into_the_dataset_s_folder(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder.parents[1])
    main(["look", "results/d", "--chips", "2"])
    assert "results/d/look/index.html: 8 tiles" in capsys.readouterr().out
    assert "scene a" in (folder / "look" / "index.html").read_text(), "the logs beside the results are found"


def test_a_folder_of_something_else_is_said(tmp_path):
    with pytest.raises(SystemExit, match="has no tiles.parquet; name the folder of a dataset, such as results/sample"):
        main(["look", str(tmp_path)])


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A dataset of 12,100 tiles of which 1 is made, 70 failed and 3 are excluded; its folder and those states."""
    folder = tmp_path_factory.mktemp("many") / "results" / "d"
    tiles = [Tile(Grid(16, 2, 10.0), 33, path, 8000 + row) for row in range(110) for path in range(-60, 50)]
    rows = [TileAssignment(tile.key, ("train", "test")[tile.row % 2], 0) for tile in tiles]
    folder.mkdir(parents=True)
    write_manifest(folder / "tiles.parquet", rows)
    states = dict.fromkeys((row.key for row in rows), "unfinished")
    logs = folder.parents[1] / "logs" / "d" / "images"
    logs.mkdir(parents=True)
    for number, row in enumerate(rows[5000:5073]):
        states[row.key] = "excluded" if number < 3 else "failed"
        (logs / f"{chip_name(row.key)}.log").write_text(f"scene {number} cannot be read\n")
    for key, state in states.items():
        if state == "excluded":
            (folder / "images").mkdir(exist_ok=True)
            (folder / "images" / chip_filename(key)).touch()
    write_chip(folder / "images" / chip_filename(rows[9].key), np.full((16, 16, 3), 100, "uint16"))
    (folder / "tfrecords").mkdir()
    made = IndexEntry(rows[9].key, MADE, "", 0.5, 0, 9)
    write_index(folder / "tfrecords" / "d-test.index-00000-of-00001.csv", [made])
    states[rows[9].key] = "made"
    return folder, states


def blocks_of(folder):
    """The tiles of all files beside the page."""
    texts = [path.read_text() for path in sorted((folder / "look" / "tiles").iterdir())]
    packed = [re.fullmatch(r'addTiles\(\d+, "(.+)"\);\n', text)[1] for text in texts]
    return [json.loads(zlib.decompress(base64.b64decode(text))) for text in packed]


def test_the_page_of_many_tiles_has_squares_and_files_of_tiles(many):
    folder, states = many
    page, data = look(folder)
    assert len(page) < 300_000
    found, place = {}, {}
    for block in blocks_of(folder):
        quads = np.cumsum(np.array(block["quads"]).reshape(-1, 4, 2), axis=0).mean(axis=1)
        for key, state, middle in zip(block["keys"].split("\n"), block["state"], quads, strict=True):
            found[key], place[key] = data["states"][state], middle
    assert found == states, "each tile once"
    assert dict(zip(data["states"], data["state_counts"], strict=True)) == Counter(states.values())
    squares = data["squares"]
    counts = Counter()
    for key, state in states.items():
        counts[tuple((place[key] // squares["side"]).astype(int).tolist()), state] += 1
    shown = {
        ((squares["x"][square], squares["y"][square]), data["states"][state]): count
        for square, state, count in np.array(squares["state"]).reshape(-1, 3).tolist()
    }
    assert shown == counts


def test_failed_tiles_are_listed_up_to_a_limit_that_is_said(many):
    folder, states = many
    page, data = look(folder)
    listed = re.findall(r'<tr><td><button class="go id" data-tile="([^"]+)"', page)
    assert len(listed) == 50 and [states[key] for key in listed[:4]] == ["excluded", "excluded", "excluded", "failed"]
    assert "and 23 more; the map shows them alone without the other states" in page
    assert set(listed) <= set(data["tiles"]["keys"].split("\n")), "they are shown without reading a file"


def test_chips_of_a_portion_under_way_count_where_others_have_no_folder_yet(folder):
    """Locks tell which layers and targets are still to come."""
    scenes = [make_scene("s2", "a", 1, None)]
    pinned = SceneLock.of("{}", scenes, dict.fromkeys(KEYS, (0,)))
    others = SceneLock.of("{}", scenes, {key: (0,) if key in KEYS[:6] else () for key in KEYS})
    write_locks(folder / "scenes.parquet", {"s2": pinned, "dem": pinned})
    for part in ("images", "labels"):
        for path in (folder / part).iterdir():
            path.unlink()
    write_chip(folder / "images" / "s2" / chip_filename(KEYS[6]), np.full((16, 16, 3), 1, "uint16"))
    write_chip(folder / "labels" / chip_filename(KEYS[6]), np.full((16, 16, 1), 1, "uint8"), nodata=255)
    assert states(folder)[6:] == [
        ("unfinished", "not made yet: image dem"),
        ("unfinished", "not made yet: image s2, image dem, label"),
    ]
    write_chip(folder / "images" / "dem" / chip_filename(KEYS[6]), np.full((16, 16, 3), 1, "uint16"))
    assert states(folder)[6] == ("unfinished", READY)
    write_locks(folder / "scenes.parquet", {"s2": others, "dem": pinned})
    assert states(folder)[6:] == [("unfinished", READY), ("no scenes", "s2: no scene of the tile")]


def test_image_chips_alone_are_not_ready_before_any_label_is_made(folder):
    shutil.rmtree(folder / "labels")
    pq.write_table(pa.table({"tile": KEYS}), folder / "labels.parquet")
    assert states(folder)[1] == ("unfinished", "not made yet: label")
