"""Code in the documentation is valid: configs, commands with their options, imports and arguments."""

import ast
import importlib
import io
import re
import shlex
import tomllib
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import yaml

import segchips
from segchips.cli import command_parser
from segchips.config.loading import load_config
from support.projects import REPOSITORY

PAGES = ["README.md", "CONTRIBUTING.md", "config/README.md"]
PAGES += sorted(path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "docs").rglob("*.md"))
FENCE = re.compile(r"^( *)```(.*)\n((?:.*\n)*?)\1```$", re.MULTILINE)
COMMANDS = command_parser()._subparsers._group_actions[0].choices
TARGETS = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
RULES = {
    name
    for path in [REPOSITORY / "workflow" / "Snakefile", *(REPOSITORY / "workflow" / "rules").glob("*.smk")]
    for name in re.findall(r"^ *(?:rule|checkpoint) (\w+):", path.read_text(), re.MULTILINE)
}
EXTRAS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
OTHER_PROGRAMS = {"conda", "descarteslabs", "earthone", "pre-commit", "qgis", "sbatch", "scancel", "source", "squeue"}
"""Programs whose options are not checked."""
IMAGERY = {
    "catalog": "https://example.com/stac",
    "products": [{"id": "sentinel-2-l2a", "bands": ["red", "nir"]}],
    "start": "2023-01-01",
    "end": "2023-12-31",
    "reference_date": "2023-06-30",
}
DATASET = {"tiles": {"aoi": "area.gpkg"}, "imagery": IMAGERY, "labels": {"path": "fields.gpkg"}}
"""What a part of a config is put into."""


class Block(NamedTuple):
    """A block of code in a page."""

    page: str
    line: int
    language: str
    code: str


def blocks_of(page: str) -> Iterator[Block]:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        code = re.sub(rf"^{match[1]}", "", match[3], flags=re.MULTILINE)
        yield Block(page, text[: match.start()].count("\n") + 1, match[2], code)


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def blocks(*languages: str) -> pytest.MarkDecorator:
    found = [block for block in BLOCKS if block.language in languages]
    assert found
    return pytest.mark.parametrize("block", found, ids=[f"{block.page}:{block.line}" for block in found])


@pytest.mark.parametrize("page", PAGES)
def test_code_is_fenced_and_names_its_language(page: str) -> None:
    languages = {block.language for block in BLOCKS if block.page == page}
    assert languages <= {"bash", "pycon", "python", "snakemake", "text", "yaml"}
    outside = FENCE.sub("", (REPOSITORY / page).read_text(encoding="utf-8"))
    assert re.findall(r"(?:^|\n)(?:#.*)?\n {4,}\S.*", outside) == []
    assert "```" not in outside


@blocks("yaml")
def test_a_config_is_valid(block: Block) -> None:
    entries = [yaml.safe_load(part) for part in re.split(r"^(?=[\w\"-])", block.code, flags=re.MULTILINE)[1:]]
    if any("executor" in entry for entry in entries):
        parse_snakemake([f"--{key}" for entry in entries for key in entry], known_only=True)
    elif len({key for entry in entries for key in entry}) < len(entries):
        for entry in entries:  # several values for one key
            load_config(completed(entry))
    else:
        load_config(completed({key: value for entry in entries for key, value in entry.items()}))


def completed(part: dict[str, Any]) -> dict[str, Any]:
    """A whole config around the keys that a page shows."""
    top = {key: part.pop(key) for key in ("results", "requests", "publish", "defaults", "datasets") if key in part}
    if part and not part.keys() <= {*DATASET, "splitting", "select", "tfrecords", "chips"}:
        part = {"imagery": part}
    top.setdefault("datasets", {"city": {}})
    if "chips" in part or any("chips" in (dataset or {}) for dataset in top["datasets"].values()):
        return {**top, "defaults": {**top.get("defaults", {}), **part}}
    given = {**top.get("defaults", {}), **part}
    if not {"catalog", "layers", "path"} & given.get("imagery", {}).keys():
        given["imagery"] = {**IMAGERY, **given.get("imagery", {})}
    if not {"path", "layers", "targets"} & given.get("labels", {}).keys():
        given["labels"] = {**DATASET["labels"], **given.get("labels", {})}
    return {**top, "defaults": {**DATASET, **given}}


