"""The report step: one HTML page that shows what a dataset holds, what was left out, and why."""

import platform
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import jinja2
import numpy as np
import rasterio
import yaml

from segchips.audit import read_audit
from segchips.colours import (
    BACKGROUND,
    CLASS_COLOURS,
    NO_SPLIT,
    SCALE,
    SPLIT_COLOURS,
    UNKNOWN,
    Colour,
    as_css,
    palette,
)
from segchips.config import Dataset, LabelsConfig
from segchips.conflicts import read_conflicts
from segchips.contactsheet import choose, contact_sheet, display_bands, is_true_colour
from segchips.description import DROPPED, MADE, made_entries, read_info
from segchips.files import write_whole
from segchips.histograms import band_histograms
from segchips.ledger import STATES, Row, read_ledger, summary
from segchips.pixelstats import BandStatistics, SplitStatistics, statistics
from segchips.scenes import read_lock
from segchips.survey import Survey, survey_chips
from segchips.tilemap import LEVELS, area_of, conflict_map, tile_map
from segchips.timelines import scene_table, timelines
from segchips.vectors import Geometries

SHOWN_CHIPS = 24
SHOWN_ROWS = 50
SHOWN_SCENES = 200
SHOWN_TILES = 10
FILLS = dict(zip(STATES, ("solid", "empty", "lines", "cross", "dots", "bars", "pale"), strict=True))


def write_report(dataset: Dataset, folder: Path, output: Path) -> None:
    """Write the page at `output` from the results in `folder`; InputError where one of them is missing or damaged."""
    rows, info = read_ledger(folder / "ledger.csv"), read_info(folder / "tfrecords")
    lock, area = read_lock(folder / "scenes.parquet"), area_of(dataset.tiles)
    splits = list(dict.fromkeys([*dataset.tfrecords.splits, *(row.split for row in rows)]))
    shown = choose(rows, splits, SHOWN_CHIPS)
    bands = tuple(name or f"band {number}" for number, name in enumerate(info.image.bands, 1))
    entries = made_entries(folder / "tfrecords", info)
    survey = survey_chips(rows, entries, folder, set(shown), display_bands(bands), dataset.labels.unknown)
    found = {split: held for split, held in statistics(folder / "tfrecords").items() if held.chips}
    content = {
        **_tiles_section(rows, splits, folder / "tiles.parquet", area),
        **_chips_section(dataset.labels, survey, shown, bands, found),
        "histograms": band_histograms(folder / "tfrecords", info, found),
        "audit": read_audit(folder / "audit.json"),
        "conflicts": _conflicts(folder, area, dataset.tiles.size),
        "scenes": scene_table(dataset, lock, survey.used),
        "timelines": timelines(dataset.imagery, lock, survey.used),
        "versions": versions(),
        "config": public_config(dataset),
    }
    write_whole(output, _template().render(dataset=dataset, info=info, rows=rows, splits=splits, **content))


def _tiles_section(rows: Sequence[Row], splits: Sequence[str], manifest: Path, area: Geometries) -> dict[str, Any]:
    named = [split for split in splits if split]
    colours = dict(zip(named, palette(SPLIT_COLOURS, len(named)), strict=True))
    return {
        "summary": summary(rows),
        "states": [state for state in STATES if any(row.state == state for row in rows)],
        "tiles": Counter((row.state, row.split) for row in rows),
        "reasons": grouped_reasons(rows),
        "left_out": left_out(rows),
        "map": tile_map(rows, manifest, area),
        "colours": {split: as_css(colours.get(split, NO_SPLIT)) for split in splits},
    }


def _conflicts(folder: Path, area: Geometries, size: int) -> dict[str, Any]:
    """The tiles with labels in conflict by their pixels, most first, and the map of them."""
    pixels = read_conflicts(folder / "conflicts.parquet")
    tiles = sorted(((tile, count) for tile, count in pixels.items() if count), key=lambda one: -one[1])
    made = conflict_map(pixels, folder / "tiles.parquet", area, size) if tiles else {}
    return {"tiles": tiles, "pixels": sum(count for _, count in tiles), "map": made}


