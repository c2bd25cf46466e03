"""The page of `segchips look`: the state of every tile from files alone, pictures of all layers, steps and targets."""

import base64
import json
import re
import zlib

import numpy as np
import pytest
import rasterio

from segchips.cli import main
from segchips.grids.tile import Grid, Tile, chip_filename, chip_name
from segchips.records.shard_index import IndexEntry, write_index
from segchips.reports.look import write_look
from segchips.reports.progress_rows import READY, progress_rows
from segchips.splits.splits import write_splits
from segchips.tiles.assignment import DROPPED, MADE, PLANNED, TileAssignment
from segchips.tiles.manifest import write_manifest
from support.chips import write_chip

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
    rows = progress_rows(folder, folder.parents[1] / "logs" / "d")
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
    assert data["tiles"].split("\n") == KEYS
    assert [data["states"][number] for number in data["state"]] == [
        *("made", "chips ready", "unfinished", "failed", "excluded", "dropped", "unfinished", "unfinished")
    ]
    assert "sig=1" not in page + json.dumps(data), "signatures are no part of a page"
    assert "scene a: &#39;http://x.org/a.tif&#39; cannot be read" in page
    quads = np.cumsum(np.array(data["quads"]).reshape(-1, 8), axis=0)
    assert quads.min() == 0 and quads.max() == 65535 and (np.diff(quads[:, 0]) > 0).all(), "from west to east"
    assert "8 tiles: 1 made, 1 failed, 4 unfinished, 1 excluded, 1 dropped" in page


def test_pictures_are_files_beside_the_page(folder):
    _, data = look(folder)
    shown = {KEYS[one["tile"]]: one for one in data["shown"]}
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


def test_a_hundred_thousand_tiles_stay_light(tmp_path):
    """Positions, states and keys are packed; that of 4,000 tiles tells that of a hundred thousand."""
    rows = [
        TileAssignment(Tile(Grid(16, 2, 10.0), 33, number % 80, 8000 + number // 80).key, "train", 0)
        for number in range(4000)
    ]
    (tmp_path / "d").mkdir()
    write_manifest(tmp_path / "d" / "tiles.parquet", rows)
    write_look(tmp_path / "d", tmp_path / "logs", tmp_path / "look", 0)
    template = 30_000
    assert ((tmp_path / "look" / "index.html").stat().st_size - template) * 25 < 5_000_000
