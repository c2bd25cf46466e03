"""The code of one module: a fingerprint, and the modules that it imports.

A fingerprint is a digest of the syntax tree. It is the same for every Python version, and blind to comments,
docstrings, layout and imports for type checkers. Parsing all modules takes half a second, so what was found is kept
beside Python's own cache of compiled modules, by the content of the source.
"""

import ast
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path

from segchips.files import atomic_write, digest

PACKAGE = Path(__file__).parents[1]
ROOT = PACKAGE.name


@dataclass(frozen=True)
class ModuleCode:
    """What matters of a module's source.

    Attributes:
        fingerprint: Digest of its path in the library and its syntax tree.
        imports: The dotted names that it imports from this package, wherever in the file.
    """

    fingerprint: str
    imports: tuple[str, ...]


class _Cache:
    """What was found in earlier processes, in a file that holds as long as this module does not change."""

    def __init__(self) -> None:
        self._path = Path(cache_from_source(__file__)).with_suffix(".json")
        self._version = digest(Path(__file__).read_bytes())
        self._codes: dict[str, ModuleCode] = {}
        self._is_complete = True
        with suppress(OSError, ValueError, KeyError, TypeError):
            content = json.loads(self._path.read_bytes())
            if content["version"] == self._version:
                self._codes = {key: ModuleCode(code[0], tuple(code[1])) for key, code in content["codes"].items()}

    def code(self, place: str, source: bytes) -> ModuleCode:
        key = digest(place, source)
        if key not in self._codes:
            self._is_complete = False
            tree = _tree(source)
            imports = {name for node in ast.walk(tree) for name in _imported_names(node, Path(place))}
            self._codes[key] = ModuleCode(digest(place, *_parts(tree)), tuple(sorted(imports)))
        return self._codes[key]

    def save(self) -> None:
        if self._is_complete or sys.dont_write_bytecode:
            return
        codes = {key: (code.fingerprint, code.imports) for key, code in self._codes.items()}
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(self._path, json.dumps({"version": self._version, "codes": codes}))
        self._is_complete = True


@cache
def _code_cache() -> _Cache:
    return _Cache()


@cache
def module_code(path: Path) -> ModuleCode:
    """The code of a file of this package, or of a script beside the package."""
    return _code_cache().code(path.relative_to(PACKAGE.parent).as_posix(), path.read_bytes())


def save_module_codes() -> None:
    """Keep what was found for the next process, unless Python is told to write no such files."""
    _code_cache().save()


def _tree(source: bytes) -> ast.Module:
    """The syntax tree of a module without docstrings and blocks for type checkers."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for name, value in ast.iter_fields(node):
            if isinstance(value, list):
                setattr(node, name, [each for item in value for each in _effective(item)])
    return tree


def _effective(node: object) -> list[object]:
    """What a statement, or any other item of a syntax tree, leaves to be executed."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return []
    if isinstance(node, ast.If) and _is_type_checking(node.test):
        return [each for item in node.orelse for each in _effective(item)]
    return [node]


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _imported_names(node: ast.AST, place: Path) -> Iterator[str]:
    """The dotted names that an import statement imports from this package; `place` is where the file is."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.split(".")[0] == ROOT:
                yield alias.name
    if isinstance(node, ast.ImportFrom):
        base = node.module.split(".") if node.module else []
        if node.level:
            base = [*place.parts[: -node.level], *base]
        if base and base[0] == ROOT:
            for alias in node.names:
                yield ".".join([*base, alias.name])


def _parts(node: object) -> Iterator[str]:
    """A syntax tree as text without positions; what is empty is left out, for releases of Python name it or not."""
    if isinstance(node, ast.AST):
        yield f"{type(node).__name__}("
        for name, value in ast.iter_fields(node):
            if name not in ("ctx", "kind", "type_comment") and value is not None and value != []:
                yield f"{name}="
                yield from _parts(_joined(node, value))
        yield ")"
    elif isinstance(node, list):
        for item in node:
            yield from _parts(item)
            yield ","
    else:
        yield f"{type(node).__name__} {node!r}"


def _joined(node: ast.AST, value: object) -> object:
    """The parts of an f-string with its texts joined, which releases of Python cut in different places."""
    if not isinstance(node, ast.JoinedStr) or not isinstance(value, list):
        return value
    joined: list[object] = []
    for part in value:
        text = part.value if isinstance(part, ast.Constant) else None
        if text is not None and joined and isinstance(joined[-1], str):
            joined[-1] += str(text)
        elif text != "":
            joined.append(part if text is None else str(text))
    return joined
