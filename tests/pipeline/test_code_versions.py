"""code_versions.py on copies of the library: a version changes with the code behind a result, and with nothing else."""

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
STEPS = ("chips.images", "labels.chip", "tiles.tiles", "scenes.resolve", "records.shard_writer")
IMPORT = "from segchips.pipeline.code_versions import module_version"
CODE = ("code_versions.py", "module_code.py")
ADDED = "\n\ndef added() -> int:\n    return 1\n"


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the scripts folder."""
    folder = tmp_path_factory.mktemp("copy") / "scripts"
    shutil.copytree(SCRIPTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def printed(folder, program, *options, python=sys.executable):
    """The words that a program prints in a fresh process with the library of `folder`."""
    command = [python, *(options or ["-B"]), "-c", program]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"PYTHONPATH": str(folder)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


def versions(folder, *steps):
    """Each step's version in a fresh process with the library of `folder`."""
    found = printed(folder, f"{IMPORT}; print(*(module_version(step) for step in {steps!r}))")
    return dict(zip(steps, found, strict=True))


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
    return {name.removeprefix("segchips.") for name in printed(SCRIPTS, program)}


def test_chips_from_files_do_not_depend_on_what_asks_platforms(copy):
    program = (
        "from segchips.pipeline.code_versions import foreign_modules, foreign_to_images, module_version;"
        "foreign = {'chips.images': foreign_to_images, 'scenes.resolve': foreign_modules};"
        "print(*(module_version(step, *foreign[step](name)) for name in ('stac', 'earthone') for step in foreign))"
    )
    before = printed(copy, program)
    assert len(set(before)) == 4
    used = {
        "scenes/platform_catalogue": [3],
        "chips/platform_reader": [2],
        "scenes/platform_service": [2, 3],
        "scenes/stac_items": [1],
        "chips/readers": [0, 2],
    }
    for module, changes in used.items():
        path = copy / "segchips" / f"{module}.py"
        text = path.read_text()
        path.write_text(text + ADDED)
        after = printed(copy, program)
        path.write_text(text)
        assert [number for number in range(4) if after[number] != before[number]] == changes, module


def test_versions_are_the_same_wherever_the_library_lies(copy):
    assert versions(copy, *STEPS) == unedited()
    assert len(set(versions(copy, *STEPS).values())) == len(STEPS)


@pytest.mark.parametrize("module", ["chips.composite", "vectors.layers", "grids.tile"])
def test_an_edit_changes_the_steps_that_use_the_module(copy, module):
    changed = edited(copy, f"segchips/{module.replace('.', '/')}", lambda text: text + ADDED)
    for step in ("chips.images", "labels.chip"):
        assert (step in changed) == (module in imported(step)), step


def test_an_edit_of_a_script_changes_its_own_version_alone(copy):
    program = (
        "from segchips.pipeline.code_versions import module_version, script_version;"
        "print(script_version('resolve'), module_version('scenes.resolve'), script_version('convert'))"
    )
    before, path = printed(copy, program), copy / "resolve.py"
    text = path.read_text()
    path.write_text(text + "\nprint(1)\n")
    after = printed(copy, program)
    path.write_text(text)
    assert [number for number in range(3) if after[number] != before[number]] == [0]


PACKAGE = {
    "__init__.py": "",
    "pipeline/__init__.py": "",
    **{f"pipeline/{name}": (SCRIPTS / "segchips/pipeline" / name).read_text() for name in CODE},
    "files.py": (SCRIPTS / "segchips/files.py").read_text(),
    "errors.py": (SCRIPTS / "segchips/errors.py").read_text(),
    "config/__init__.py": "",
    "config/imagery.py": "PLATFORMS = ()\n",
    "room/__init__.py": "",
    "room/first.py": "def one():\n    return 1\n",
    "room/second.py": "def two():\n    return 2\n",
    "room/deep/__init__.py": "",
    "room/deep/third.py": "def three():\n    return 3\n",
}


@pytest.fixture
def package(tmp_path):
    """Writes files into a small package named segchips and returns the version of one of its modules."""

    def version(files, module="step"):
        for name, text in (PACKAGE | files).items():
            path = tmp_path / "segchips" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return versions(tmp_path, module)[module]

    return version


IMPORTS = [
    "from segchips.room.first import one",
    "from segchips.room.first import one as other",
    "from segchips.room import first",
    "from segchips.room import (\n    second,\n    first,\n)",
    "import segchips.room.first",
    "import os, segchips.room.first as first",
    "from .room.first import one",
    "from .room import first",
    "def body():\n    from segchips.room.first import one\n    return one()",
    "class Body:\n    def method(self):\n        if self:\n            import segchips.room.first",
    "try:\n    from segchips.room.first import one\nexcept ImportError:\n    one = None",
    "if __name__: from segchips.room.first import one",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import os\nelse:\n    import segchips.room.first",
]


