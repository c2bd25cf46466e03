"""The rasters of labels that a STAC catalogue of files lists."""

import datetime
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from segchips.errors import InputError

_HEAD = 1 << 16
"""Characters of a file that are searched for the version of STAC."""
_NEVER = datetime.datetime.min.replace(tzinfo=datetime.UTC)


@lru_cache(16)
def catalogue_files(path: str, asset: str) -> tuple[str, ...]:
    """Returns the files of an asset of all items of a catalogue, the latest item last, then in the order of ids.

    Args:
        path: A catalogue, collection, item or ItemCollection on this machine.
        asset: The key of the asset.

    Raises:
        InputError: The catalogue cannot be read, no item has the asset, or a file is not on this machine.
    """
    found, keys = [], set[str]()
    for item in sorted(_read_items(path), key=lambda item: (_time_of(item), item.id)):
        keys.update(item.assets)
        if asset in item.assets:
            found.append(_local_file(item, asset, path))
    if not found:
        listed = ", ".join(sorted(keys)) or "none"
        raise InputError(f"'{path}' has no item with an asset '{asset}'; its items have {listed}")
    return tuple(dict.fromkeys(found))


@lru_cache(64)
def is_catalogue(path: str) -> bool:
    """Whether a JSON file is a STAC catalogue, item or ItemCollection, as far as its beginning says."""
    try:
        with open(path, encoding="utf-8") as file:
            return '"stac_version"' in file.read(_HEAD)
    except (OSError, UnicodeDecodeError):
        return False


def _read_items(path: str) -> list[Any]:
    import pystac

    try:
        if json.loads(Path(path).read_text(encoding="utf-8")).get("type") == "FeatureCollection":
            return list(pystac.ItemCollection.from_file(path))
        entry = pystac.read_file(path)
        return list(entry.get_items(recursive=True)) if isinstance(entry, pystac.Catalog) else [entry]
    except Exception as error:  # pystac raises errors of many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        advice = "labels.asset is for catalogues: name one, or remove the key"
        raise InputError(f"'{path}' cannot be read as a STAC catalogue ({reason}); {advice}") from error


def _time_of(item: Any) -> datetime.datetime:
    time = item.common_metadata.end_datetime or item.datetime or _NEVER
    return time if time.tzinfo else time.replace(tzinfo=datetime.UTC)


def _local_file(item: Any, asset: str, path: str) -> str:
    href = str(item.assets[asset].get_absolute_href() or item.assets[asset].href)
    if not os.path.isabs(href):
        href = str(Path(path).parent / href)
    file = href.removeprefix("file://")
    if not Path(file).exists():
        where = "is not on this machine; download it" if "://" in file else "does not exist"
        raise InputError(f"asset '{asset}' of item '{item.id}' of '{path}': '{href}' {where}")
    return os.path.relpath(file) if not os.path.isabs(path) else file
