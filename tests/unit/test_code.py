"""code.py on copies of the library: a version changes with the code that makes a result, and with nothing else."""

import ast
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import segchips

SCRIPTS = Path(segchips.__file__).parents[1]
STEPS = ("images", "labels", "placing", "resolve", "shards")
ADDED = "\n\ndef added() -> int:\n    return 1\n"


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the scripts folder."""
    folder = tmp_path_factory.mktemp("copy") / "scripts"
    shutil.copytree(SCRIPTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def versions(folder, *steps):
    """Each step's version in a fresh process with the library of `folder`."""
    program = f"from segchips.code import version; print(*(version(step) for step in {steps!r}))"
    found = subprocess.run(
        [sys.executable, "-B", "-c", program],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(zip(steps, found.stdout.split(), strict=True))


@cache
def unedited():
    return versions(SCRIPTS, *STEPS)


def edited(copy, module, change):
    """The steps whose version an edit of one module changes."""
    path = copy / f"{module}.py"
    old, text = unedited(), path.read_text()
    try:
        path.write_text(change(text))
        ast.parse(path.read_text())
        new = versions(copy, *STEPS)
    finally:
        path.write_text(text)
    return {step for step in STEPS if old[step] != new[step]}


@cache
def imported(module):
    """The library's modules that a module needs, worked out from Python's own loading of it in a fresh process."""
    program = (
        f"import sys, importlib; importlib.import_module('segchips.{module}');"
        "print(*(name for name in sys.modules if name.startswith('segchips.')))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return {name.removeprefix("segchips.") for name in found.stdout.split()}


def test_chips_from_files_do_not_depend_on_what_asks_platforms(copy):
    program = (
        "from segchips.code import foreign_modules, foreign_to_images, version;"
        "foreign = {'images': foreign_to_images, 'resolve': foreign_modules};"
        "print(*(version(step, *foreign[step](name)) for name in ('stac', 'earthone') for step in foreign))"
    )

    def found():
        environment = {**os.environ, "PYTHONPATH": str(copy)}
        command = [sys.executable, "-B", "-c", program]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()

    before = found()
    assert len(set(before)) == 4
    used = {"platform": [3], "retrieval": [2], "service": [2, 3], "stac": [1], "pixels": [0, 2]}
    for module, changes in used.items():
        path = copy / "segchips" / f"{module}.py"
        text = path.read_text()
        path.write_text(text + ADDED)
        after = found()
        path.write_text(text)
        assert [number for number in range(4) if after[number] != before[number]] == changes, module


def test_versions_are_the_same_wherever_the_library_lies(copy):
    assert versions(copy, *STEPS) == unedited()
    assert len(set(versions(copy, *STEPS).values())) == len(STEPS)


@pytest.mark.parametrize("module", ["composite", "vectors", "grid"])
def test_an_edit_changes_the_steps_that_use_the_module(copy, module):
    changed = edited(copy, f"segchips/{module}", lambda text: text + ADDED)
    for step in ("images", "labels"):
        assert (step in changed) == (module in imported(step)), step


def test_an_edit_of_a_script_changes_its_step_alone(copy):
    before = versions(copy, "convert")
    assert edited(copy, "convert", lambda text: text + "\nprint(1)\n") == set()
    path = copy / "convert.py"
    path.write_text(path.read_text() + "\nprint(1)\n")
    assert versions(copy, "convert") != before


def commented(text):
    return "# A comment.\n" + text.replace("\n\n\n", "\n\n\n# Another.\n\n")


def undocumented(text):
    tree = ast.parse(text)
    first = tree.body[0]
    assert isinstance(first, ast.Expr) and isinstance(first.value.value, str)
    lines = text.splitlines(keepends=True)
    return '"""Something else."""\n' + "".join(lines[first.end_lineno :])


@pytest.mark.parametrize(
    "change",
    [
        commented,
        undocumented,
        lambda text: ast.unparse(ast.parse(text)),
        lambda text: text.replace('    """The mean of two arrays without overflow."""\n', '    """Changed."""\n'),
    ],
)
def test_comments_docstrings_and_layout_change_nothing(copy, change):
    assert change((copy / "segchips/composite.py").read_text()) != (copy / "segchips/composite.py").read_text()
    assert edited(copy, "segchips/composite", change) == set()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("np.rint(values)", "np.floor(values)"),
        lambda text: text.replace("count > 0", "count > 1"),
        lambda text: text.replace('"""', "'''").replace("np.maximum(count, 1)", "np.maximum(count, 2)"),
    ],
)
def test_a_changed_number_or_call_changes_the_images_alone(copy, change):
    assert change((copy / "segchips/composite.py").read_text()) != (copy / "segchips/composite.py").read_text()
    assert edited(copy, "segchips/composite", change) == {"images"}