@pytest.mark.parametrize("text", IMPORTS)
def test_imports_are_found_in_every_form(package, text):
    before = package({"step.py": text})
    assert package({"step.py": text, "room/first.py": "def one():\n    return 11\n"}) != before
    restored = {"step.py": text, "room/deep/third.py": "def three():\n    return 33\n"}
    assert package(restored) == before


@pytest.mark.parametrize("text", ["from ..first import one", "from ...room.first import one", "from .. import first"])
def test_relative_imports_are_found_at_every_depth(package, text):
    before = package({"room/deep/third.py": text}, "room.deep.third")
    changed = {"room/deep/third.py": text, "room/first.py": "def one():\n    return 11\n"}
    assert package(changed, "room.deep.third") != before


@pytest.mark.parametrize(
    "text",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from segchips.room.first import one",
        "import typing\nif typing.TYPE_CHECKING:\n    from segchips.room.first import one",
        "'from segchips.room.first import one'",
        "# from segchips.room.first import one",
        "text = 'from segchips.room.first import one'",
    ],
)
def test_text_and_imports_for_type_checkers_do_not_count(package, text):
    before = package({"step.py": text})
    assert package({"step.py": text, "room/first.py": "def one():\n    return 11\n"}) == before


def test_a_version_follows_a_function_that_moves_between_modules_of_a_folder(package):
    moved = {
        "step.py": "from segchips.room.second import one\n",
        "room/first.py": "",
        "room/second.py": PACKAGE["room/second.py"] + PACKAGE["room/first.py"],
    }
    here, there = package({"step.py": "from segchips.room.first import one\n"}), package(moved)
    assert here != there
    assert package(moved | {"room/second.py": moved["room/second.py"].replace("return 1", "return 11")}) != there
    assert package(moved | {"room/first.py": "def unused():\n    return 0\n"}) == there


def other_pythons():
    """The interpreters of this machine of other releases of Python from 3.11 on."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    names = (f"python3.{minor}" for minor in range(11, 16) if f"3.{minor}" != own)
    found = (shutil.which(name) for name in names)
    return [path for path in found if path and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0]


def test_versions_are_the_same_on_every_python():
    pythons = other_pythons()
    if not pythons:
        pytest.skip("no other Python from 3.11 on is installed")
    program = f"{IMPORT}; print(*(module_version(step) for step in {STEPS!r}))"
    for python in pythons:
        assert printed(SCRIPTS, program, python=python) == list(unedited().values()), python


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
    assert (
        change((copy / "segchips/chips/composite.py").read_text()) != (copy / "segchips/chips/composite.py").read_text()
    )
    assert edited(copy, "segchips/chips/composite", change) == set()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("np.rint(values)", "np.floor(values)"),
        lambda text: text.replace("count > 0", "count > 1"),
        lambda text: text.replace('"""', "'''").replace("np.maximum(count, 1)", "np.maximum(count, 2)"),
    ],
)
def test_a_changed_number_or_call_changes_the_images_alone(copy, change):
    assert (
        change((copy / "segchips/chips/composite.py").read_text()) != (copy / "segchips/chips/composite.py").read_text()
    )
    assert edited(copy, "segchips/chips/composite", change) == {"chips.images"}


def test_what_was_found_in_a_module_is_kept_until_its_text_changes(copy):
    program = (
        "import ast; from segchips.pipeline import code_versions, module_code;"
        "count, parse = [0], ast.parse;"
        "ast.parse = lambda text: (count.append(1), parse(text))[1];"
        "print(code_versions.module_version('chips.images'), sum(count), module_code._code_cache()._path)"
    )

    def found(*options):
        version, parsed, path = printed(copy, program, *options)
        return version, int(parsed), Path(path)

    fresh, modules, kept = found()
    assert modules > 10 and not kept.exists()
    assert found("-u") == (fresh, modules, kept)
    assert kept.exists()
    assert found("-u") == (fresh, 0, kept)
    module = copy / "segchips/chips/composite.py"
    text = module.read_text()
    module.write_text(text + ADDED)
    changed = found("-u")
    assert changed[0] != fresh and changed[1] == 1
    module.write_text(text)
    for content in ("", "{}", '{"version": 1}'):
        kept.write_text(content)
        assert found() == (fresh, modules, kept)
    shutil.rmtree(kept.parent)
