"""Messages for config errors: one line for each names the key, the value, and what to do."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from segchips.config.blocks import INVALID_DATE, PROBLEM, UNKNOWN_KEY
from segchips.config.imagery import REPEATED
from segchips.config.model import Dataset
from segchips.config.schema import block_schema
from segchips.files import Json

Path = tuple[str | int, ...]
_KEY = "[key]"
"""The last part of an error's path where a key of a map, and not its value, is wrong."""
_NAMED_ENTRIES = ("layers", "targets")
_UNKNOWN = ("unexpected_keyword_argument", UNKNOWN_KEY)
_TYPES = {
    "object": "a block of keys",
    "array": "a list",
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
}


def describe_errors(error: ValidationError, block: type, raw: Mapping[str, Any], where: str) -> list[str]:
    """Describes all errors of a block.

    Args:
        error: The errors that pydantic found.
        block: The block that was checked.
        raw: Its content.
        where: The dotted path of the block in the file, empty for the file.

    Returns:
        A line for each error, without duplicates, in the order of their keys.
    """
    schema = block_schema(block)
    errors = sorted(_distinct(error, raw), key=lambda entry: [str(part) for part in entry[0]])
    return list(dict.fromkeys(_line(path, item, schema, where) for path, item in errors))


def _distinct(error: ValidationError, raw: Mapping[str, Any]) -> Iterator[tuple[Path, Json]]:
    """The errors by path; of the errors in alternatives of one value, the one that comes nearest to valid input."""
    alternatives: dict[Path, list[tuple[Path, Json]]] = {}
    for details in error.errors(include_url=False):
        item: Json = {**details}
        if item["type"] == "too_short" and item["input"]:
            continue  # pydantic counts valid entries only; the others have errors of their own
        inner = item["ctx"]["key"] if item["type"] == PROBLEM else ""
        keys = (int(part) if part.isdecimal() else part for part in filter(None, inner.split(".")))
        location = _beside_names((*item["loc"], *keys), raw, item["type"] == PROBLEM)
        path, value = _data_path(location, raw)
        if value is None:
            yield _as_written(path, raw, item["type"] == PROBLEM), item
        else:
            alternatives.setdefault(value, []).append((_as_written(path, raw, False), item))
    for entries in alternatives.values():
        yield max(entries, key=lambda entry: (len(entry[0]), not entry[1]["type"].endswith("_type")))


def _beside_names(location: Path, raw: Any, problem: bool) -> Path:
    """The location of a key that a named entry takes from beside the names, or that needs none."""
    node, path, at = raw, list[str | int](), 0
    while at < len(location):
        part, key = location[at], location[at + 2] if at + 2 < len(location) else None
        is_entry = part in _NAMED_ENTRIES and isinstance(node, Mapping)
        if is_entry and at + 1 < len(location) and isinstance(location[at + 1], str):
            entries = node.get(str(part))
            entry = entries.get(str(location[at + 1])) if isinstance(entries, Mapping) else None
            taken = key in node and not problem and not (isinstance(entry, Mapping) and key in entry)
            if entries is None or taken:
                at += 2
                continue
        path.append(part)
        node = node.get(str(part)) if isinstance(node, Mapping) else node[part] if _exists((part,), node) else None
        at += 1
    return tuple(path)


def _data_path(location: Path, raw: Any) -> tuple[Path, Path | None]:
    """An error's path in the data, and of the value for which pydantic's path names an alternative, or None."""
    path: Path = ()
    value: Path | None = None
    node = raw
    for part in location:
        if isinstance(node, Mapping) and not (_is_alternative(part) and part not in node):
            node = node.get(str(part))
        elif isinstance(node, list) and isinstance(part, int):
            node = node[part] if part < len(node) else None
        elif part != _KEY and (node is not None or _is_alternative(part)):
            value = path
            continue
        path = (*path, part)
    return path, value


