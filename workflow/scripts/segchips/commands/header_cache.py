"""The headers of rasters as they were read for a catalogue, so that only new and changed files are read again."""

import json
import os
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from segchips.commands.conventions import known_file
from segchips.commands.name_pattern import Naming
from segchips.commands.rasters import Raster, read_raster
from segchips.files import write_json

_VERSION = 1


class HeaderCache:
    """Headers of files by path, kept in a file beside the catalogue until size or time of a file change.

    Args:
        path: The file of the headers.
        day: The acquisition time of all files; None reads it from names and tags.
        naming: What names of files tell; None goes by the conventions of products.
    """

    def __init__(self, path: Path, day: datetime | None, naming: Naming | None) -> None:
        self._path, self._day, self._naming = path, day, naming or known_file
        self._former: dict[str, Any] = {}
        self._headers: dict[str, Any] = {}

    def __enter__(self) -> "HeaderCache":
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            self._former = content["headers"] if content["version"] == _VERSION else {}
        except (OSError, ValueError, KeyError, TypeError):
            self._former = {}
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, trace: TracebackType | None) -> None:
        if kind is None:
            write_json(self._path, {"version": _VERSION, "headers": self._headers})

    def read(self, path: Path) -> Raster:
        """Return the header of a file, from the cache where the file is the same.

        Raises:
            InputError: The file cannot be used.
        """
        known, status = self._naming(path), os.stat(path)
        told = [str(self._day), str(known and known.acquired)]
        state, key = [status.st_size, status.st_mtime_ns, *told], os.path.abspath(path)
        former = self._former.get(key)
        if former and former["state"] == state:
            raster = _from_json(former["header"], path, known)
        else:
            raster = read_raster(path, self._day, self._naming)
        header = {name: value for name, value in asdict(raster).items() if name not in ("path", "known", "acquired")}
        self._headers[key] = {"state": state, "header": {**header, "acquired": raster.acquired.isoformat()}}
        return raster


def _from_json(header: dict[str, Any], path: Path, known: Any) -> Raster:
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in header.items()}
    return Raster(**{**fields, "path": path, "known": known, "acquired": datetime.fromisoformat(header["acquired"])})
