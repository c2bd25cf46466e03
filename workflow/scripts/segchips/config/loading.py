"""Loads the config: merges defaults into datasets and checks them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from segchips.config.blocks import Block
from segchips.config.class_keys import key_text
from segchips.config.layers import ImageLayers
from segchips.config.messages import describe_errors
from segchips.config.model import Config, ConfigFile, Conversion, Dataset
from segchips.errors import ConfigError
from segchips.files import Json

T = TypeVar("T")


def load_config(raw: Mapping[str, Any]) -> Config:
    """Merges and checks a parsed config file.

    Args:
        raw: The content of the file as parsed from YAML or JSON.

    Returns:
        The datasets with all defaults.

    Raises:
        ConfigError: A key or value cannot be used; one line for each names dataset, key, value and remedy.
    """
    file: ConfigFile = _checked(ConfigFile, _as_json(raw), "")
    datasets, conversions = {}, {}
    for name, block in file.datasets.items():
        own, where = dict(block or {}), f"datasets.{name}"
        if "chips" in own:
            shared = {key: value for key, value in file.defaults.items() if key == "tfrecords"}
            defaults = _merged({"tfrecords": {"shards": None}}, shared, Conversion)
            conversion: Conversion = _checked(Conversion, _merged(defaults, own, Conversion), where)
            conversions[name] = replace(conversion, name=name)
        else:
            dataset: Dataset = _checked(Dataset, _merged(file.defaults, own, Dataset), where)
            layers = dataset.imagery.layers.items()
            imagery = ImageLayers({key: replace(layer, requests=file.requests) for key, layer in layers})
            datasets[name] = replace(dataset, name=name, imagery=imagery)
    return Config(Path(file.results), file.requests, datasets, conversions, file.publish, file.tiles_per_job)


def check_block(block: type[T], raw: Mapping[str, Any], where: str) -> T:
    """Checks a block that code gives in place of a config file.

    Args:
        block: The block.
        raw: Its keys.
        where: What to call the block in messages.

    Raises:
        ConfigError: A key or value cannot be used.
    """
    checked: T = _checked(block, _as_json(raw), where)
    return checked


def _as_json(value: Any) -> Any:
    """The same tree in JSON's types: keys as text, as JSON writes them, and dates, which YAML parses, as text."""
    if isinstance(value, Mapping):
        by_text = {key_text(key): _as_json(item) for key, item in value.items()}
        if len(by_text) < len(value):
            listed = ", ".join(map(repr, value))
            raise ConfigError(f"the keys {listed} stand side by side, of which two have the same text; remove one")
        return by_text
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    return value.isoformat() if isinstance(value, date | datetime) else value


def _checked(block: Any, raw: Json, where: str) -> Any:
    """The block made from `raw`; ConfigError places its keys below `where`."""
    try:
        return _adapter(block).validate_python(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(describe_errors(error, block, raw, where))) from None


@cache
def _adapter(block: Any) -> TypeAdapter[Any]:
    return TypeAdapter(block)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any], block: type[Block]) -> Json:
    """`over` merged into `base`: blocks and named blocks key by key; lists and maps of plain values are replaced."""
    merged = dict(base)
    for key, value in over.items():
        inner, named = _inner_block(block, key)
        if not (inner and isinstance(value, Mapping) and isinstance(base.get(key), Mapping)):
            merged[key] = value
        elif named:
            merged[key] = base[key] | {
                name: _merged(base[key].get(name) or {}, item, inner) if isinstance(item, Mapping) else item
                for name, item in value.items()
            }
        else:
            merged[key] = _merged(base[key], value, inner)
    return merged


def _inner_block(block: type[Block], key: str) -> tuple[type[Block] | None, bool]:
    """The block that a key of another block holds, if any, and whether the key holds a map of such blocks."""
    kind: Any = block
    while kind.SHARED and key not in _hints(kind):
        kind = kind.SHARED[0]
    hint = _hints(kind).get(key)
    for choice in get_args(hint) if isinstance(hint, UnionType) else (hint,):
        if isinstance(choice, type) and issubclass(choice, Block):
            return choice, False
        values = get_args(choice)[1:] if get_origin(choice) is Mapping else ()
        if values and isinstance(values[0], type) and issubclass(values[0], Block) and values[0].IN_MAP:
            return values[0], True
    return None, False


@cache
def _hints(block: Any) -> Mapping[str, Any]:
    return get_type_hints(block)
