"""Keys of a config file that YAML takes for one, of which it would keep the last without a word."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from segchips.errors import ConfigError


def check_duplicate_keys(path: Path) -> None:
    """Checks that no block of a YAML or JSON file has a key twice, such as `yes` beside `1`.

    Args:
        path: The file; one that cannot be read or parsed is left to its reader, which raises the error.

    Raises:
        ConfigError: A block has a key twice; the message names file, line and keys.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return
    for block in _blocks(root, set()):
        seen: dict[Any, yaml.Node] = {}
        for key, _ in block.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            former = seen.setdefault(_value(key), key)
            if former is not key:
                raise ConfigError(_problem(path, former, key))


def _blocks(node: yaml.Node | None, seen: set[int]) -> Iterator[yaml.MappingNode]:
    """The mappings of a document, each once."""
    if node is None or id(node) in seen or isinstance(node, yaml.ScalarNode):
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        yield node
    for child in node.value:
        for part in child if isinstance(child, tuple) else (child,):
            yield from _blocks(part, seen)


def _value(key: yaml.ScalarNode) -> Any:
    try:
        return yaml.SafeLoader("").construct_object(key)
    except (yaml.YAMLError, ValueError):
        return key.value


def _problem(path: Path, first: yaml.Node, second: yaml.Node) -> str:
    place = f"{path}, line {second.start_mark.line + 1}"
    if first.value == second.value:
        line = first.start_mark.line + 1
        return f"{place}: the key '{second.value}' stands twice in its block, first in line {line}; remove one of them"
    return (
        f"{place}: YAML takes the keys {first.value} and {second.value} for one, and would drop the first; "
        f"write both in quotes: '{first.value}' and '{second.value}'"
    )
