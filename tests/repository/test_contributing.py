"""The tables of CONTRIBUTING.md list the folders, rules, logs and tests that there are."""

import re
import tomllib

from support.projects import REPOSITORY

LIBRARY = REPOSITORY / "workflow" / "scripts" / "segchips"
TEXT = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
RULES = {path.stem: path.read_text() for path in (REPOSITORY / "workflow" / "rules").glob("*.smk")}


def table(header: str) -> list[list[str]]:
    """The cells of the table that begins with a header."""
    lines = TEXT[TEXT.index(header) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


STEPS = {row[0]: row for row in table("| word | rules |")}


def test_folders_of_the_library_are_listed_in_the_order_of_imports() -> None:
    listed = [name.rstrip("/") for cell, _ in table("| folder of `segchips` |") for name in quoted(cell)]
    modules = {path.name for path in LIBRARY.iterdir() if path.suffix == ".py" and not path.name.startswith("__")}
    assert set(listed) == modules | {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    floor = {
        name.strip().removeprefix("segchips."): number
        for number, names in enumerate(layers)
        for name in re.split("[:|]", names)
    }
    floors = [floor[name.removesuffix(".py")] for name in listed]
    assert floors == sorted(floors)


def test_every_rule_is_listed_with_its_word() -> None:
    names = {
        word: set(re.findall(r"^ *(?:rule|checkpoint) (\w+):|^use rule \w+ as (\w+)", text, re.MULTILINE))
        for word, text in RULES.items()
    }
    assert {word: set(quoted(row[1])) for word, row in STEPS.items()} == {
        word: {rule or copy for rule, copy in rules} for word, rules in names.items() if rules
    }


def test_steps_name_their_modules_logs_and_tests() -> None:
    for word, _, modules, _, logs, tests in STEPS.values():
        for path in quoted(modules):
            assert (LIBRARY / path).exists() or (REPOSITORY / path).exists(), path
        for log in quoted(logs):
            path = log.removeprefix("logs/") if log.startswith("logs/") else rf"<\w+>/{log}"
            path = re.sub(r"\[(<\w+>)/\]", r"\1", path)  # a folder that datasets without names do not have
            pattern = re.sub(r"<[^>]+>", r"{[^\"]+}", path.replace(".", r"\."))
            assert re.search(rf'f"{{LOGS}}/{pattern}"', RULES[word]), log
        for path in quoted(tests):
            assert (REPOSITORY / "tests" / "pipeline" / path).exists() or (REPOSITORY / path).exists(), path
