"""One dataset from a static STAC catalogue and from both platforms: the chips are the same, whatever goes wrong."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loopback.faults import TRANSIENT
from loopback.log import Request
from loopback.server import Platform
from segchips.config.labels import LabelsConfig
from segchips.config.tiles import ProjectedGrid, TilesConfig
from segchips.grids.tile import Tile
from segchips.tiles.area import aoi_layers, find_tiles
from support.catalogues import write_three_collections
from support.chips import read_chips
from support.image_chips import make_image_chips
from support.projects import REPOSITORY, Project, sample_config

SOURCES = ("stac", "descarteslabs", "earthone")
TILES = ("60:2:10.0:33:-334:8903", "60:2:10.0:33:-333:8904", "60:2:10.0:33:-332:8903")
NO_MASK = "sample_20230705T101029_r022"
CLOUDS = {"product": "sample-clouds", "band": "cloud_mask", "clear": [0]}
BOTH = [{"id": "sample-l2a", "bands": ["B04", "B08"]}]
KINDS: dict[str, dict[str, Any]] = {
    "closest": {"products": BOTH, "start": "2023-02-15", "end": "2023-10-13", "max_cloud": 0.25},
    "clear": {"products": BOTH, "cloud_mask": CLOUDS},
    "median": {"products": BOTH, "cloud_mask": CLOUDS, "composite": "median", "max_cloud": None},
    "mean": {"products": BOTH, "cloud_mask": {"asset": "cloud_mask", "clear": [0, 2]}, "composite": "mean"},
    "stacked": {
        "products": [
            {"id": "sample-l2a", "bands": ["B02"]},
            {"id": "sample-nir", "bands": ["B08"], "resampling": "bilinear"},
            {"id": "sample-clouds", "bands": ["cloud_mask"], "nodata": 255},
        ]
    },
}


@pytest.fixture(scope="module")
def catalogue(sample_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_three_collections(
        sample_folder / "resources" / "sample", tmp_path_factory.mktemp("collections"), NO_MASK
    )


@pytest.fixture
def served(catalogue: Path, tmp_path: Path) -> Iterator[Platform]:
    with Platform(catalogue, home=tmp_path / "home", alpha=True) as platform:
        yield platform
        assert (platform.attempts(), platform.defects) == ([], [])


def configure(sample_folder: Path, catalogue: Path, folder: Path, platform: Platform) -> Project:
    """A project with the sample's labels, that catalogue, and no datasets yet."""
    config = sample_config()
    sample = sample_folder / "resources" / "sample"
    config["defaults"]["labels"]["path"] = str(sample / "labels.gpkg")
    config["defaults"]["tiles"]["aoi"] = str(sample / "aoi.gpkg")
    config["defaults"]["imagery"] |= {"catalog": str(catalogue), "cloud_mask": None}
    project = Project(folder, platform.environment())
    project.write(config)
    return project


def make_chips_apart(project: Project) -> None:
    """In a process of its own, which both clients share."""
    program = f"import sys; sys.path.append({str(REPOSITORY / 'tests')!r}); "
    program += "from support.image_chips import make_image_chips; make_image_chips()"
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, cwd=project.folder, env=project.environment, capture_output=True)
    assert run.returncode == 0, run.stderr.decode()


def test_the_source_of_a_chip_does_not_show(
    sample_folder: Path, catalogue: Path, served: Platform, tmp_path: Path
) -> None:
    project = configure(sample_folder, catalogue, tmp_path, served)
    (tmp_path / "tiles.txt").write_text("\n".join(TILES))
    project.change("defaults.tiles", {"keys": "tiles.txt"})
    blocks = {f"{kind}_{source}": KINDS[kind] | {"source": source} for kind in KINDS for source in SOURCES}
    project.change("datasets", {name: {"imagery": block} for name, block in blocks.items()})
    make_chips_apart(project)
    found = {name: read_chips(project.results(name) / "images") for name in blocks}
    for kind in KINDS:
        assert len(found[f"{kind}_stac"]) == len(TILES)
        assert found[f"{kind}_descarteslabs"] == found[f"{kind}_stac"], kind
        assert found[f"{kind}_earthone"] == found[f"{kind}_stac"], kind
    assert len({str(found[f"{kind}_stac"]) for kind in KINDS}) == len(KINDS)
    asked = Counter("+".join(request.body["bands"]) for request in served.log.of("raster"))
    assert asked["B02+alpha"] == asked["B08+alpha"] == 2 * len(TILES)
    assert list((served.home or Path()).iterdir()) == []


