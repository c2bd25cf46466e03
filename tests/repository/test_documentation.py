"""The links, paths and commands that the documentation names exist."""

import re
from pathlib import Path

import pytest
from PIL import Image

from support.projects import REPOSITORY

PAGES = [
    str(path.relative_to(REPOSITORY))
    for pattern in ("*.md", "config/*.md", "docs/**/*.md")
    for path in sorted(REPOSITORY.glob(pattern))
]
LIBRARY = Path("workflow/scripts/segchips")
FOLDERS = ("config", "docs", "tests", "workflow", *(path.name for path in (REPOSITORY / LIBRARY).iterdir()))

OWN_CONFIGS = {"config/city.yaml", "config/fields.yaml"}
"""Configs that the tutorials let their readers write."""


def read(page: str) -> str:
    return (REPOSITORY / page).read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub derives them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", read(page)):
        if not target.startswith("https://"):
            path = REPOSITORY / Path(page).parent / target if target else REPOSITORY / page
            assert path.exists(), target
            assert not anchor or anchor in anchors(path), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES)
def test_named_paths_exist(page: str) -> None:
    for path in re.findall(r"`([\w.]+/[\w./-]*)`", read(page)):
        if path.split("/")[0] in FOLDERS and path not in OWN_CONFIGS:
            assert (REPOSITORY / path).exists() or (REPOSITORY / LIBRARY / path).exists(), path


@pytest.mark.parametrize("page", PAGES)
def test_lists_and_tables_begin_after_an_empty_line(page: str) -> None:
    """The site shows them as plain text otherwise."""
    text = re.sub(r"^ *```.*?^ *```", "", read(page), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"^(?![-#|\s]|\d+\. ).*\n(?:- |\d+\. |\|).*", text, re.MULTILINE) == []
    assert re.findall(r"^ {1,3}(?:- |\d+\. ).*", text, re.MULTILINE) == []
    assert re.findall(r"^ {1,3}```.*", read(page), re.MULTILINE) == []


def test_every_page_is_linked_from_the_first_one() -> None:
    linked = set(re.findall(r"\]\(([^)#]+)", read("docs/README.md"))) | {"README.md"}
    assert [page for page in PAGES if page.startswith("docs/") and page.removeprefix("docs/") not in linked] == []


def test_the_picture_is_small() -> None:
    path = REPOSITORY / "docs" / "sample.png"
    assert path.stat().st_size < 300_000
    with Image.open(path) as picture:
        assert picture.width > 3 * picture.height


def test_the_readme_is_short_and_its_figures_are_those_of_the_benchmarks() -> None:
    text = read("README.md")
    assert len(text.split()) <= 900
    measured = read("docs/benchmarks.md") + read("docs/explanations/scale.md")
    (table,) = re.findall(r"^\| measured.*(?:\n\|.*)*", text, re.MULTILINE)
    figures = re.findall(r"[\d,.]+ (?:ms|s|min|MB)\b|\d+,\d+|\b\d+(?= from)", table)
    assert len(figures) > 10
    assert [figure for figure in figures if figure not in measured] == []
