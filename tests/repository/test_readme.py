"""The README's picture and the paths that it names are there."""

import re
from pathlib import Path

import pytest
from PIL import Image

from projects import REPOSITORY

PAGES = ["README.md", "CONTRIBUTING.md", "config/README.md", "docs/api.md"]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        if not target.startswith("https://"):
            assert (REPOSITORY / Path(page).parent / target).exists(), target


def test_the_picture_is_small() -> None:
    path = REPOSITORY / "docs" / "sample.png"
    assert path.stat().st_size < 300_000
    with Image.open(path) as picture:
        assert picture.width > 3 * picture.height


def test_commands_of_make_are_there() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    rules = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for name in re.findall(r"\bmake (run|test|lint|bench|notebooks|docs|lock)\b", text):
        assert f"\n{name}:" in rules, name
