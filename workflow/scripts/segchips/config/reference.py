"""The config's schema as tables for people: `python -m segchips.config.reference` prints what `config/REFERENCE.md` holds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]
_HEAD = """# Every key of the config

Made from `workflow/schemas/config.schema.yaml` by `make docs`; [README.md](README.md) tells how keys work together.
"""


def reference(schema: Path) -> str:
    """The schema as Markdown: a table for each block, with each key's type or choices, default and meaning."""
    rules: Json = yaml.safe_load(schema.read_text(encoding="utf-8"))
    top = {key: value for key, value in rules["properties"].items()}
    lines = [_HEAD, "## The file", *_table(top, rules)]
    for name in ("dataset", "conversion"):
        block = rules["$defs"][name]
        lines += ["", f"## {block['description'].rstrip('.')}", *_blocks("", block, rules)]
    return "\n".join(lines).rstrip() + "\n"


def _blocks(path: str, block: Json, rules: Json) -> Iterator[str]:
    """The table of a block's plain keys, then the blocks in it, one after the other."""
    known = {key: _resolved(value, rules) for key, value in block.get("properties", {}).items()}
    plain = {key: value for key, value in known.items() if not _inner(value)}
    if plain:
        yield from _table(plain, rules, block.get("required", ()))
    for key, value in known.items():
        if inner := _inner(value):
            name = f"{path}{key}" + (" (each)" if "items" in value else "")
            yield from ("", f"### {name}", str(value.get("description", "")), "")
            yield from _blocks(f"{path}{key}.", inner, rules)


def _inner(value: Json) -> Json | None:
    """The block that a key holds, or that each entry of its list is."""
    items = value.get("items", {})
    return value if "properties" in value else items if "properties" in items else None


def _resolved(value: Json, rules: Json) -> Json:
    name = value.get("$ref", "").rpartition("/")[2]
    return {**rules["$defs"].get(name, {}), **value}


def _table(keys: Json, rules: Json, required: Any = ()) -> Iterator[str]:
    yield from ("| key | type | default | meaning |", "|---|---|---|---|")
    for key, raw in keys.items():
        value = _resolved(raw, rules)
        default = "required" if key in required else _shown(value["default"]) if "default" in value else ""
        yield f"| `{key}` | {_kind(value)} | {default} | {value.get('description', '')} |"


def _shown(value: Any) -> str:
    return f"`{yaml.safe_dump(value, default_flow_style=True).splitlines()[0]}`"


def _kind(value: Json) -> str:
    """Type, choices and range."""
    if "enum" in value:
        return ", ".join(f"`{'null' if choice is None else choice}`" for choice in value["enum"])
    kinds = value.get("type", "")
    words = {"object": "block", "array": "list", "string": "text", "boolean": "true or false"}
    named = [words.get(kind, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    if value.get("format") == "date":
        named = ["day" if name == "text" else name for name in named]
    limits = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to"}
    bounds = " ".join(f"{word} {value[key]}" for key, word in limits.items() if key in value)
    return " or ".join(named) + (f", {bounds}" if bounds else "")


if __name__ == "__main__":
    from segchips.config.loading import SCHEMA

    print(reference(SCHEMA), end="")
