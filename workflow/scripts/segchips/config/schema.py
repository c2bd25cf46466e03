"""The config's JSON schema, made from the blocks: `python -m segchips.config.schema` prints it as YAML."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml
from pydantic import TypeAdapter

from segchips.config.blocks import NAME_PATTERN, Block
from segchips.config.model import ConfigFile, Conversion, Dataset
from segchips.files import Json

_HEAD = "# Made from the blocks in workflow/scripts/segchips/config by `make docs`; do not edit.\n"
_LIST = "tag:yaml.org,2002:seq"
_ORDER = ("description", "type", "enum", "default", "required")


def config_schema() -> Json:
    """The JSON schema of the file; `$defs` hold a dataset, and one that starts from chips, with defaults merged in."""
    root = {"$schema": "https://json-schema.org/draft/2020-12/schema", **block_schema(ConfigFile)}
    return root | {"$defs": {"dataset": block_schema(Dataset), "conversion": block_schema(Conversion)}}


@cache
def block_schema(block: type) -> Json:
    """The JSON schema of a block, without references."""
    schema = TypeAdapter(block).json_schema()
    definitions = schema.pop("$defs", {})
    for shared in Block.__subclasses__():
        if shared.SHARED and shared.__name__ in definitions:
            part, entries = shared.SHARED
            _add_shared_keys(definitions[shared.__name__], definitions[part.__name__], entries)
    tidy: Json = _tidy(schema, definitions)
    return tidy


def _add_shared_keys(block: Json, part: Json, entries: str) -> None:
    """Lets keys of the entries stand beside them, where the entries are optional."""
    own = block["properties"]
    override = {key: _without(value, "default") for key, value in part["properties"].items()}
    item = {**_without(part, "required"), "properties": override}
    kind = "items" if "items" in own[entries] else "patternProperties"
    inner = item if kind == "items" else {NAME_PATTERN: {"anyOf": [item, {"type": "null"}]}}
    optional = {"anyOf": [{**own[entries], kind: inner}, {"type": "null"}], "default": None}
    if "description" in own[entries]:
        optional["description"] = own[entries].pop("description")
    block["properties"] = {**part["properties"], **own, entries: optional}
    block["required"] = [key for key in block["required"] if key != entries]


def _without(node: Json, keyword: str) -> Json:
    return {key: value for key, value in node.items() if key != keyword}


def _tidy(node: Any, definitions: Json) -> Any:
    """A node with references inlined, alternatives merged, and its keywords in a fixed order."""
    if isinstance(node, list):
        return [_tidy(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    node = dict(node)
    if "$ref" in node:
        node = {**definitions[node.pop("$ref").rpartition("/")[2]], **node}
    node.pop("title", None)
    for keyword in ("items", "additionalProperties", "anyOf"):
        if keyword in node:
            node[keyword] = _tidy(node[keyword], definitions)
    for keyword in ("properties", "patternProperties"):
        if keyword in node:
            node[keyword] = {key: _tidy(value, definitions) for key, value in node[keyword].items()}
    if "anyOf" in node:
        node = _merge_choices(node)
    if "patternProperties" in node:
        ((pattern, value),) = node.pop("patternProperties").items()
        node |= {"propertyNames": {"pattern": pattern}, "additionalProperties": value}
    if "enum" in node:
        node.pop("type", None)
    if "description" in node:
        node["description"] = " ".join(node["description"].split())
    if "properties" in node and isinstance(node.get("default"), dict):
        node["default"] = {}  # as users write it; the keys have defaults of their own
    if not node.get("required", True):
        del node["required"]
    return {key: node[key] for key in sorted(node, key=_position)}


def _merge_choices(node: Json) -> Json:
    """A node whose alternatives of different types become one node with several types."""
    choices = node.pop("anyOf")
    merged: Json = {}
    for choice in choices:
        merged |= {key: value for key, value in choice.items() if key not in ("type", "description")}
    return {"type": [choice["type"] for choice in choices], **merged, **node}


def _position(keyword: str) -> tuple[int, int]:
    """Plain keywords come first, then limits, then what is nested."""
    if keyword in _ORDER:
        return 0, _ORDER.index(keyword)
    return (2 if keyword in ("items", "properties", "additionalProperties", "propertyNames", "$defs") else 1), 0


class _Dumper(yaml.SafeDumper):
    """Writes lists in one line, and no anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True


_Dumper.add_representer(list, lambda dumper, data: dumper.represent_sequence(_LIST, data, flow_style=True))


def schema_text(schema: Mapping[str, Any]) -> str:
    """Returns the schema as YAML."""
    return _HEAD + yaml.dump(dict(schema), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


if __name__ == "__main__":
    print(schema_text(config_schema()), end="")
