"""The documentation site, built strictly, in a real browser: it fits, needs no server, and its search works."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.browser import PROGRAMS, Browser, browser, find_browser
from support.projects import REPOSITORY

pytestmark = pytest.mark.slow
WIDER = """[...document.querySelectorAll("article *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1
    && !e.closest(".md-typeset__scrollwrap, pre")).map(e => e.outerHTML.slice(0, 80))"""
SEARCH = """(() => {
    document.querySelector("[data-md-toggle=search]").click()
    const field = document.querySelector(".md-search__input")
    field.value = "%s"
    field.dispatchEvent(new Event("keyup", {bubbles: true}))
})()"""
FOUND = """new Promise(done => setTimeout(() => done(
    [...document.querySelectorAll(".md-search-result__item h1")].map(e => e.textContent)), 300))"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    result = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def page() -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        pytest.skip(f"none of {', '.join(PROGRAMS)} is installed")
    with browser(program) as found:
        yield found


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("name", ["index", "words", "how-to/training", "reference/keys", "reference/api"])
def test_pages_fit_and_load_nothing_from_servers(site: Path, page: Browser, name: str, width: int) -> None:
    page.open(site / f"{name}.html", width)
    assert page.value("document.documentElement.scrollWidth") <= width
    assert page.value(WIDER) == []
    assert page.value("[...document.images].every(i => i.naturalWidth > 0)")
    assert {address.partition(":")[0] for address in page.requests} <= {"file", "data"}
    assert page.complaints == []


@pytest.mark.parametrize(("words", "title"), [("antimeridian", "Tile grids"), ("cloud mask", "Configuration")])
def test_the_search_works_in_files(site: Path, page: Browser, words: str, title: str) -> None:
    page.open(site / "index.html", 1400)
    page.value(SEARCH % words)
    for _ in range(30):
        if found := page.value(FOUND):
            break
    assert title in found
    assert "Changelog" not in found
