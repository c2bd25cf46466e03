"""Versions of the library's own code, so that a result is made again when what made it changed, and only then."""

import ast
from functools import cache
from pathlib import Path

from segchips.files import digest

_PACKAGE = Path(__file__).parent


@cache
def version(step: str) -> str:
    """A digest of a step's script, where it has one, else its module, and of all that imports from this package.

    Blind to comments, docstrings and layout.
    """
    script = _PACKAGE.parent / f"{step}.py"
    found: set[Path] = set()
    todo = [script if script.exists() else _PACKAGE / f"{step}.py"]
    while todo:
        path = todo.pop()
        if path not in found:
            found.add(path)
            todo += _imports(path)
    return digest(*(_fingerprint(path) for path in sorted(found)))


def _imports(path: Path) -> list[Path]:
    names = []
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module == "segchips":
            names += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("segchips."):
            names.append(str(node.module).removeprefix("segchips."))
    return [module for name in names if (module := _PACKAGE / f"{name}.py").exists()]


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _fingerprint(path: Path) -> str:
    tree = _tree(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:] or [ast.Pass()]
    return digest(path.name, ast.dump(tree))
