"""The config of a dataset as the report publishes it."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import yaml

from segchips.config.imagery import ImageryConfig
from segchips.config.layers import UNNAMED
from segchips.config.model import Conversion, Dataset
from segchips.reports.redaction import redact_location

_LOCATION_KEYS = ("aoi", "keys", "catalog", "path", "images", "labels")


def public_config(dataset: Dataset) -> str:
    """Format the merged config of a dataset as YAML.

    The text is a valid config. It lacks settings that do not change results, and locations are redacted.
    """
    settings = asdict(dataset)
    del settings["splitting"]["shares"]
    settings["imagery"] = _beside_names(settings["imagery"]["layers"], "layers")
    settings["labels"] = _beside_names(settings["labels"]["targets"], "targets")
    return _as_yaml(settings)


def public_conversion(conversion: Conversion) -> str:
    """Format the merged config of a dataset of chips made elsewhere; as `public_config`."""
    settings = asdict(conversion)
    del settings["splitting"]["shares"]
    lists = settings["chips"]["splits"] or {}
    settings["chips"]["splits"] = {split: redact_location(path) for split, path in lists.items()} or None
    return _as_yaml(settings)


def _as_yaml(settings: dict[str, Any]) -> str:
    tree = {"datasets": {settings.pop("name"): _publishable(settings)}}
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)


def _beside_names(parts: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The named parts below `key`, or the keys of the only part without a name; without keys that change no result."""
    unimportant = [field.name for field in fields(ImageryConfig) if not field.repr]
    parts = {name: {k: v for k, v in part.items() if k not in unimportant} for name, part in parts.items()}
    for part in parts.values():
        part |= (
            {"products": [_without_empty_bands(product) for product in part["products"]]} if "products" in part else {}
        )
    return parts.get(UNNAMED, {key: parts})


def _without_empty_bands(product: Mapping[str, Any]) -> dict[str, Any]:
    """The product; one of files that names no bands has no such key."""
    return {key: value for key, value in product.items() if key != "bands" or value}


def _publishable(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {str(name): _publishable(item, str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_publishable(item, key) for item in value]
    return redact_location(value) if isinstance(value, str) and key in _LOCATION_KEYS else value
