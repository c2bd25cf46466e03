"""Tags of a chip file: its share of valid pixels, band names and scenes."""

import html
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

_ITEM = re.compile(r'<Item name="(VALID|SCENES|STEPS|DESCRIPTION)"(?: sample="(\d+)")?[^>]*>([^<]*)</Item>')


@dataclass(frozen=True)
class ChipTags:
    """What a chip says beyond its layout.

    Attributes:
        valid: The share of valid pixels, from 0 to 1; None if the chip does not say.
        bands: The name of each band, "" for a band without one; empty if no band has a name.
        acquired: Acquisition times of the scenes (RFC 3339), ascending and without repetition.
        scenes: Product and id of each scene.
        steps: The first and last day of each step of a time series, ISO 8601, "" where unknown; empty for other chips.
        skipped: Product and id of each scene that is not in the chip because it could not be read.
    """

    valid: float | None = None
    bands: tuple[str, ...] = ()
    acquired: tuple[str, ...] = ()
    scenes: tuple[tuple[str, str], ...] = ()
    steps: tuple[tuple[str, str], ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()


def read_chip_tags(
    valid: str | None, scenes: str | None, bands: Sequence[str | None], steps: str | None = None
) -> ChipTags:
    """Parse the tags of a chip. Values that cannot be parsed are ignored.

    Args:
        valid: The text of the tag VALID.
        scenes: The text of the tag SCENES: JSON, a list of scenes by product.
        steps: The text of the tag STEPS: JSON, a list of steps with their first and last day.
        bands: The description of each band.
    """
    acquired: dict[str, None] = {}
    ids: tuple[tuple[str, str], ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        by_product = json.loads(scenes or "{}")
        members = [(product, scene) for product, members in by_product.items() for scene in members]
        skipped = tuple((product, str(scene["id"])) for product, scene in members if "skipped" in scene)
        members = [(product, scene) for product, scene in members if "skipped" not in scene]
        acquired = dict.fromkeys(sorted(str(scene["acquired"]) for _, scene in members if "acquired" in scene))
        ids = tuple((product, str(scene["id"])) for product, scene in members if "id" in scene)
    days: tuple[tuple[str, str], ...] = ()
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        days = tuple((str(step["start"]), str(step["end"])) for step in json.loads(steps or "[]"))
    names = tuple(name or "" for name in bands) if any(bands) else ()
    return ChipTags(_parse_share(valid), names, tuple(acquired), ids, days, skipped)


@lru_cache(256)
def parse_gdal_metadata(metadata: bytes, channels: int) -> ChipTags:
    """Parse the tags of a chip from the XML of the TIFF tag GDAL_METADATA, in which GDAL escapes values twice.

    Args:
        metadata: The content of the TIFF tag; empty without one.
        channels: The number of bands.
    """
    if not metadata:
        return ChipTags()
    items = _ITEM.findall(metadata.decode("utf-8", "replace"))
    values = {(name, sample): html.unescape(html.unescape(text)) for name, sample, text in items}
    bands = [values.get(("DESCRIPTION", str(band))) for band in range(channels)]
    return read_chip_tags(values.get(("VALID", "")), values.get(("SCENES", "")), bands, values.get(("STEPS", "")))


def _parse_share(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