def test_platforms_give_pixels_on_a_national_grid(
    sample_folder: Path, catalogue: Path, served: Platform, tmp_path: Path
) -> None:
    project = configure(sample_folder, catalogue, tmp_path, served)
    sample = project.config["defaults"]["tiles"]["aoi"]
    config = TilesConfig(64, 2, 10.0, sample, grid=ProjectedGrid("EPSG:3035", (7.5, 2.5)))
    tiles = find_tiles(config, aoi_layers(config, LabelsConfig(())))
    (tmp_path / "tiles.txt").write_text("\n".join(tile.key for tile in tiles[len(tiles) // 2 :][:3]))
    project.change("defaults.tiles", {"grid": {"crs": "EPSG:3035", "origin": [7.5, 2.5]}, "keys": "tiles.txt"})
    kinds = ("closest", "median")
    blocks = {f"{kind}_{source}": KINDS[kind] | {"source": source} for kind in kinds for source in SOURCES}
    project.change("datasets", {name: {"imagery": block} for name, block in blocks.items()})
    make_chips_apart(project)
    found = {name: read_chips(project.results(name) / "images") for name in blocks}
    for kind in kinds:
        assert len(found[f"{kind}_stac"]) == 3
        assert found[f"{kind}_descarteslabs"] == found[f"{kind}_stac"], kind
        assert found[f"{kind}_earthone"] == found[f"{kind}_stac"], kind


def test_the_source_of_a_real_chip_does_not_show(real_data: Path, tmp_path: Path) -> None:
    """Pixels that are neither square nor 10 m, and scenes full of holes."""
    with Platform(real_data / "catalog.json", home=tmp_path / "home") as platform:
        config = sample_config()
        config["defaults"]["tiles"]["aoi"] = str(real_data / "aoi.gpkg")
        config["defaults"]["labels"] = {"path": str(real_data / "labels.gpkg")}
        bands = ["B01", "B04", "B08", "B12"]
        imagery = {"catalog": str(real_data / "catalog.json"), "products": [{"id": "s2-l1c", "bands": bands}]}
        imagery |= {"start": "2015-01-01", "end": "2017-12-31", "cloud_mask": None, "reference_date": "2017-01-05"}
        config["defaults"]["imagery"] = imagery
        clear = {"composite": "median", "cloud_mask": {"asset": "cloud_mask", "clear": [0]}}
        kinds = {"closest": {}, "near": {"start": "2016-12-01", "end": "2016-12-31"}, "median": clear}
        blocks = {f"{kind}_{source}": block | {"source": source} for kind, block in kinds.items() for source in SOURCES}
        config["datasets"] = {name: {"imagery": block} for name, block in blocks.items()}
        project = Project(tmp_path, platform.environment())
        project.write(config)
        make_chips_apart(project)
    found = {name: read_chips(project.results(name) / "images") for name in blocks}
    for kind in kinds:
        assert len(found[f"{kind}_stac"]) == 9
        assert found[f"{kind}_descarteslabs"] == found[f"{kind}_earthone"] == found[f"{kind}_stac"], kind


def requests_of(platform: Platform) -> dict[str, list[Request]]:
    """The requests for pixels, by tile."""
    found: dict[str, list[Request]] = {}
    for request in platform.log.of("raster"):
        west, _, _, north = request.body["outputBounds"]
        found.setdefault(f"{west:.0f} {north:.0f}", []).append(request)
    return found


def corner(key: str) -> str:
    tile = Tile.from_key(key)
    return f"{tile.bounds[0]:.0f} {tile.bounds[3]:.0f}"


@pytest.mark.slow
def test_a_bad_day_changes_no_pixel(
    sample_folder: Path, catalogue: Path, served: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What passes is waited for, what is refused fails its tile alone, and the next run fetches just that."""
    project = configure(sample_folder, catalogue, tmp_path, served)
    project.change("defaults.tiles", {"size": 40, "aoi": str(sample_folder / "resources" / "sample" / "aoi.gpkg")})
    project.change("defaults.imagery.source", "earthone")
    project.change("defaults.imagery.patience", 6)
    for name in ("503", "truncated close", "reset"):
        served.faults.add(name, "catalog")
    for name in [*TRANSIENT, "404"]:
        served.faults.add(name, "raster", lambda request: sum(other.body == request.body for other in served.log) < 2)
    bad = project.run()
    asked = requests_of(served)
    refused = {place for place, requests in asked.items() if requests[-1].status == 404}
    assert bad.returncode != 0 and len(refused) == 1, bad.stdout
    rows = {corner(row["tile"]): row for row in project.ledger()}
    assert rows.keys() == asked.keys()
    assert {place for place, row in rows.items() if row["state"] == "failed"} == refused
    assert all("404" in rows[place]["reason"] for place in refused)
    assert len(read_chips(project.results() / "images")) == len(rows) - 1
    served.log.clear()
    assert project.run_and_count()["images"] == 1
    assert {row["state"] for row in project.ledger()} == {"made"}
    assert requests_of(served).keys() == refused and len(served.log) == 1
    project.change("datasets", {"good": {"imagery": {"source": "stac"}}})
    monkeypatch.chdir(tmp_path)
    make_image_chips()
    assert read_chips(project.results("good") / "images") == read_chips(project.results() / "images")