@blocks("bash")
def test_commands_and_their_options_exist(block: Block) -> None:
    for line in block.code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words:
            end = words.index("&&") if "&&" in words else len(words)
            check_command(words[:end])
            words = words[end + 1 :]


@pytest.mark.parametrize("page", PAGES)
def test_commands_within_sentences_exist(page: str) -> None:
    text = FENCE.sub("", (REPOSITORY / page).read_text(encoding="utf-8"))
    for command in re.findall(r"`((?:\.venv/bin/)?(?:segchips|snakemake|make|pip) [^`]+)`", text):
        words = shlex.split(command)
        if words[0] == "segchips":
            parser = COMMANDS[words[1]]
            assert {word for word in words if word.startswith("--")} <= {*parser._option_string_actions}, command
        else:
            check_command(words)


def check_command(words: list[str]) -> None:
    """Fails for a program, option, target or file that does not exist."""
    while words and (words[0] == "export" or re.match(r"\w+=", words[0])):
        words = words[1:]
    if not words:
        return
    program, arguments = words[0].removeprefix(".venv/bin/"), words[1:]
    if program == "make":
        assert {word for word in arguments if "=" not in word} <= TARGETS, words
    elif program == "segchips":
        command_parser().parse_args(arguments)
    elif program == "snakemake":
        parse_snakemake(arguments)
    elif program == "pip":
        named = re.findall(r"\[([\w,]+)\]", " ".join(arguments))
        assert {extra for names in named for extra in names.split(",")} <= EXTRAS.keys(), words
    elif program in ("python", "pytest", "cp", "jupyter"):
        paths = [word for word in arguments if re.match(r"(?:config|docs|resources|tests|workflow)/", word)]
        assert all(list(REPOSITORY.glob(path)) for path in paths[:1]), words
    else:
        assert program in OTHER_PROGRAMS, words


def parse_snakemake(arguments: list[str], known_only: bool = False) -> None:
    from snakemake.cli import get_argument_parser

    parser = get_argument_parser()
    options = {word.split("=")[0] for word in arguments if word.startswith("--")}
    assert {option for option in options if not option.startswith("--slurm-")} <= {*parser._option_string_actions}
    if not known_only:
        targets = parser.parse_args(arguments).targets
        assert all(target in RULES or target.startswith(("results/", "chips/")) for target in targets), targets


@blocks("python")
def test_python_compiles_and_names_what_there_is(block: Block) -> None:
    tree = ast.parse(block.code)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("segchips"):
            module = importlib.import_module(node.module or "")
            assert [name.name for name in node.names if not hasattr(module, name.name)] == []
        elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith("segchips."):
            name = ast.unparse(node.func).removeprefix("segchips.")
            assert name in segchips.__all__
            assert {keyword.arg for keyword in node.keywords if keyword.arg} <= parameters_of(name)


def parameters_of(name: str) -> set[str]:
    """Parameters of a public function or class, read from its source because its libraries may be missing."""
    for path in (REPOSITORY / "workflow" / "scripts" / "segchips").glob("*/*.py"):
        if re.search(rf"^(?:def|class) {name}\b", text := path.read_text(), re.MULTILINE):
            (found,) = (node for node in ast.parse(text).body if getattr(node, "name", "") == name)
            makers = [node for node in ast.walk(found) if getattr(node, "name", "") in (name, "__init__")]
            arguments = [node.args for node in makers if isinstance(node, ast.FunctionDef)]
            return {argument.arg for each in arguments for argument in (*each.args, *each.kwonlyargs)}
    raise AssertionError(f"no module defines {name}")


@blocks("snakemake")
def test_snakemake_can_be_parsed(block: Block) -> None:
    from snakefmt.formatter import Formatter
    from snakefmt.parser.parser import Snakefile

    assert "module segchips:" in Formatter(Snakefile(io.StringIO(block.code))).get_formatted()
