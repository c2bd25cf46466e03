"""The reference of all keys as Markdown: `python -m segchips.config.reference` prints `config/REFERENCE.md`."""

from collections.abc import Collection, Iterator
from typing import Any

import yaml

from segchips.config.schema import config_schema
from segchips.files import Json

_HEAD = """# Every key of the config

Made by `make docs`; [Configuration](README.md) explains how keys work together.
"""


def reference() -> str:
    """Returns the schema as Markdown: a table for each block, with type, default and meaning of each key."""
    schema = config_schema()
    lines = [_HEAD, "## The file", *_table(schema["properties"], schema["required"])]
    for name in ("dataset", "conversion"):
        block = schema["$defs"][name]
        lines += ["", f"## {block['description'].rstrip('.')}", *_blocks("", block)]
    return "\n".join(lines).rstrip() + "\n"


def _blocks(path: str, block: Json) -> Iterator[str]:
    """The table of a block's plain keys, then the blocks inside it."""
    properties = block["properties"]
    plain = {key: value for key, value in properties.items() if not _inner(value) or "number" in value["type"]}
    if plain:
        yield from _table(plain, block.get("required", ()))
    for key, value in properties.items():
        if inner := _inner(value):
            yield from ("", f"### {path}{key}" + (" (each)" if "items" in value else ""), value["description"], "")
            yield from _blocks(f"{path}{key}.", inner)


def _inner(value: Json) -> Json | None:
    """The block that a key holds, or that each entry of its list is."""
    items = value.get("items", {})
    return value if "properties" in value else items if "properties" in items else None


def _table(keys: Json, required: Collection[str]) -> Iterator[str]:
    yield from ("| key | type | default | meaning |", "|---|---|---|---|")
    for key, value in keys.items():
        default = "required" if key in required else _default(value["default"]) if "default" in value else ""
        yield f"| `{key}` | {_kind(value)} | {default} | {value['description']} |"


def _default(value: Any) -> str:
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
    print(reference(), end="")
