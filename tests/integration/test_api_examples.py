"""Every public name is documented with an example, and code that reads the sample runs."""

import doctest
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

import segchips
from support.projects import REPOSITORY, Project

PAGE = Path("docs/how-to/training.md")
SECTIONS = dict(part.split("\n", 1) for part in (REPOSITORY / PAGE).read_text(encoding="utf-8").split("\n## ")[1:])
NEEDS = {"Needs TensorFlow.": "tensorflow", "Needs PyTorch.": "torch"}


def test_every_public_name_has_a_section() -> None:
    assert sorted(name for title in SECTIONS for name in title.split(", ")) == sorted(segchips.__all__)
    assert all(">>> " in text for text in SECTIONS.values())
    rendered = (REPOSITORY / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    assert set(segchips.__all__) <= set(re.findall(r"^::: segchips\.\w+\.\w+\.(\w+)$", rendered, re.M))


@pytest.mark.parametrize("title", SECTIONS)
def test_example(project: Project, title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = re.sub(r"^```.*$", "", SECTIONS[title], flags=re.MULTILINE)
    for words, library in NEEDS.items():
        if words in text and not importlib.util.find_spec(library):
            pytest.skip(f"the example of {title} needs {library}, which is not installed")
    monkeypatch.chdir(project.folder)
    example = doctest.DocTestParser().get_doctest(text, {}, title, str(PAGE), 0)
    told: list[str] = []
    runner = doctest.DocTestRunner()
    assert runner.run(example, out=told.append).failed == 0, "".join(told)


PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
CODE = [
    (f"{page.relative_to(REPOSITORY)}:{number}", code)
    for page in PAGES
    for number, code in enumerate(
        re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S), 1
    )
    if "results/sample" in code
]


@pytest.mark.parametrize(("name", "code"), CODE, ids=[name for name, _ in CODE])
def test_code_of_a_page_runs_on_the_sample(project: Project, name: str, code: str, monkeypatch: Any) -> None:
    for library in ("torch", "lightning", "keras", "tensorflow"):
        if re.search(rf"\b{library}\b", code) and not importlib.util.find_spec(library):
            pytest.skip(f"{name} needs {library}, which is not installed")
    monkeypatch.chdir(project.folder)
    exec(compile(code, name, "exec"), {"__name__": "__main__"})
    for path in re.findall(r'"([\w./]+\.tif)"', code):
        assert (project.folder / path).stat().st_size > 1000, path
