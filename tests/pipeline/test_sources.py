"""Runs against a platform on loopback: how many jobs, how many requests, and what failures leave behind."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loopback.log import Request
from loopback.server import Platform
from segchips.grids.tile import Tile
from support.projects import Project, sample_config

SAMPLE = "resources/sample/catalog.json"


@pytest.fixture
def served(sample_folder: Path, tmp_path: Path) -> Iterator[Project]:
    """A project on the sample's scenes behind EarthOne's protocol; `platform` is the server."""
    (tmp_path / "project/resources").mkdir(parents=True)
    (tmp_path / "project/resources/sample").symlink_to(sample_folder / "resources/sample")
    with Platform(sample_folder / SAMPLE, home=tmp_path / "home") as platform:
        project = Project(tmp_path / "project", platform.environment())
        project.platform = platform  # type: ignore[attr-defined]
        config = sample_config()
        config["defaults"]["imagery"] |= {"source": "earthone", "catalog": None, "cloud_mask": None}
        project.write(config)
        yield project
        assert (platform.attempts(), platform.defects) == ([], [])


def platform_of(project: Project) -> Platform:
    return project.platform  # type: ignore[attr-defined]


def pixels_of(tile: str) -> Callable[[Request], bool]:
    """Whether a request is for the pixels of a tile."""
    bounds = Tile.from_key(tile).bounds
    return lambda request: bool(request.body) and request.body.get("outputBounds") == pytest.approx(bounds)


def test_a_run_asks_once_for_scenes_and_once_for_each_tile(served: Project) -> None:
    platform = platform_of(served)
    made = served.run_and_count()
    assert (made["images"], made["labels"], made["scenes"]) == (6, 6, 1)
    assert len(platform.log.of("catalog", "/images")) == 1
    assert len(platform.log.of("raster")) == 6
    asked = len(platform.log)
    assert served.run_and_count() == Counter() and len(platform.log) == asked


@pytest.mark.slow
def test_a_changed_number_of_requests_or_patience_asks_nothing(served: Project) -> None:
    platform = platform_of(served)
    served.run_and_count()
    asked = len(platform.log)
    served.change("requests", 2)
    served.change("defaults.imagery.patience", 60)
    assert served.run_and_count() == Counter() and len(platform.log) == asked
    served.change("defaults.imagery.products", [{"id": "sample-l2a", "bands": ["B08"]}])
    assert (served.run_and_count()["images"], len(platform.log)) == (6, asked + 6)


@pytest.mark.slow
def test_more_requests_are_under_way_than_there_are_cores(served: Project) -> None:
    platform = platform_of(served)
    served.change("requests", 3)
    platform.latency = 0.5
    result = served.run(cores=1)
    assert result.returncode == 0, result.stdout
    assert platform.log.max_concurrent("raster") == 3


def test_a_failed_tile_is_all_that_a_rerun_requests(served: Project) -> None:
    platform = platform_of(served)
    served.change("defaults.imagery.patience", 20)
    gone = "60:2:10.0:33:-333:8904"
    platform.faults.add("404", "raster", pixels_of(gone), math.inf)
    result = served.run()
    assert result.returncode == 1 and "not there (404" in result.stdout and "Traceback" not in result.stdout
    states = {row["tile"]: row["state"] for row in served.ledger()}
    assert states.pop(gone) == "failed" and set(states.values()) <= {"made", "unfinished"}
    platform.faults.clear()
    platform.log.clear()
    made = served.run_and_count()
    assert (made["images"], made["labels"], made["tfrecords"]) == (1, 0, 1)
    assert len(platform.log) == 1
    assert {row["state"] for row in served.ledger()} == {"made"}


@pytest.mark.slow
def test_an_excluded_tile_is_left_out_named_and_tried_again(served: Project) -> None:
    platform = platform_of(served)
    served.change("defaults.imagery.on_failure", "exclude")
    first = "60:2:10.0:33:-334:8904"
    platform.faults.add("404", "raster", pixels_of(first), math.inf)
    result = served.run()
    assert result.returncode == 0, result.stdout
    assert "1 tiles excluded" in result.stdout
    rows = {row["tile"]: row for row in served.ledger()}
    assert rows[first]["state"] == "excluded" and "not there (404" in rows[first]["reason"]
    assert Counter(row["state"] for row in rows.values()) == {"made": 5, "excluded": 1}
    chips = {path.stem.replace("#", ":") for path in served.results().glob("images/*.tif")}
    assert chips == rows.keys() - {first}
    shards = served.file_bytes("results/sample/tfrecords/*.tfrecord*")
    assert "images" in served.run("-n").stdout
    platform.log.clear()
    made = served.run_and_count()
    assert (made["images"], made["labels"], made["tfrecords"], made["ledger"]) == (1, 0, 1, 1)
    assert len(platform.log) == 1 and served.file_bytes("results/sample/tfrecords/*.tfrecord*") == shards
    platform.faults.clear()
    made = served.run_and_count()
    assert (made["images"], made["labels"], made["tfrecords"], made["ledger"]) == (1, 0, 1, 1)
    assert {row["state"] for row in served.ledger()} == {"made"}
    after = served.file_bytes("results/sample/tfrecords/*.tfrecord*")
    assert sum(after[name] != content for name, content in shards.items()) == 1
    assert served.run_and_count() == Counter()


@pytest.mark.slow
def test_a_run_fails_where_every_tile_is_excluded(served: Project) -> None:
    served.change("defaults.imagery.on_failure", "exclude")
    platform_of(served).faults.add("404", "raster", times=math.inf)
    result = served.run()
    assert result.returncode == 1 and "none of its 6 tiles could be made" in result.stdout
    assert {row["state"] for row in served.ledger()} == {"excluded"}
    assert not list(served.results().glob("images/*.tif"))


@pytest.mark.slow
def test_files_that_cannot_be_read_are_excluded_alike(fresh: Project) -> None:
    fresh.change("defaults.imagery.on_failure", "exclude")
    fresh.change("defaults.imagery.cloud_mask", None)
    fresh.change("defaults.imagery.start", "2023-06-28")
    fresh.change("defaults.imagery.end", "2023-07-05")
    for path in (fresh.folder / "resources/sample/sample-l2a").glob("sample_20230628*/B04.tif"):
        path.write_bytes(b"no raster")
    result = fresh.run()
    rows = fresh.ledger()
    assert all("B04.tif: cannot be read" in row["reason"] for row in rows if row["state"] == "excluded")
    assert Counter(row["state"] for row in rows)["excluded"] > 0, result.stdout


@pytest.mark.slow
def test_chips_that_lack_a_scene_are_made_again_once_it_can_be_read(fresh: Project) -> None:
    for key, value in {"on_failure": "skip_scene", "start": "2023-06-20", "end": "2023-07-10"}.items():
        fresh.change(f"defaults.imagery.{key}", value)
    files = list((fresh.folder / "resources/sample/sample-l2a").glob("sample_20230628*/B04.tif"))
    contents = {path: path.read_bytes() for path in files}
    for path in files:
        path.write_bytes(b"no raster")
    fresh.run_and_count()
    lacking = {row["tile"] for row in fresh.ledger() if "cannot be read" in row["reason"]}
    assert lacking and fresh.run_and_count() == Counter()
    for path, content in contents.items():
        path.write_bytes(content)
    assert fresh.run_and_count()["images"] == len(lacking)
    assert not any("cannot be read" in row["reason"] for row in fresh.ledger())
    assert fresh.run_and_count() == Counter()


def test_without_a_login_no_job_runs(served: Project) -> None:
    assert served.environment
    served.environment["EARTHONE_TOKEN"] = "h.e30.s"
    result = served.run()
    assert result.returncode == 1 and "run `earthone auth login`, or set EARTHONE_TOKEN" in result.stdout
    assert "Job stats" not in result.stdout and len(platform_of(served).log) == 0


@pytest.mark.slow
def test_a_login_that_ends_stops_the_run(served: Project) -> None:
    platform = platform_of(served)
    served.change("requests", 1)
    platform.faults.add("401", "raster", times=1)
    result = served.run()
    assert result.returncode == 1 and "earthone auth login" in result.stdout
    assert len(platform.log.of("raster")) == 1
    assert not any(shard.stat().st_size for shard in served.results().glob("tfrecords/sample-*.tfrecord*"))
    assert served.run_and_count()["images"] == 6
