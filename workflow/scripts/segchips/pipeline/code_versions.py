"""Versions of the library's own code: a result is made again when code that it was made by has changed, and only then.

A version is a digest of the syntax trees of a module, or of one of the workflow's scripts, and of every module of this
package that it imports, directly or through others. It is the same for every Python version, and blind to comments,
docstrings, layout and imports for type checkers.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from segchips.config.imagery import PLATFORMS
from segchips.files import digest

_PACKAGE = Path(__file__).parents[1]
_ROOT = _PACKAGE.name
_STAC = ("scenes.stac_catalogue", "scenes.stac_client", "scenes.stac_items")
_PLATFORM = (
    "scenes.platform_catalogue",
    "scenes.platform_service",
    "scenes.platform_sessions",
    "scenes.platform_responses",
    "chips.platform_reader",
)


def foreign_modules(source: str) -> tuple[str, ...]:
    """The modules of other sources of imagery, on which results from this one do not depend."""
    return _STAC if source in PLATFORMS else _PLATFORM


def foreign_to_images(source: str) -> tuple[str, ...]:
    """As above, of image chips: a catalogue that is asked for a signature has no part in the pixels."""
    return (*_STAC, *foreign_modules(source))


@cache
def module_version(module: str, *excluded: str) -> str:
    """The version of the code of one module.

    Args:
        module: Name within the package, such as `chips.images`.
        excluded: Modules that are left out with all that only they import.

    Returns:
        16 hexadecimal digits.

    Raises:
        FileNotFoundError: The package has no such module.
    """
    return _version(_file_of([_ROOT, *module.split(".")]), excluded)


@cache
def script_version(script: str) -> str:
    """The version of the code of one of the workflow's scripts, named without `.py`; as `module_version`."""
    return _version(_PACKAGE.parent / f"{script}.py", ())


def _version(start: Path | None, excluded: tuple[str, ...]) -> str:
    if start is None:
        raise FileNotFoundError(f"{_PACKAGE} has no such module")
    left_out = {_file_of([_ROOT, *name.split(".")]) for name in excluded}
    found: set[Path] = set()
    todo = [start]
    while todo:
        path = todo.pop()
        if path not in found and path not in left_out:
            found.add(path)
            todo += _imported_files(path)
    return digest(*(_fingerprint(path) for path in sorted(found)))


@cache
def _tree(path: Path) -> ast.Module:
    """The syntax tree of a module without docstrings and blocks for type checkers."""
    tree = ast.parse(path.read_bytes())
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


@cache
def _imported_files(path: Path) -> list[Path]:
    """The files of the package's modules that a file imports anywhere, and of the packages that these lie in."""
    names = [name for node in ast.walk(_tree(path)) for name in _imported_names(node, path)]
    found = {_file_of(parts[:depth]) for parts in names for depth in range(2, len(parts) + 1)}
    return sorted(file for file in found if file)


def _imported_names(node: ast.AST, path: Path) -> Iterator[list[str]]:
    """What an import statement imports from this package, as the parts of dotted names."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.split(".")[0] == _ROOT:
                yield alias.name.split(".")
    if isinstance(node, ast.ImportFrom):
        base = node.module.split(".") if node.module else []
        if node.level:
            inside = path.relative_to(_PACKAGE.parent).parts[: -node.level]
            base = [*inside, *base]
        if base and base[0] == _ROOT:
            for alias in node.names:
                yield [*base, alias.name]


def _file_of(parts: list[str]) -> Path | None:
    """The file of a module or package of this package; None where the name is that of something in a module."""
    place = _PACKAGE.parent.joinpath(*parts)
    files = place.with_suffix(".py"), place / "__init__.py"
    return next((file for file in files if file.is_file()), None)


@cache
def _fingerprint(path: Path) -> str:
    return digest(path.relative_to(_PACKAGE.parent).as_posix(), *_parts(_tree(path)))


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