def _chips_section(
    labels: LabelsConfig, survey: Survey, shown: Sequence[str], bands: Sequence[str], found: "Statistics"
) -> dict[str, Any]:
    legend = class_legend(labels, found)
    colours = {value: entry.rgb for value, entry in legend.items()}
    if labels.unknown is not None:
        colours[labels.unknown] = UNKNOWN
    return {
        "legend": legend,
        "cards": contact_sheet([survey.shown[tile] for tile in shown], colours, labels.background),
        "display": [bands[index] for index in display_bands(bands)],
        "true_colour": is_true_colour(bands),
        "held": {split: statistics.pixels for split, statistics in found.items()},
        "classes": class_shares(found, legend, labels),
        "bands": band_rows(found, bands, survey.scaling),
    }


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        number=lambda value: f"{value:,}",
        px=lambda value: f"{value:.2f}".rstrip("0").rstrip("."),
        share=lambda value: "–" if value is None else "< 0.1 %" if 0 < value < 5e-4 else f"{100 * value:.1f} %",
        value=lambda value: f"{value:,}" if isinstance(value, int) else f"{value:.6g}",
    )
    environment.globals.update(
        made=MADE,
        dropped=DROPPED,
        fills=FILLS,
        limits={"rows": SHOWN_ROWS, "scenes": SHOWN_SCENES, "tiles": SHOWN_TILES},
        levels=list(zip(LEVELS, map(as_css, SCALE), strict=True)),
        background=as_css(BACKGROUND),
        unknown=as_css(UNKNOWN),
    )
    return environment.from_string((Path(__file__).parent / "report.html.j2").read_text(encoding="utf-8"))


# The ledger.


def grouped_reasons(rows: Iterable[Row]) -> list[tuple[str, str, int]]:
    """State, reason and number of tiles left out, most frequent first in each state, whatever a tile's own share."""
    count = Counter((row.state, _public(_reason(row))) for row in rows if row.state != MADE)
    order = sorted(count, key=lambda group: (STATES.index(group[0]), -count[group], group[1]))
    return [(state, reason, count[state, reason]) for state, reason in order]


def _reason(row: Row) -> str:
    """The reason without the tile's own figures."""
    reason = row.reason if row.valid is None else row.reason.replace(str(row.valid), "…")
    return re.sub(r"^select: \d+ of", "select: … of", reason)


def left_out(rows: Sequence[Row]) -> list[tuple[Row, str]]:
    """The tiles that were not made and why, those of the rarest state first."""
    count = Counter(row.state for row in rows)
    return [(row, _public(row.reason)) for row in sorted(rows, key=lambda row: count[row.state]) if row.state != MADE]


# Classes and bands.


@dataclass(frozen=True)
class Class:
    """A class of the legend."""

    name: str
    rgb: Colour

    @property
    def colour(self) -> str:
        """As CSS."""
        return as_css(self.rgb)


Statistics = Mapping[str, SplitStatistics]


def class_legend(labels: LabelsConfig, found: Statistics) -> dict[int, Class]:
    """The classes that the config names or the chips hold, by value; neither the background nor what is unknown."""
    names = labels.names
    held = {value for split in found.values() for value, entry in (split.classes or {}).items() if entry.pixels}
    values = sorted((held | set(names)) - {labels.background, labels.unknown})
    colours = palette(CLASS_COLOURS, len(values))
    return {value: Class(names.get(value, ""), colour) for value, colour in zip(values, colours, strict=True)}


def class_shares(
    found: Statistics, legend: Mapping[int, Class], labels: LabelsConfig
) -> list[tuple[int, Class, list[tuple[int, float]]]]:
    """For each class, then the background and what is unknown, its pixels and their share in each split."""
    entries = [*legend.items(), (labels.background, Class("background", BACKGROUND))]
    if labels.unknown is not None:
        entries.append((labels.unknown, Class("unknown", UNKNOWN)))

    def share(split: SplitStatistics, value: int) -> tuple[int, float]:
        entry = (split.classes or {}).get(value)
        return (entry.pixels, entry.share) if entry else (0, 0.0)

    return [(value, entry, [share(split, value) for split in found.values()]) for value, entry in entries]


@dataclass(frozen=True)
class BandRow:
    """One band in one split; nothing but the share where no pixel is valid."""

    split: str
    valid: float
    figures: tuple[int | float, ...]


def band_rows(
    found: Statistics, bands: Sequence[str], scaling: Sequence[tuple[float, float]]
) -> list[tuple[str, tuple[float, float], list[BandRow]]]:
    """For each band its scale and offset, and by split the valid share, extremes, mean, deviation and percentiles."""
    return [
        (name, pair, [_band_row(split, statistics.bands[index]) for split, statistics in found.items()])
        for index, (name, pair) in enumerate(zip(bands, scaling, strict=False))
    ]


def _band_row(split: str, band: BandStatistics) -> BandRow:
    figures = (band.min, band.max, band.mean, band.std)
    return BandRow(split, 1 - band.nodata_share, tuple(value for value in figures if value is not None))


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


def _public(text: str) -> str:
    """A message without the queries and user names of addresses, and without absolute folders."""
    text = re.sub(r"/vsi\w+/(?=\w+://)|file://(?=/)", "", text)
    text = re.sub(r"(\w://)[^/\s@]*@", r"\1", text)
    text = re.sub(r"(\w://[^\s?#'\"]*)[?#][^\s'\"]*", r"\1", text)
    return re.sub(r"(?<![^\s'\"(=,])/(?:[^/\s'\"]+/)+", "…/", text)
