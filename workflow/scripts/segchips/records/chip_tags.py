"""TODO: describe."""

import html
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class ChipTags:
    """What a chip says beyond its layout: its share of valid pixels, its bands' names, and when it was acquired.

    Names are empty where no band has one, times (RFC 3339, in order, each once) where the chip names no scenes; these
    are pairs of product and id.
    """

    valid: float | None = None
    bands: tuple[str, ...] = ()
    acquired: tuple[str, ...] = ()
    scenes: tuple[tuple[str, str], ...] = ()


def read_chip_tags(valid: str | None, scenes: str | None, bands: Sequence[str | None]) -> ChipTags:
    """What the tags VALID and SCENES and the bands' descriptions say; what cannot be understood is left out."""
    acquired: dict[str, None] = {}
    ids: tuple[tuple[str, str], ...] = ()
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        members = [(product, scene) for product, found in json.loads(scenes or "{}").items() for scene in found]
        acquired = dict.fromkeys(sorted(str(scene["acquired"]) for _, scene in members if "acquired" in scene))
        ids = tuple((product, str(scene["id"])) for product, scene in members if "id" in scene)
    return ChipTags(_share(valid), tuple(name or "" for name in bands) if any(bands) else (), tuple(acquired), ids)


@lru_cache(256)
def parse_chip_tags(metadata: bytes, channels: int) -> ChipTags:
    """As `told`, from GDAL's metadata in XML, which escapes values twice."""
    if not metadata:
        return ChipTags()
    items = _ITEM.findall(metadata.decode("utf-8", "replace"))
    found = {(name, sample): html.unescape(html.unescape(text)) for name, sample, text in items}
    bands = [found.get(("DESCRIPTION", str(band))) for band in range(channels)]
    return read_chip_tags(found.get(("VALID", "")), found.get(("SCENES", "")), bands)


def _share(text: str | None) -> float | None:
    """The number that a VALID tag holds; None where it holds none."""
    try:
        return float(text) if text else None
    except ValueError:
        return None


_ITEM = re.compile(r'<Item name="(VALID|SCENES|DESCRIPTION)"(?: sample="(\d+)")?[^>]*>([^<]*)</Item>')
