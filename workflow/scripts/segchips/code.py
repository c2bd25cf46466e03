"""Versions of the library's own code, so that a result is made again when what made it changed, and only then."""

import ast
from functools import cache
from pathlib import Path

from segchips.files import digest

_PACKAGE = Path(__file__).parent


@cache
def version(module: str) -> str:
    """A digest of a module of this package and of all it imports from the package; blind to comments and docstrings."""
    return digest(*(_fingerprint(name) for name in sorted(_closure(module))))


def _closure(module: str) -> set[str]:
    found, todo = set(), [module]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += _imports(name)
    return found


def _imports(module: str) -> list[str]:
    nodes = [node for node in ast.walk(_tree(module)) if isinstance(node, ast.ImportFrom) and node.module]
    inner = [
        node.module.removeprefix("segchips.") for node in nodes if node.module and node.module.startswith("segchips.")
    ]
    siblings = [name.name for node in nodes if node.module == "segchips" for name in node.names]
    return [name for name in inner + siblings if (_PACKAGE / f"{name}.py").exists()]


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse((_PACKAGE / f"{module}.py").read_text(encoding="utf-8"))


@cache
def _fingerprint(module: str) -> str:
    tree = _tree(module)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return digest(module, ast.dump(tree))
