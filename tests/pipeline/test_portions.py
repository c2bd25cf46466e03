"""Portions: their tiles, and that a run in portions makes the same bytes and remakes the same chips as one by tiles."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import geopandas
import pytest
import rasterio
import shapely

from segchips.grids.tile_array import TileKeys
from segchips.pipeline.exclusive_results import exclusive_results
from segchips.pipeline.portions import divide
from support.portions import chips, files, made
from support.projects import Project, kill_run

Change = Callable[[Project], None]
slow = pytest.mark.slow


def grid(columns: range, rows: range, zone: str = "33") -> list[str]:
    return [f"60:2:10.0:{zone}:{column}:{row}" for column in columns for row in rows]


def divided(keys: list[str], size: int) -> dict[str, list[str]]:
    return {name: list(portion) for name, portion in divide(TileKeys(keys), size).items()}


def test_portions_hold_each_tile_once_and_few_others() -> None:
    keys = grid(range(-40, 40), range(8000, 8050)) + grid(range(30), range(40), "34")
    random.Random(1).shuffle(keys)
    portions = divided(keys, 100)
    assert sorted(key for portion in portions.values() for key in portion) == sorted(keys)
    assert max(map(len, portions.values())) <= 200
    assert len(keys) / 200 <= len(portions) <= len(keys) / 50
    assert all(name == portion[0].replace(":", "#") for name, portion in portions.items())
    assert divided(keys[::-1], 100) == portions


def test_tiles_of_a_portion_are_neighbours() -> None:
    """Half of the portions have a share of the box around them, as blobs have; columns or strips of a grid do not."""
    shares = []
    for portion in divided(grid(range(64), range(64)), 100).values():
        columns, rows = zip(*((int(key.split(":")[4]), int(key.split(":")[5])) for key in portion), strict=True)
        longest = max(max(columns) - min(columns), max(rows) - min(rows)) + 1
        shares.append(len(portion) / longest**2)
    assert sorted(shares)[len(shares) // 2] > 0.25


def test_a_tile_more_or_less_changes_the_portion_that_it_lies_in() -> None:
    keys, draws = grid(range(60), range(60)), random.Random(2)
    before = divided(keys, 50)
    changed = []
    for _ in range(30):
        gone = draws.choice(keys)
        after = divided([key for key in keys if key != gone], 50)
        changed.append(sum(before.get(name) != portion for name, portion in after.items()))
    assert sorted(changed)[len(changed) // 2] <= 1 and sum(changed) / len(changed) < 3


def test_few_tiles_make_one_portion() -> None:
    assert divided(grid(range(2), range(2)), 10).keys() == {"60#2#10.0#33#0#0"}


def test_a_first_run_makes_the_same_files(sample_run: Project, run_in_portions: Project) -> None:
    assert files(run_in_portions) == files(sample_run) != {}
    assert "Nothing to be done" in run_in_portions.run().stdout


def key(path: str, value: object) -> Change:
    return lambda project: project.change(path, value)


def move_a_field(project: Project) -> None:
    layer = geopandas.read_file(project.folder / "resources/sample/labels.gpkg")
    number = layer.to_crs(32633).geometry.area.idxmin()
    layer.loc[number, "geometry"] = shapely.affinity.translate(layer.geometry[number], 30, 0)
    layer.to_file(project.folder / "moved.gpkg")
    project.change("defaults.labels.path", "moved.gpkg")


def move_a_field_in_the_future(project: Project) -> None:
    move_a_field(project)
    os.utime(project.folder / "moved.gpkg", (4e9, 4e9))


def resize_area(metres: float) -> Change:
    def change(project: Project) -> None:
        area = geopandas.read_file(project.folder / "resources/sample/aoi.gpkg")
        area["geometry"] = area.to_crs(32633).buffer(metres, join_style="mitre").to_crs(area.crs)
        area.to_file(project.folder / "area.gpkg")
        project.change("defaults.tiles.aoi", "area.gpkg")

    return change


def delete_chips(project: Project) -> None:
    for kind in ("images", "labels"):
        next(iter(sorted((project.results() / kind).glob("*.tif")))).unlink()


def swap_chips(project: Project) -> None:
    """A chip takes the place of another, with a date of old."""
    first, second = sorted((project.results() / "images").glob("*.tif"))[:2]
    shutil.copy(second, first)
    os.utime(first, (1e9, 1e9))


def link_chip_to_itself(project: Project) -> None:
    chip = sorted((project.results() / "images").glob("*.tif"))[1]
    chip.unlink()
    chip.symlink_to(chip.name)


def edit_chip(project: Project) -> None:
    chip = sorted((project.results() / "labels").glob("*.tif"))[2]
    with rasterio.open(chip, "r+") as file:
        pixels = file.read()
        file.write(pixels + 1)


def copy_results(project: Project) -> None:
    shutil.move(project.folder / "results", project.folder / "elsewhere")
    shutil.copytree(project.folder / "elsewhere", project.folder / "results", copy_function=shutil.copyfile)


def add_layers(project: Project) -> None:
    config = project.config
    imagery, labels = config["defaults"]["imagery"], config["defaults"]["labels"]
    products = [{"id": "sample-l2a", "bands": ["B08"]}]
    config["defaults"]["imagery"] = {"layers": {"a": imagery, "b": imagery | {"products": products, "optional": True}}}
    config["defaults"]["labels"] = {"targets": {"x": labels, "y": labels | {"all_touched": False}}}
    project.write(config)


def lose_a_tile(project: Project) -> None:
    project.change("defaults.tiles", {"keys": [row["tile"] for row in project.ledger()[1:]]})


def damage_records(project: Project) -> None:
    states = sorted(project.folder.glob("results/*/.portions/*/.*.chips"))
    texts = [
        "null",
        "[]",
        "[" * 200_000,
        "{",
        '{"chips": [], "incomplete": []}',
        '{"chips": {"a": null}, "incomplete": 3}',
    ]
    for state, text in zip(states, texts, strict=False):
        state.write_text(text)


CHANGES: dict[str, Change] = {
    "a field moves": move_a_field,
    "a chip of each kind is deleted": delete_chips,
    "no records of Snakemake": lambda project: shutil.rmtree(project.folder / ".snakemake"),
    "nothing": lambda project: None,
    "a touched file": lambda project: (project.folder / "resources/sample/labels.gpkg").touch(),
    "bands": key("defaults.imagery.products", [{"id": "sample-l2a", "bands": ["B08"]}]),
    "composite": key("defaults.imagery.composite", "median"),
    "cloud mask": key("defaults.imagery.cloud_mask", None),
    "dates": key("defaults.imagery.end", "2023-06-30"),
    "reference date": key("defaults.imagery.reference_date", "2023-02-08"),
    "requests": key("requests", 3),
    "min_valid": key("defaults.imagery.min_valid", 0.97),
    "provenance": key("defaults.imagery.provenance", True),
    "time series": key("defaults.imagery.periods", {"every": "3 months"}),
    "storage": key("defaults.tfrecords.storage", "encoded"),
    "shards": key("defaults.tfrecords.shards", 3),
    "all_touched": key("defaults.labels.all_touched", False),
    "splitting": key("defaults.splitting.seed", 5),
    "a tile less": lose_a_tile,
    "a larger area": resize_area(600),
    "a smaller area": resize_area(-400),
    "another year": key("datasets.other", {"imagery": {"start": "2023-03-01"}}),
    "layers and targets": add_layers,
    "a chip of another tile": swap_chips,
    "a chip that links to itself": link_chip_to_itself,
    "an edited chip": edit_chip,
    "copied results": copy_results,
    "damaged records of portions": damage_records,
    "a label layer of the future": move_a_field_in_the_future,
}
QUICK = ("a field moves", "a chip of each kind is deleted")


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in QUICK else slow) for name in CHANGES])
def test_a_change_makes_the_same_files_and_the_same_chips_again(project: Project, portions: Project, name: str) -> None:
    remade = []
    for each in (project, portions):
        CHANGES[name](each)
        remade.append(made(each))
    assert remade[0] == remade[1]
    assert files(portions) == files(project) != {}
    assert made(portions) == set()


@slow
def test_a_dataset_crosses_the_threshold_and_comes_back(project: Project) -> None:
    before = files(project)
    for size in (1000, 1, 3, "auto"):
        project.change("tiles_per_job", size)
        assert made(project) == set()
        assert files(project) == before
        assert "Nothing to be done" in project.run().stdout


@slow
def test_moved_results_are_recognised(project: Project, portions: Project) -> None:
    for each in (project, portions):
        (each.folder / "results").rename(each.folder / "elsewhere")
        each.change("results", "elsewhere")
        assert "Nothing to be done" in each.run().stdout


def test_a_run_killed_within_a_portion_keeps_what_it_has_made(portions: Project, sample_run: Project) -> None:
    portions.write(portions.config | {"tiles_per_job": 1000})
    portions.change("defaults.imagery.composite", "median")
    before = chips(portions)
    run = portions.start(cores=1)
    while not (done := {path for path, state in chips(portions).items() if before.get(path) != state}):
        assert run.poll() is None, run.communicate()[0]
        time.sleep(0.01)
    kill_run(run)
    whole = {path for path in done if rasterio_reads(portions.folder / path)}
    again = made(portions)
    assert whole and not whole & again, "a chip that was whole is made again"
    assert len(again | whole) == len(sample_run.ledger())
    assert "Nothing to be done" in portions.run().stdout


def rasterio_reads(path: Path) -> bool:
    try:
        with rasterio.open(path) as chip:
            return bool(chip.read().size)
    except rasterio.errors.RasterioIOError:
        return False


def test_a_dry_run_names_tiles_and_reasons(portions: Project) -> None:
    lost = sorted((portions.results() / "labels").glob("*.tif"))[0]
    lost.unlink()
    portions.change("defaults.imagery.composite", "median")
    told = portions.run("--dry-run").stdout
    assert f"1 missing ({lost.stem.replace('#', ':')})" in told
    assert " outdated (" in told and "image portions" in told and "label portions" in told


@slow
def test_a_removed_tile_leaves_other_portions_alone(portions: Project) -> None:
    keys = sorted(row["tile"] for row in portions.ledger())
    before = {path.name for path in portions.folder.glob("results/*/.portions/*/*.json")}
    failed = portions.results() / ".portions/images/.0#0#failed.chips"
    failed.write_text("{}")
    portions.change("defaults.tiles", {"keys": keys[1:]})
    portions.run_and_count()
    assert not failed.exists()
    after = {path.name for path in portions.folder.glob("results/*/.portions/*/*.json")}
    assert len(before - after) <= 1 and len(after - before) <= 1


OPTIONS = {
    "-R images": ("images",),
    "-R labels": ("labels",),
    "-F": ("images", "labels"),
    "-R series provenance": ("images",),
}


@slow
@pytest.mark.parametrize("typed", OPTIONS)
def test_forced_chips_are_made_again(portions: Project, typed: str) -> None:
    if typed == "-F":
        (portions.folder / "resources").rename(portions.folder / "data")
        for name in ("tiles.aoi", "imagery.catalog", "labels.path"):
            block, key_of = name.split(".")
            value = portions.config["defaults"][block][key_of]
            portions.change(f"defaults.{name}", value.replace("resources/", "data/"))
    before = files(portions)
    os.utime(next(portions.folder.glob("results/*/images/*.tif")), (4e9, 4e9))  # by a clock that was wrong
    remade = made(portions, *typed.split())
    assert remade == {path for path in chips(portions) if any(f"/{kind}/" in path for kind in OPTIONS[typed])}
    assert files(portions).keys() == before.keys() and "Nothing to be done" in portions.run().stdout


@slow
def test_a_forced_chip_is_made_again_alone(project: Project, portions: Project) -> None:
    images, labels = (sorted(path for path in chips(portions) if f"/{kind}/" in path) for kind in ("images", "labels"))
    told = portions.run("--dry-run", "-R", images[1], labels[2]).stdout
    assert all(f"1 forced ({Path(path).stem.replace('#', ':')})" in told for path in (images[1], labels[2]))
    for each in (project, portions):
        assert made(each, "-R", f"./{images[1]}", labels[2]) == {images[1], labels[2]}
    assert files(portions) == files(project)
    assert "Nothing to be done" in portions.run().stdout
    assert made(portions, images[0], "-R", images[0]) == {images[0]}


@slow
@pytest.mark.parametrize("kind", ["images", "labels"])
def test_until_makes_chips_of_one_kind(portions: Project, kind: str) -> None:
    for path in chips(portions):
        (portions.folder / path).unlink()
    assert made(portions, "--until", kind) == {path for path in chips(portions) if f"/{kind}/" in path} != set()


@slow
def test_touched_chips_are_kept(portions: Project) -> None:
    portions.change("defaults.imagery.composite", "median")
    assert portions.run("--touch").returncode == 0
    assert made(portions) == set()


@slow
def test_all_output_is_deleted_with_the_chips(portions: Project, sample_run: Project) -> None:
    before = files(portions)
    assert portions.run("--delete-all-output", "--dry-run").returncode == 0
    assert files(portions) == before
    assert portions.run("--delete-all-output").returncode == 0
    assert not list(portions.folder.glob("results/**/*.tif")) and not (portions.results() / ".portions").exists()
    shutil.copytree(sample_run.folder / "resources", portions.folder / "resources", dirs_exist_ok=True)
    portions.run_and_count()
    assert files(portions) == before


@slow
def test_output_of_one_dataset_is_deleted_alone_and_not_beside_a_run(portions: Project) -> None:
    portions.change("datasets.other", {"tiles": {"size": 128}})
    portions.run_and_count()
    before = files(portions)
    with exclusive_results(portions.folder / "results", lambda: None):
        result = portions.run("--delete-all-output")
    assert result.returncode == 1 and "another run is at work in 'results'" in result.stdout
    assert "Traceback" not in result.stdout and files(portions) == before
    assert portions.run("--delete-all-output", "results/other/report/index.html").returncode == 0
    left = files(portions)
    assert not [path for path in left if "/other/" in path and path.endswith(".tif")]
    assert not (portions.results("other") / ".portions").exists()
    assert {path for path in before if "/sample/" in path} <= left.keys()


@slow
def test_datasets_with_the_same_labels_make_each_label_chip_once(project: Project, portions: Project) -> None:
    for each in (project, portions):
        for name, start in (("second", "2023-03-01"), ("third", "2023-02-01")):
            each.change(f"datasets.{name}", {"imagery": {"start": start}})
        made(each)
        each.change("defaults.labels.all_touched", False)
    assert made(portions) == made(project) != set()
    assert files(portions) == files(project)
    logs = [path.read_text() for path in sorted(portions.folder.glob("logs/*/portions/labels/*.log"))]
    count = len(portions.ledger())
    assert sum(int(text.split()[0]) for text in logs) == count, logs
    assert "Nothing to be done" in portions.run().stdout


@slow
def test_a_single_chip_is_made_by_itself(portions: Project) -> None:
    chip = sorted(chips(portions))[0]
    before = (portions.folder / chip).read_bytes()
    (portions.folder / chip).unlink()
    assert portions.run_and_count(chip)["images"] == 1
    assert (portions.folder / chip).read_bytes() == before
    assert made(portions) == set()


def test_an_interrupted_portion_ends_soon_and_goes_on(portions: Project) -> None:
    portions.write(portions.config | {"tiles_per_job": 1000})
    portions.change("defaults.imagery.composite", "median")
    before = chips(portions)
    run = portions.start(cores=1)
    while not any(before.get(path) != state for path, state in chips(portions).items()):
        assert run.poll() is None, run.communicate()[0]
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    assert "Traceback" not in run.communicate()[0]
    assert portions.run().returncode == 0
    assert "Nothing to be done" in portions.run().stdout
