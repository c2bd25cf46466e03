"""Versions of the library's own code: a result is made again when code that it was made by has changed, and only then.

A version is a digest of the code of a module, or of one of the workflow's scripts, and of every module of this package
that it imports, directly or through others.
"""

from functools import cache
from pathlib import Path

from segchips.config.imagery import PLATFORMS
from segchips.files import digest
from segchips.pipeline.module_code import PACKAGE, ROOT, module_code, save_module_codes

_STAC = (
    "scenes.item_filter",
    "scenes.stac_addresses",
    "scenes.stac_api",
    "scenes.stac_bands",
    "scenes.stac_catalogue",
    "scenes.stac_client",
    "scenes.stac_files",
    "scenes.stac_items",
    "scenes.stac_search",
    "scenes.stac_tree",
)
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
    return _version(_file_of(f"{ROOT}.{module}"), excluded)


@cache
def script_version(script: str) -> str:
    """The version of the code of one of the workflow's scripts, named without `.py`; as `module_version`."""
    return _version(PACKAGE.parent / f"{script}.py", ())


def _version(start: Path | None, excluded: tuple[str, ...]) -> str:
    if start is None:
        raise FileNotFoundError(f"{PACKAGE} has no such module")
    left_out = {_file_of(f"{ROOT}.{name}") for name in excluded}
    found: set[Path] = set()
    todo = [start]
    while todo:
        path = todo.pop()
        if path not in found and path not in left_out:
            found.add(path)
            todo += _imported_files(path)
    save_module_codes()
    return digest(*(module_code(path).fingerprint for path in sorted(found)))


@cache
def _imported_files(path: Path) -> list[Path]:
    """The files of the package's modules that a file imports anywhere, and of the packages that these lie in."""
    names = [name.split(".") for name in module_code(path).imports]
    found = {_file_of(".".join(parts[:depth])) for parts in names for depth in range(2, len(parts) + 1)}
    return sorted(file for file in found if file)


@cache
def _file_of(name: str) -> Path | None:
    """The file of a module or package of this package; None where the name is that of something in a module."""
    place = PACKAGE.parent.joinpath(*name.split("."))
    files = place.with_suffix(".py"), place / "__init__.py"
    return next((file for file in files if file.is_file()), None)
