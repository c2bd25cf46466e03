"""TODO: describe."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import yaml

from segchips.config.model import Dataset
from segchips.reports.redaction import redact_location


def public_config(dataset: Dataset) -> str:
    """The merged config as YAML that can be used as a config again, without absolute folders, user names or queries.

    It leaves out what changes no result.
    """
    plain = asdict(dataset)
    del plain["splitting"]["shares"]
    for field in fields(dataset.imagery):
        if not field.repr:
            del plain["imagery"][field.name]
    tree = {"datasets": {plain.pop("name"): _plain(plain)}}
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)


def _plain(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item, str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, key) for item in value]
    return redact_location(value) if isinstance(value, str) and key in ("aoi", "keys", "catalog", "path") else value
