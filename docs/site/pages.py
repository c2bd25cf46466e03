"""A hook of MkDocs that makes pages of files outside of docs, and leads links to them.

Pages link to each other by their paths in the repository, so that they can be read there, too. On the site, such a link
leads to the page that is made of the file. A text file that a page links to becomes a page of its own.
"""

import argparse
import json
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from segchips.cli import command_parser

REPOSITORY = Path(__file__).parents[2]
NOTEBOOKS, EXAMPLES = "workflow/notebooks", "config/examples"
PLACES = {
    "README.md": "overview.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "reference/changelog.md",
    "config/README.md": "reference/config.md",
    "config/REFERENCE.md": "reference/keys.md",
    "docs": "README.md",
    EXAMPLES: "how-to/examples.md",
}
"""Pages of the site by the files outside of docs that they are made of."""
NOT_FOUND = "---\nsearch: {exclude: true}\n---\n"
"""What pages begin with that the search leaves out: they name everything, and explain nothing to users."""
LINK = re.compile(r"(?<=\]\()([^)#\s:]+)(#[^)\s]*)?(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for each file outside of docs that the site shows."""
    for source, place in PLACES.items():
        if source != "docs":
            text = examples() if source == EXAMPLES else read(source)
            if source in ("CHANGELOG.md", "CONTRIBUTING.md"):
                text = NOT_FOUND + text
            files.append(File.generated(config, place, content=text))
    for path in sorted((REPOSITORY / NOTEBOOKS).glob("*.ipynb")):
        files.append(File.generated(config, place_of(f"{NOTEBOOKS}/{path.name}"), content=notebook(path)))
    for file in list(files.documentation_pages()):
        for target, _ in LINK.findall(file.content_string):
            source = posixpath.normpath(posixpath.join(posixpath.dirname(source_of(file.src_uri)), target))
            place = place_of(source)
            if place.startswith("files/") and place not in files.src_uris and (REPOSITORY / source).is_file():
                text = f"# {source}\n\n```yaml\n{read(source)}```\n"
                files.append(File.generated(config, place, content=text, inclusion=InclusionLevel.NOT_IN_NAV))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads links between files of the repository to the pages of the site, and puts in what commands print."""
    place = page.file.src_uri

    def moved(link: re.Match[str]) -> str:
        source = posixpath.normpath(posixpath.join(posixpath.dirname(source_of(place)), link[1]))
        anchor = link[2] or ""
        if posixpath.dirname(source) == EXAMPLES:
            source, anchor = EXAMPLES, f"#{posixpath.basename(source).removesuffix('.yaml')}"
        return posixpath.relpath(place_of(source), posixpath.dirname(place)) + anchor

    return LINK.sub(moved, markdown).replace("<!-- commands -->", commands())


def place_of(source: str) -> str:
    """The page of the site that is made of a file of the repository."""
    if source in PLACES:
        return PLACES[source]
    if source.startswith("docs/"):
        return source.removeprefix("docs/")
    if source.startswith(f"{NOTEBOOKS}/"):
        return f"tutorials/{posixpath.basename(source).removesuffix('.ipynb')}.md"
    return f"files/{source}.md"


def source_of(place: str) -> str:
    """The file of the repository that a page of the site is made of."""
    notebook = f"{NOTEBOOKS}/{posixpath.basename(place).removesuffix('.md')}.ipynb"
    made = {page: source for source, page in PLACES.items() if source != "docs"}
    return made.get(place) or (notebook if (REPOSITORY / notebook).exists() else f"docs/{place}")


def read(source: str) -> str:
    """The text of a file of the repository."""
    return (REPOSITORY / source).read_text(encoding="utf-8")


def notebook(path: Path) -> str:
    """A notebook as Markdown: its texts and its code, which it stores without output."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    return "\n\n".join(
        text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"
        for cell, text in zip(cells, texts, strict=True)
    )


def examples() -> str:
    """All example configs on one page, each with the sentence that it begins with."""
    parts = ["# Configs by example", "Copy the one that is nearest to your case, and change paths, dates and classes."]
    for path in sorted((REPOSITORY / EXAMPLES).glob("*.yaml")):
        parts += [f"## {path.stem}", f"```yaml\n{path.read_text(encoding='utf-8')}```"]
    return "\n\n".join(parts)


def commands() -> str:
    """What each command of segchips prints with `--help`."""
    (choice,) = (action for action in command_parser()._actions if isinstance(action, argparse._SubParsersAction))
    return "\n\n".join(
        f"## segchips {name}\n\n```text\n{parser.format_help()}```" for name, parser in choice.choices.items()
    )
