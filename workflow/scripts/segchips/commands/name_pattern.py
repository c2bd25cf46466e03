"""Names of files by a pattern of the user, such as `{scene}_{band}.tif`."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from segchips.commands.conventions import KnownFile, known_file
from segchips.errors import InputError

Naming = Callable[[Path], KnownFile | None]
"""What the name of a file tells; None where it tells nothing."""
_PARTS = {
    "scene": r"(?P<scene>[^/]+)",
    "band": r"(?P<band>[^/]+?)",
    "date": r"(?P<date>(?:19|20)\d\d[-_.]?\d\d[-_.]?\d\d)",
    "*": r"[^/]*",
    "**/": r"(?:.*/)?",
}
_TOKEN = re.compile(r"\{(\w+)\}|(\*\*/|\*)")


class NamePattern:
    """A pattern of paths below a folder; files that do not match are left out.

    Args:
        folder: The folder.
        pattern: The path with {scene}, {band} and {date}, and `*` for any text.
        day: The acquisition time of all files; None takes {date}, or what names and tags tell.

    Raises:
        InputError: The pattern has an unknown part, no {band} and no {scene}, or a part twice.
    """

    def __init__(self, folder: Path, pattern: str, day: datetime | None = None) -> None:
        names = [name for name, _ in _TOKEN.findall(pattern) if name]
        if unknown := [name for name in names if name not in _PARTS]:
            raise InputError(
                f"--pattern '{pattern}': {{{unknown[0]}}} is no part; take {{scene}}, {{band}} and {{date}}"
            )
        if len(set(names)) < len(names) or not set(names) & {"scene", "band"}:
            raise InputError(
                f"--pattern '{pattern}': it must hold {{scene}} or {{band}}, each once, such as {{scene}}_{{band}}.tif"
            )
        self._folder, self._day = folder, day
        text, end = "", 0
        for match in _TOKEN.finditer(pattern):
            text += re.escape(pattern[end : match.start()]) + _PARTS[match[1] or match[2]]
            end = match.end()
        self._names, self._path = names, re.compile(text + re.escape(pattern[end:]))

    def matches(self, path: Path) -> bool:
        """Return whether a file is one of the pattern."""
        return self._path.fullmatch(path.relative_to(self._folder).as_posix()) is not None

    def __call__(self, path: Path) -> KnownFile | None:
        """Return what the name of a file tells: its scene, band and, with {date}, its day."""
        match = self._path.fullmatch(path.relative_to(self._folder).as_posix())
        if not match:
            return None
        known, found = known_file(path), match.groupdict()
        band = found.get("band") or (known.band if known and known.band else "image")
        day = self._day or (_day(path, found["date"]) if "date" in found else known.acquired if known else None)
        scene = found.get("scene") or _without_band(path.relative_to(self._folder), match)
        scaling, nodata = (known.scaling, known.nodata) if known else (None, None)
        cloud = known.cloud if known else None
        return KnownFile(scene.replace("/", "_"), self._folder, band, day, cloud, nodata, scaling)


def _day(path: Path, text: str) -> datetime:
    digits = re.sub(r"\D", "", text)
    try:
        return datetime.strptime(digits, "%Y%m%d").replace(hour=12, tzinfo=UTC)
    except ValueError as error:
        raise InputError(f"'{path}': {text} is no date; correct the name, or give the day with --day") from error


def _without_band(inside: Path, match: re.Match[str]) -> str:
    """The path without its band and suffix."""
    start, end = match.span("band")
    text = inside.as_posix()
    return re.sub(r"[_-]+$|(?<=[_-])[_-]+", "", str(Path(text[:start] + text[end:]).with_suffix("")))
