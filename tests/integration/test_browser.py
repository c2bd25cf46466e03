"""The report of a real run, and Snakemake's own with it inside, in a real browser."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from segchips.grids.tile import Grid, Tile
from segchips.reports.look import write_look
from segchips.tiles.assignment import TileAssignment
from segchips.tiles.manifest import write_manifest
from support.browser import PROGRAMS, Browser, browser, find_browser
from support.projects import Project


@pytest.fixture(scope="module")
def page() -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        pytest.skip(f"none of {', '.join(PROGRAMS)} is installed")
    with browser(program) as found:
        yield found


@pytest.mark.parametrize("width", [1280, 800, 600])
def test_the_report_is_whole_and_fits(sample_run: Project, page: Browser, width: int) -> None:
    report = sample_run.results() / "report" / "index.html"
    page.open(report, width)
    assert page.value("innerWidth") == width
    assert page.value("document.documentElement.scrollWidth") <= width
    wide = "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
    assert page.value(f"{wide}.map(e => e.outerHTML.slice(0, 80))") == []
    pictures = page.value("Promise.all([...document.images].map(i => i.decode().then(() => i.naturalWidth)))")
    assert len(pictures) == 3 * len(sample_run.ledger()) and min(pictures) >= 64
    assert page.complaints == []
    assert {address.partition(":")[0] for address in page.requests} == {"file", "data"}
    assert {address for address in page.requests if address.startswith("file:")} == {report.as_uri()}


def test_what_the_report_draws_has_a_size(sample_run: Project, page: Browser) -> None:
    page.open(sample_run.results() / "report" / "index.html", 1280)
    sizes = page.value(
        "[...document.querySelectorAll('svg')].map(e => e.getBoundingClientRect()).map(r => [r.width, r.height])"
    )
    assert len(sizes) > 20 and min(min(size) for size in sizes) > 5
    tiles = "[...document.querySelectorAll('#map g path')].filter(e => e.querySelector('title'))"
    drawn = page.value(f"{tiles}.map(e => e.getBoundingClientRect()).map(r => [r.width, r.height])")
    assert len(drawn) == len(sample_run.ledger()) and min(min(size) for size in drawn) > 20
    texts = page.value("[...document.querySelectorAll('#map text')].map(e => e.getBoundingClientRect().height)")
    assert min(texts) >= 8


def test_snakemake_s_report_has_all_results_and_needs_no_network(
    sample_run: Project, page: Browser, tmp_path: Path
) -> None:
    project = Project(Path(shutil.copytree(sample_run.folder, tmp_path / "project")))
    offline = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    offline |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    project.environment = offline
    result = project.run("--report", "report.html")
    assert result.returncode == 0, result.stdout
    page.open(project.folder / "report.html", 1280)
    assert "sharded TFRecords" in page.value("document.body.innerText")
    assert page.value("Object.keys(categories)") == ["sample"]
    names = page.value("Object.values(results).map(r => r.name).sort()")
    assert names == ["audit.json", "index.html", "ledger.csv", "statistics.json"]
    assert page.value("Object.values(results).every(r => r.caption.includes('sample'))")
    assert page.complaints == []
    assert {address.partition(":")[0] for address in page.requests} <= {"file", "data", "blob"}


READY = (
    "new Promise(done => { const wait = () => document.body.dataset.ready ? done('yes') : "
    "setTimeout(wait, 20); wait(); })"
)


@pytest.mark.parametrize("width", [1280, 600])
def test_the_page_to_look_at_a_dataset_works_without_a_server(
    sample_run: Project, page: Browser, tmp_path: Path, width: int
) -> None:
    write_look(sample_run.results(), sample_run.folder / "logs" / "sample", tmp_path / "look", 4)
    page.open(tmp_path / "look" / "index.html", width)
    assert page.value(READY) == "yes"
    assert page.value("document.documentElement.scrollWidth") <= width
    assert page.value("document.querySelectorAll('.thumb').length") == 4
    chosen = "document.querySelector('#about .id').textContent"
    before = page.value(chosen)
    page.value("window.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}))")
    assert page.value(chosen) != before, "the arrow key goes to the next tile"
    widths = page.value(
        "Promise.all([...document.querySelectorAll('.chip img')].map(i => i.decode().then(() => i.naturalWidth)))"
    )
    assert len(widths) == 2 and min(widths) >= 60, "image and label"
    painted = "(c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter(v => v).length)"
    assert page.value(f"{painted}(document.querySelector('#map'))") > 10_000
    assert page.complaints == [] and {address.partition(":")[0] for address in page.requests} == {"file"}


def test_each_of_many_tiles_is_found_by_the_name_of_its_chip(page: Browser, tmp_path: Path) -> None:
    keys = [Tile(Grid(16, 2, 10.0), 33, path, 8000 + row).key for row in range(110) for path in range(-60, 50)]
    (tmp_path / "d").mkdir()
    write_manifest(tmp_path / "d" / "tiles.parquet", [TileAssignment(key, "train", 0) for key in keys])
    write_look(tmp_path / "d", tmp_path / "logs", tmp_path / "look", 4)
    page.open(tmp_path / "look" / "index.html", 1280)
    assert page.value(READY) == "yes"
    answer = (
        "new Promise(done => { const form = document.querySelector('#find'); form.elements[0].value = 'KEY'; "
        "document.querySelector('#about').replaceChildren(); form.requestSubmit(); const wait = () => { const text = "
        "(document.querySelector('#about .id') || document.querySelector('#note')).textContent; "
        "text ? done(text) : setTimeout(wait, 20); }; wait(); })"
    )
    for key in (keys[0], keys[7000], keys[-1]):
        assert page.value(answer.replace("KEY", f"images/{key.replace(':', '#')}.tif")) == key
    other = "12:2:10.0:33:70:9000"
    assert page.value(answer.replace("KEY", other)) == f"{other} is no tile of this dataset"
    assert page.complaints == [] and {address.partition(":")[0] for address in page.requests} == {"file"}
