"""What the blocks of the config are built from: shared types of values, and how a check reports a problem.

A block is a frozen dataclass that declares each of its keys once: type and range as an annotation for pydantic, the
default as its value, and the description as the docstring below it. JSON schema, reference and messages derive from
these declarations. Blocks made in code, in contrast to those read from a file, are not checked.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, Strict, ValidatorFunctionWrapHandler, WrapValidator
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

T = TypeVar("T")
PROBLEM, UNKNOWN_KEY, INVALID_DATE = "config_problem", "config_unknown_key", "config_invalid_date"


class Block:
    """Base of all blocks: unknown keys and infinite numbers are errors."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
    SHARED: ClassVar["tuple[type[Block], str] | None"] = None
    """The block whose keys may also stand beside a list or map of such blocks, and its key; see share_keys."""
    IN_MAP: ClassVar[bool] = False
    """Whether such blocks stand in a map, where the only one has the name "" if the file names none."""


def problem(key: str, text: str) -> PydanticCustomError:
    """Returns the error for a check of several keys.

    Args:
        key: The dotted path of the key, relative to the block that is checked; empty for the block itself.
        text: What is wrong and what to do.
    """
    return PydanticCustomError(PROBLEM, "{text}", {"key": key, "text": text})


def share_keys(raw: Any, part: "type[Block]", entries: str) -> Any:
    """Moves keys that stand beside a list or map of entries into each entry that does not override them.

    Args:
        raw: The block as written, such as `{"path": "a.gpkg", "layers": [{"layer": "roads"}]}`.
        part: The block that each entry is, whose keys may also stand beside the entries.
        entries: The key of the entries; without it, the keys beside it are the only entry, in a map that of name "".

    Returns:
        The block with its entries complete, such as `{"layers": [{"path": "a.gpkg", "layer": "roads"}]}`.
    """
    if not isinstance(raw, Mapping):
        return raw
    keys = shared_keys(part)
    shared = {key: value for key, value in raw.items() if key in keys and key != entries}
    own = {key: value for key, value in raw.items() if key not in shared}
    items: Any = raw.get(entries)
    if items is None:
        items = {"": {}} if part.IN_MAP else [{}]
    if isinstance(items, list) and not part.IN_MAP:
        items = [_override(shared, item) for item in items]
    elif isinstance(items, Mapping) and part.IN_MAP:
        items = {name: _override(shared, item) for name, item in items.items()}
    return own | {entries: items}


def shared_keys(part: "type[Block]") -> set[str]:
    """The keys that a block may have in the file, those that its entries share included."""
    own = set(part.__dataclass_fields__)  # type: ignore[attr-defined]
    return own | shared_keys(part.SHARED[0]) if part.SHARED else own


def _override(shared: Mapping[str, Any], item: Any) -> Any:
    return {**shared, **item} if isinstance(item, Mapping) else {**shared} if item is None else item


def _parse_day(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise PydanticCustomError(INVALID_DATE, "not a date")


def _keep_integer(value: object, check: ValidatorFunctionWrapHandler) -> object:
    check(value)
    return value


def _refuse(value: object) -> object:
    raise PydanticCustomError(UNKNOWN_KEY, "unknown key")


NAME_PATTERN = "^[a-z][a-z0-9_]*$"
KEEP_INTEGER = WrapValidator(_keep_integer)
"""Keeps an integer that is given for a number, so that reports show it as written; must be the last annotation."""

Flag = Annotated[bool, Strict()]
Integer = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Share = Annotated[Number, Field(ge=0, le=1), KEEP_INTEGER]
ClassValue = Annotated[Integer, Field(ge=0, le=255)]
Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Day = Annotated[date, Strict(), BeforeValidator(_parse_day)]
Derived = Annotated[T, SkipJsonSchema(), BeforeValidator(_refuse)]
"""A field that follows from other blocks; it is not a key of the file."""
