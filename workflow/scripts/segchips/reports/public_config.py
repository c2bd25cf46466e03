"""TODO: describe."""

import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from importlib import metadata
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import rasterio
import yaml

from segchips.config.model import Dataset

# Where the dataset comes from.


def versions() -> dict[str, str]:
    """The versions of what made the page."""
    try:
        own = metadata.version("segchips")
    except metadata.PackageNotFoundError:
        own = "source"
    own_and_python = {"segchips": own, "Python": platform.python_version()}
    return own_and_python | {
        "rasterio": rasterio.__version__,
        "GDAL": str(rasterio.__gdal_version__),
        "NumPy": np.__version__,
    }


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
    return _public_place(value) if isinstance(value, str) and key in ("aoi", "keys", "catalog", "path") else value


def _public_place(place: str) -> str:
    address = urlsplit(place)
    if address.scheme and address.netloc:
        return urlunsplit((address.scheme, address.netloc.rpartition("@")[2], address.path, "", ""))
    path = PurePath(place.removeprefix("file://"))
    return f"…/{path.name}" if path.is_absolute() else place


def public_path(text: str) -> str:
    """A message without the queries and user names of addresses, and without absolute folders."""
    text = re.sub(r"/vsi\w+/(?=\w+://)|file://(?=/)", "", text)
    text = re.sub(r"(\w://)[^/\s@]*@", r"\1", text)
    text = re.sub(r"(\w://[^\s?#'\"]*)[?#][^\s'\"]*", r"\1", text)
    return re.sub(r"(?<![^\s'\"(=,])/(?:[^/\s'\"]+/)+", "…/", text)