def _is_alternative(part: str | int) -> bool:
    """Whether a part of pydantic's path may name an alternative of a value, in contrast to a key."""
    if not isinstance(part, str) or part == _KEY:
        return False
    return part in ("int", "float", "bool") or part[:1].isupper() or "[" in part or part.endswith("str")


def _as_written(path: Path, raw: Any, problem: bool) -> Path:
    """The path of a key that an entry takes from beside the entries (see share_keys), as the user wrote it."""
    for at in range(len(path) - 2):
        shared = (*path[:at], *path[at + 2 :])
        beside = _exists(shared, raw) and not problem
        if isinstance(path[at + 1], int) and not _exists(path, raw) and (beside or not _exists(path[: at + 2], raw)):
            return _as_written(shared, raw, problem)
    return path


def _exists(path: Path, raw: Any) -> bool:
    part: Any
    for part in path:
        if not (part in raw if isinstance(raw, Mapping) else isinstance(raw, list) and part in range(len(raw))):
            return False
        raw = raw[part]
    return True


def _line(path: Path, item: Json, schema: Json, where: str) -> str:
    """The message for one error: the key's path, the value, and what would be right."""
    kind, value = item["type"], item["input"]
    dotted = ".".join([*filter(None, [where]), *map(str, path)])
    if kind == PROBLEM:
        return f"{dotted or 'config'}: {item['ctx']['text']}"
    if path[-1] == _KEY:
        parent = dotted.removesuffix(f".{value}.{_KEY}")
        advice = "use lower-case letters, digits and underscores, a letter first"
        return f"{parent}: '{value}' is not a valid name; {advice}"
    full = dotted if where or len(path) > 1 or kind not in ("missing", *_UNKNOWN) else f"config.{dotted}"
    rule = _rule(schema, path)
    if kind in _UNKNOWN:
        return f"{full}: unknown key; {_suggestion(str(path[-1]), _rule(schema, path[:-1]))}"
    if kind == "missing":
        return f"{full}: missing; {rule.get('description', 'it must be given')}"
    meaning = rule.get("description", "")
    return f"{full}: {value!r} is not usable; {_expectation(item, rule)}. {meaning}".rstrip()


def _rule(schema: Json, path: Sequence[str | int]) -> Json:
    """The part of a schema that a path leads to."""
    for part in path:
        properties, others = schema.get("properties", {}), schema.get("additionalProperties")
        inner = schema.get("items") if isinstance(part, int) else properties.get(part, others)
        schema = inner if isinstance(inner, dict) else {}
    return schema


def _suggestion(key: str, block: Json) -> str:
    """A key like the unknown one, else the block it belongs to, else all keys of this block."""
    keys = list(block.get("properties", {}))
    if close := get_close_matches(key, keys, 1):
        return f"did you mean '{close[0]}'?"
    blocks = block_schema(Dataset)["properties"].items()
    homes = [name for name, inner in blocks if key in inner.get("properties", {})]
    return f"it belongs in {' or '.join(homes)}" if homes else f"known keys are {', '.join(keys)}"


def _expectation(item: Json, rule: Json) -> str:
    limits = item.get("ctx", {})
    match item["type"]:
        case "greater_than_equal":
            return f"it must be at least {limits['ge']:g}"
        case "less_than_equal":
            return f"it must be at most {limits['le']:g}"
        case "greater_than":
            return f"it must be above {limits['gt']:g}"
        case "finite_number":
            return "it must be a finite number"
        case "too_short" | "string_too_short":
            return "it must not be empty"
        case kind if kind == INVALID_DATE:
            return "a date is written YYYY-MM-DD, such as 2017-06-30"
        case kind if kind == REPEATED:
            return "an entry is repeated"
        case "string_pattern_mismatch":
            return f"it must match {rule.get('pattern')}"
    if "enum" in rule:
        return "choose one of " + ", ".join("null" if choice is None else str(choice) for choice in rule["enum"])
    types = rule.get("type", "object")
    names = [types] if isinstance(types, str) else types
    return "it must be " + " or ".join(_TYPES.get(name, name) for name in names)
