"""Versions of the library's own code, so that a result is made again when what made it changed, and only then."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType

from segchips.config import PLATFORMS
from segchips.files import digest

_PACKAGE = Path(__file__).parent
_IMPORT = re.compile(r"^[ \t]*from segchips(?:\.(\w+))? import (\([^)]*\)|.*)", re.MULTILINE)


def foreign_modules(source: str) -> tuple[str, ...]:
    """The modules of other sources of imagery, on which results from this one do not depend."""
    return ("stac",) if source in PLATFORMS else ("platform", "retrieval", "service")


def foreign_to_images(source: str) -> tuple[str, ...]:
    """As above, of image chips: a catalogue that is asked for a signature has no part in the pixels."""
    return ("stac", *foreign_modules(source))


@cache
def version(step: str, *foreign: str) -> str:
    """A digest of a step's script, where it has one, else its module, and of all that imports from this package.

    Blind to comments, docstrings and layout, and to foreign modules, which are imported only where others need them.
    """
    script = _PACKAGE.parent / f"{step}.py"
    left_out = {_PACKAGE / f"{name}.py" for name in foreign}
    found = set(left_out)
    todo = [script if script.exists() else _PACKAGE / f"{step}.py"]
    while todo:
        path = todo.pop()
        if path not in found:
            found.add(path)
            todo += _imports(path)
    return digest(*(_fingerprint(path) for path in sorted(found - left_out)))


@cache
def _imports(path: Path) -> list[Path]:
    names: list[str] = []
    for module, siblings in _IMPORT.findall(path.read_text(encoding="utf-8")):
        names += [module] if module else re.findall(r"\w+", siblings)
    return [module for name in names if (module := _PACKAGE / f"{name}.py").exists()]


@cache
def _fingerprint(path: Path) -> str:
    """A digest of the compiled module without docstrings."""
    code = compile(path.read_bytes(), path.name, "exec", dont_inherit=True, optimize=2)
    return digest(path.name, *_parts(code))


def _parts(code: CodeType) -> Iterator[object]:
    """What a code object does, without where its lines are."""
    yield from (code.co_name, code.co_flags, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
    yield from (
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_code,
        code.co_exceptiontable,
    )
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _parts(constant)
        else:
            yield sorted(map(repr, constant)) if isinstance(constant, frozenset) else repr(constant)
