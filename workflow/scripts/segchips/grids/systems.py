"""Where the squares of a grid are counted from: one origin in every UTM zone, or one in a projected CRS.

The module needs neither NumPy nor PROJ, so that code that only handles keys and file names starts fast.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

FALSE_EASTING = 500_000
"""Easting in metres of a UTM zone's central meridian."""
AUTHORITIES = ("EPSG", "ESRI")
"""The registries whose codes tile keys hold: their codes are numbers."""
NO_ZONE = 0
"""The zone of tiles whose grid has one CRS."""
_NUMBER = r"[+-]\d+(?:\.\d+)?"
_PROJECTED = re.compile(rf"({'|'.join(AUTHORITIES)})([1-9]\d*)(?:({_NUMBER})({_NUMBER}))?", re.ASCII)


class GridSystem(Protocol):
    """The CRSs of a grid, and the origin that its squares are counted from."""

    @property
    def origin(self) -> tuple[float, float]:
        """The south-west corner of path 0, row 0 in every CRS of the grid."""
        ...

    def crs(self, zone: int) -> str:
        """Returns the CRS of a zone, such as `EPSG:32633`."""
        ...

    def key_field(self, zone: int) -> str:
        """Returns the field of tile keys that tells the CRS and the origin."""
        ...


@dataclass(frozen=True)
class UtmZones:
    """All 60 UTM zones of WGS 84, as in DLTiles: always the northern ones, so northings are negative in the south."""

    @property
    def origin(self) -> tuple[float, float]:
        """See `GridSystem`."""
        return FALSE_EASTING, 0

    def crs(self, zone: int) -> str:
        """See `GridSystem`."""
        return f"EPSG:{32600 + zone}"

    def key_field(self, zone: int) -> str:
        """See `GridSystem`."""
        return f"{zone:02d}"

    def __str__(self) -> str:
        """The grid as the config names it."""
        return "dltile"


@dataclass(frozen=True)
class ProjectedSystem:
    """One projected CRS.

    Attributes:
        code: The CRS, such as `EPSG:2056`.
        origin: The south-west corner of path 0, row 0, in units of the CRS.
    """

    code: str
    origin: tuple[float, float] = (0.0, 0.0)

    def crs(self, _: int) -> str:
        """See `GridSystem`."""
        return self.code

    def key_field(self, _: int) -> str:
        """See `GridSystem`."""
        east, north = map(decimal_text, self.origin)
        offset = "" if self.origin == (0, 0) else "".join(x if x.startswith("-") else f"+{x}" for x in (east, north))
        return self.code.replace(":", "") + offset

    def __str__(self) -> str:
        """The grid as the config names it."""
        return f"{self.code}, origin {', '.join(map(decimal_text, self.origin))}"


def parse_key_field(text: str) -> tuple[GridSystem, int] | None:
    """Returns the system and the zone of a tile key's field, the reverse of `key_field`; None where it is no such."""
    if re.fullmatch(r"\d{1,2}", text):
        return UtmZones(), int(text)
    match = _PROJECTED.fullmatch(text)
    if not match:
        return None
    authority, code, east, north = match.groups()
    return ProjectedSystem(f"{authority}:{code}", (float(east or 0), float(north or 0))), NO_ZONE


def decimal_text(value: float) -> str:
    """Returns the shortest decimal number without exponent that reads back as the value, such as `10.0`."""
    return format(Decimal(repr(float(value))), "f")
