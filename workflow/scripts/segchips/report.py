"""The report step: one HTML page that shows what a dataset holds, what was left out, and why."""

import base64
import io
import json
import math
import platform
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from importlib import metadata
from itertools import chain, islice, zip_longest
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import jinja2
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import rasterio
import shapely
import yaml
from PIL import Image

from segchips.config import Dataset, ImageryConfig, LabelsConfig
from segchips.description import MADE, read_info
from segchips.errors import InputError
from segchips.files import digest, write_whole
from segchips.ledger import STATES, Row, read_ledger, summary
from segchips.scenes import Lock, Scene, read_lock

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Colour = tuple[int, int, int]

SHOWN_CHIPS = 24
SHOWN_ROWS = 50
SHOWN_SCENES = 200
PANEL = 256
"""Pixels along the longest side of a shown chip; larger ones are thinned out."""
TINT = 0.35
TOOLTIPS = 10_000
"""With more tiles than this the map draws each split and state as one shape."""
TRUE_COLOUR = (("red", "green", "blue"), ("b04", "b03", "b02"), ("b4", "b3", "b2"))
DEGREE = 111_195.0
"""Metres along one degree of a meridian."""
MAP_WIDTH, MAP_HEIGHT = 760.0, 460.0
FILLS = dict(zip(STATES, ("solid", "empty", "lines", "cross", "dots", "bars"), strict=True))
BACKGROUND: Colour = (232, 232, 232)
# Okabe and Ito's colours, then Tol's muted ones: told apart by colour-blind readers.
CLASS_COLOURS = (
    "0072b2 009e73 f0e442 d55e00 cc79a7 e69f00 56b4e9 000000 332288 882255 999933 44aa99 aa4499 117733 661100"
)
# Tol's bright colours.
SPLIT_COLOURS = "4477aa ee6677 228833 ccbb44 66ccee aa3377 777777"


def write_report(dataset: Dataset, folder: Path, output: Path) -> None:
    """Write the page at `output` from the results in `folder`; InputError where one of them is missing or damaged."""
    rows, info = read_ledger(folder / "ledger.csv"), read_info(folder / "tfrecords")
    lock = read_lock(folder / "scenes.parquet")
    splits = list(dict.fromkeys([*dataset.tfrecords.splits, *(row.split for row in rows)]))
    shown = choose(rows, splits, SHOWN_CHIPS)
    bands = tuple(name or f"band {number}" for number, name in enumerate(info.image.bands, 1))
    survey = survey_chips(rows, folder, set(shown), display_bands(bands))
    content = {
        **_tiles_section(rows, splits, folder / "tiles.parquet"),
        **_chips_section(dataset.labels, survey, shown, bands, splits),
        "scenes": scene_table(dataset, lock, survey.used),
        "timelines": timelines(dataset.imagery, lock, survey.used),
        "versions": versions(),
        "config": public_config(dataset),
    }
    write_whole(output, _template().render(dataset=dataset, info=info, rows=rows, splits=splits, **content))


def _tiles_section(rows: Sequence[Row], splits: Sequence[str], manifest: Path) -> dict[str, Any]:
    return {
        "summary": summary(rows),
        "states": [state for state in STATES if any(row.state == state for row in rows)],
        "tiles": Counter((row.state, row.split) for row in rows),
        "reasons": grouped_reasons(rows),
        "left_out": left_out(rows),
        "map": tile_map(rows, manifest),
        "colours": dict(zip(splits, map(_hex, _palette(SPLIT_COLOURS, len(splits))), strict=True)),
    }


def _chips_section(
    labels: LabelsConfig, survey: "Survey", shown: Sequence[str], bands: Sequence[str], splits: Sequence[str]
) -> dict[str, Any]:
    legend = class_legend(labels, survey)
    held = [split for split in splits if split in survey.pixels]
    return {
        "legend": legend,
        "cards": contact_sheet([survey.shown[tile] for tile in shown], legend, labels.background),
        "display": [bands[index] for index in display_bands(bands)],
        "true_colour": is_true_colour(bands),
        "held": {split: survey.pixels[split] for split in held},
        "classes": class_shares(survey, legend, labels.background, held),
        "bands": band_statistics(survey, bands, held),
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
        share=lambda value: "–" if value is None else f"{100 * value:.1f} %",
        value=lambda value: f"{value:,}" if isinstance(value, int) else f"{value:.6g}",
    )
    environment.globals.update(made=MADE, fills=FILLS, limits={"rows": SHOWN_ROWS, "scenes": SHOWN_SCENES})
    return environment.from_string((Path(__file__).parent / "report.html.j2").read_text(encoding="utf-8"))


# Chips: each is opened once, for statistics, scenes and pictures.


@dataclass(frozen=True)
class Moments:
    """Count, mean, sum of squared deviations, minimum and maximum of each band's valid pixels, in 64 bits."""

    count: Array
    mean: Array
    squares: Array
    low: Array
    high: Array

    @classmethod
    def of(cls, pixels: Array, valid: Mask) -> "Moments":
        """Of pixels (band, row, column) and which of them are valid."""
        values, flat = pixels.reshape(len(pixels), -1), valid.reshape(len(pixels), -1)
        limits: Any = np.finfo(pixels.dtype) if np.issubdtype(pixels.dtype, np.floating) else np.iinfo(pixels.dtype)
        wide = np.where(flat, values, 0).astype(np.float64)
        count = flat.sum(axis=1)
        mean = wide.sum(axis=1) / np.maximum(count, 1)
        squares = np.square(wide - mean[:, None]).sum(axis=1, where=flat)
        low = values.min(axis=1, where=flat, initial=limits.max)
        return cls(count, mean, squares, low, values.max(axis=1, where=flat, initial=limits.min))

    def __add__(self, other: "Moments") -> "Moments":
        """Of both sets of pixels together (Chan, Golub and LeVeque)."""
        count = self.count + other.count
        weight = other.count / np.maximum(count, 1)
        apart = other.mean - self.mean
        squares = self.squares + other.squares + apart**2 * self.count * weight
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        return Moments(count, self.mean + apart * weight, squares, low, high)

    @property
    def std(self) -> Array:
        """Population standard deviation."""
        return np.sqrt(self.squares / np.maximum(self.count, 1))


@dataclass(frozen=True)
class Chip:
    """An image (band, row, column) and its label (row, column) as files hold them; `scenes` lists ids by product."""

    image: Array
    label: Array
    nodata: float | None
    scenes: Mapping[str, Sequence[str]]
    scaling: tuple[tuple[float, float], ...]

    @property
    def valid(self) -> Mask:
        """Which pixels of which bands are finite and not nodata."""
        finite: Mask = np.isfinite(self.image)
        return finite if self.nodata is None else finite & (self.image != self.nodata)


@dataclass(frozen=True)
class Shown:
    """A chip of the contact sheet, thinned out: the displayed bands, where all of them are valid, and the label."""

    row: Row
    image: Array
    valid: Mask
    label: Array


@dataclass(frozen=True)
class Survey:
    """What one pass over the made chips found: label pixels by split and value (256 places), and tiles by scene."""

    labels: Mapping[str, npt.NDArray[np.int64]]
    moments: Mapping[str, Moments]
    pixels: Mapping[str, int]
    used: Mapping[tuple[str, str], set[str]]
    scaling: tuple[tuple[float, float], ...]
    shown: Mapping[str, Shown]


def survey_chips(rows: Iterable[Row], folder: Path, wanted: set[str], display: Sequence[int]) -> Survey:
    """Read the chips of every made tile once; InputError names one that cannot be read."""
    labels: dict[str, npt.NDArray[np.int64]] = defaultdict(lambda: np.zeros(256, np.int64))
    moments: dict[str, Moments] = {}
    used: dict[tuple[str, str], set[str]] = defaultdict(set)
    shown: dict[str, Shown] = {}
    pixels: Counter[str] = Counter()
    scaling: tuple[tuple[float, float], ...] = ()
    for row, chip in read_chips(rows, folder):
        valid, scaling = chip.valid, chip.scaling
        labels[row.split] += np.bincount(chip.label.ravel(), minlength=256)
        found = Moments.of(chip.image, valid)
        moments[row.split] = moments[row.split] + found if row.split in moments else found
        pixels[row.split] += chip.label.size
        for product, ids in chip.scenes.items():
            for scene in ids:
                used[product, scene].add(row.tile)
        if row.tile in wanted:
            shown[row.tile] = _thinned(row, chip, valid, list(display))
    return Survey(labels, moments, pixels, used, scaling, shown)


def read_chips(rows: Iterable[Row], folder: Path) -> Iterator[tuple[Row, Chip]]:
    """The made tiles with their chips, in the ledger's order."""
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
        for row in rows:
            if row.state == MADE:
                name = f"{row.tile.replace(':', '#')}.tif"
                yield row, _chip(folder / "images" / name, folder / "labels" / name)


def _chip(image: Path, label: Path) -> Chip:
    path = image
    try:
        with rasterio.open(image) as source:
            scenes = json.loads(source.tags().get("SCENES", "{}"))
            scaling = tuple(zip(source.scales, source.offsets, strict=True))
            pixels, nodata = source.read(), source.nodata
        path = label
        with rasterio.open(label) as source:
            return Chip(pixels, source.read(1), nodata, scenes, scaling)
    except (rasterio.errors.RasterioError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it and run again to make the chip anew") from error


def _thinned(row: Row, chip: Chip, valid: Mask, display: list[int]) -> Shown:
    step = math.ceil(max(chip.label.shape) / PANEL)
    places = np.s_[..., ::step, ::step]
    clear: Mask = np.all(valid[display][places], axis=0)
    return Shown(row, chip.image[display][places].copy(), clear, chip.label[places].copy())


# The ledger.


def grouped_reasons(rows: Iterable[Row]) -> list[tuple[str, str, int]]:
    """State, reason and number of tiles left out, most frequent first in each state, whatever a tile's own share."""
    count = Counter((row.state, _public(_reason(row))) for row in rows if row.state != MADE)
    order = sorted(count, key=lambda group: (STATES.index(group[0]), -count[group], group[1]))
    return [(state, reason, count[state, reason]) for state, reason in order]


def _reason(row: Row) -> str:
    return row.reason if row.valid is None else row.reason.replace(str(row.valid), "…")


def left_out(rows: Sequence[Row]) -> list[tuple[Row, str]]:
    """The tiles that were not made and why, those of the rarest state first."""
    count = Counter(row.state for row in rows)
    return [(row, _public(row.reason)) for row in sorted(rows, key=lambda row: count[row.state]) if row.state != MADE]


# The map.


def tile_map(rows: Sequence[Row], manifest: Path) -> dict[str, Any]:
    """The tiles' core boxes as SVG paths by split and state, in an equirectangular view with ticks and a scale bar."""
    table = pq.read_table(manifest, columns=["key", "geometry"])
    boxes = dict(zip(table["key"].to_pylist(), shapely.from_wkb(table["geometry"].to_pylist()), strict=True))
    view = _View.over([boxes[row.tile] for row in rows])
    shapes: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for row in rows:
        shapes[row.split, row.state].append((f"{row.tile}, {row.split}: {row.state}", view.path(boxes[row.tile])))
    if len(rows) > TOOLTIPS:
        joined = {key: "".join(path for _, path in found) for key, found in shapes.items()}
        shapes = {(split, state): [(f"{split}: {state}", path)] for (split, state), path in joined.items()}
    detail = min(1.0, math.sqrt(view.width * view.height / len(rows)) / 20)
    return {"width": view.width, "height": view.height, "shapes": shapes, "detail": detail, **view.frame()}


@dataclass(frozen=True)
class _View:
    """From lon/lat to pixels of the map: both axes to one scale at the middle latitude."""

    west: float
    south: float
    east: float
    north: float
    wrapped: bool

    @classmethod
    def over(cls, boxes: Sequence[Any]) -> "_View":
        lonlat = shapely.get_coordinates(boxes)
        wrapped = bool(np.ptp(lonlat[:, 0]) > 180)
        if wrapped:
            lonlat = lonlat + np.where(lonlat[:, :1] < 0, [360.0, 0.0], 0.0)
        (west, south), (east, north) = lonlat.min(axis=0), lonlat.max(axis=0)
        margin = 0.03 * max(east - west, north - south)
        return cls(west - margin, south - margin, east + margin, north + margin, wrapped)

    @property
    def shrink(self) -> float:
        return math.cos(math.radians((self.south + self.north) / 2))

    @property
    def scale(self) -> float:
        """Pixels to a degree of latitude."""
        return min(MAP_WIDTH / (self.shrink * (self.east - self.west)), MAP_HEIGHT / (self.north - self.south))

    @property
    def width(self) -> float:
        return self.scale * self.shrink * (self.east - self.west)

    @property
    def height(self) -> float:
        return self.scale * (self.north - self.south)

    def x(self, lon: Any) -> Any:
        return (lon - self.west) * self.scale * self.shrink

    def y(self, lat: Any) -> Any:
        return (self.north - lat) * self.scale

    def path(self, geometry: Any) -> str:
        parts = []
        for polygon in shapely.get_parts(geometry):
            lon, lat = shapely.get_coordinates(polygon.exterior)[:-1].T
            lon = lon + np.where(lon < 0, 360.0, 0.0) if self.wrapped else lon
            corners = zip(self.x(lon).tolist(), self.y(lat).tolist(), strict=True)
            parts.append("M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in corners) + "Z")
        return "".join(parts)

    def frame(self) -> dict[str, Any]:
        """Ticks along both axes, and the scale bar's pixels and label."""
        metres = DEGREE / self.scale
        bar = _nice(self.width * metres / 4)
        label = f"{bar / 1000:g} km" if bar >= 1000 else f"{bar:g} m"
        lons, lats = _degrees(self.west, self.east, 5), _degrees(self.south, self.north, 5)
        return {
            "xticks": [(self.x(lon), _degree_label((lon + 180) % 360 - 180, step, "EW")) for lon, step in lons],
            "yticks": [(self.y(lat), _degree_label(lat, step, "NS")) for lat, step in lats],
            "bar": (bar / metres, label),
        }


def _nice(value: float) -> float:
    """The largest of 1, 2, 5, 10, 20, ... that does not exceed the value."""
    power = 10.0 ** math.floor(math.log10(value))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= value * (1 + 1e-9))


def _degrees(low: float, high: float, count: int) -> list[tuple[float, float]]:
    step = _nice((high - low) / count * 2)
    return [(number * step, step) for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _degree_label(value: float, step: float, sides: str) -> str:
    digits = max(0, -math.floor(math.log10(step)))
    return f"{abs(value):.{digits}f}° {sides[value < 0]}" if round(value, digits) else f"{0:.{digits}f}°"


# The contact sheet.


def choose(rows: Iterable[Row], splits: Sequence[str], count: int) -> list[str]:
    """Up to `count` made tiles, the same at every run, spread over the splits and grouped by them."""
    made = sorted((row for row in rows if row.state == MADE), key=lambda row: digest("report", row.tile))
    queues = [[row.tile for row in made if row.split == split] for split in splits]
    taken = set(islice((tile for turn in zip_longest(*queues) for tile in turn if tile), count))
    return [tile for tile in chain(*queues) if tile in taken]


def display_bands(names: Sequence[str]) -> tuple[int, ...]:
    """The bands to show: red, green and blue where they are known by name, else the first three, else the first."""
    return _red_green_blue(names) or ((0, 1, 2) if len(names) >= 3 else (0,))


def is_true_colour(names: Sequence[str]) -> bool:
    """Whether red, green and blue are known by name."""
    return _red_green_blue(names) is not None


def _red_green_blue(names: Sequence[str]) -> tuple[int, ...] | None:
    plain = [name.rpartition("/")[2].lower() for name in names]
    known = (wanted for wanted in TRUE_COLOUR if set(wanted) <= set(plain))
    return next((tuple(plain.index(name) for name in wanted) for wanted in known), None)


@dataclass(frozen=True)
class Card:
    """A tile of the contact sheet; the pictures are PNG data URIs."""

    row: Row
    image: str
    label: str
    overlay: str


def contact_sheet(chips: Sequence[Shown], legend: Mapping[int, "Class"], background: int) -> list[Card]:
    """Image, label and overlay of each chip, all images stretched alike."""
    limits = stretch_limits(chips)
    lookup = np.full((256, 3), BACKGROUND, np.uint8)
    for value, entry in legend.items():
        lookup[value] = entry.rgb
    lookup[background] = BACKGROUND
    cards = []
    for chip in chips:
        image = stretched(chip, limits)
        overlay = overlaid(image, chip.label, lookup, background)
        cards.append(Card(chip.row, _png(image), _png(lookup[chip.label]), _png(overlay)))
    return cards


def stretch_limits(chips: Sequence[Shown]) -> list[tuple[float, float]]:
    """The 2nd and 98th percentile of each displayed band over the valid pixels of all chips."""
    if not any(chip.valid.any() for chip in chips):
        return [(0.0, 1.0)] * (len(chips[0].image) if chips else 0)
    values = np.concatenate([chip.image[:, chip.valid] for chip in chips], axis=1).astype(np.float64)
    low, high = np.percentile(values, (2, 98), axis=1).tolist()
    return list(zip(low, high, strict=True))


def stretched(chip: Shown, limits: Sequence[tuple[float, float]]) -> npt.NDArray[np.uint8]:
    """The chip as red, green, blue and opacity (row, column, 4), see-through where it has no data."""
    low, high = np.array(limits).T[:, :, None, None]
    values = np.where(chip.valid, chip.image, 0).astype(np.float64)
    bytes_ = np.rint(255 * np.clip((values - low) / np.where(high > low, high - low, 1.0), 0, 1)).astype(np.uint8)
    colours = np.broadcast_to(bytes_, (3, *chip.valid.shape)) * chip.valid
    return np.stack([*colours, np.where(chip.valid, 255, 0)], axis=-1).astype(np.uint8)


def overlaid(image: npt.NDArray[np.uint8], label: Array, lookup: Array, background: int) -> npt.NDArray[np.uint8]:
    """The image, enlarged, with a tint and an outline of each class."""
    factor = max(1, PANEL // max(label.shape))
    large = image.repeat(factor, axis=0).repeat(factor, axis=1)
    classes = label.repeat(factor, axis=0).repeat(factor, axis=1)
    colours, labelled = lookup[classes].astype(np.float64), classes != background
    share = np.where(labelled & _edges(classes), 1.0, np.where(labelled, TINT, 0.0))
    there = large[..., 3] > 0
    mixed = np.where(there[..., None], large[..., :3] + share[..., None] * (colours - large[..., :3]), colours)
    return np.dstack([np.rint(mixed), np.where(there, 255, np.rint(255 * share))]).astype(np.uint8)


def _edges(classes: Array) -> Mask:
    """Pixels beside one of another class."""
    edges = np.zeros(classes.shape, bool)
    for here, beside in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differs = classes[here] != classes[beside]
        edges[here] |= differs
        edges[beside] |= differs
    return edges


def _png(pixels: npt.NDArray[np.uint8]) -> str:
    """PNG bytes as a data URI."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


# Classes and bands.


@dataclass(frozen=True)
class Class:
    """A class of the legend."""

    name: str
    rgb: Colour

    @property
    def colour(self) -> str:
        """As CSS."""
        return _hex(self.rgb)


def class_legend(labels: LabelsConfig, survey: Survey) -> dict[int, Class]:
    """The classes that the config names or the chips hold, by value; without the background."""
    names: dict[int, list[str]] = defaultdict(list)
    for layer in labels.layers:
        given = layer.classes if layer.attribute else {layer.layer or Path(layer.path).stem: layer.value}
        for name, value in (given or {}).items():
            if value is not None and name not in names[value]:
                names[value].append(name)
    found = {int(value) for counts in survey.labels.values() for value in np.flatnonzero(counts)}
    values = sorted((found | set(names)) - {labels.background})
    colours = _palette(CLASS_COLOURS, len(values))
    return {value: Class(", ".join(names[value]), colour) for value, colour in zip(values, colours, strict=True)}


def class_shares(
    survey: Survey, legend: Mapping[int, Class], background: int, splits: Sequence[str]
) -> list[tuple[int, Class, list[tuple[int, float]]]]:
    """For each class, the background last, its pixels and their share in each split."""
    entries = [*legend.items(), (background, Class("background", BACKGROUND))]
    counts = {value: [int(survey.labels[split][value]) for split in splits] for value, _ in entries}
    totals = [survey.pixels[split] for split in splits]
    return [
        (value, entry, [(n, n / of) for n, of in zip(counts[value], totals, strict=True)]) for value, entry in entries
    ]


@dataclass(frozen=True)
class BandRow:
    """One band in one split; nothing but the share where no pixel is valid."""

    split: str
    valid: float
    figures: tuple[int | float, ...]


def band_statistics(
    survey: Survey, bands: Sequence[str], splits: Sequence[str]
) -> list[tuple[str, tuple[float, float], list[BandRow]]]:
    """For each band its scale and offset, and by split the valid share, minimum, maximum, mean and deviation."""
    return [
        (name, scaling, [_band_row(split, survey.moments[split], index, survey.pixels[split]) for split in splits])
        for index, (name, scaling) in enumerate(zip(bands, survey.scaling, strict=False))
    ]


def _band_row(split: str, moments: Moments, band: int, pixels: int) -> BandRow:
    figures = [array[band].item() for array in (moments.low, moments.high, moments.mean, moments.std)]
    return BandRow(split, moments.count[band] / pixels, tuple(figures) if moments.count[band] else ())


# Scenes.


@dataclass(frozen=True)
class SceneRow:
    """A pinned scene, how many tiles list it, and how many chips took pixels from it: None for a cloud mask."""

    scene: Scene
    tiles: int
    chips: int | None


def scene_table(dataset: Dataset, lock: Lock, used: Mapping[tuple[str, str], set[str]]) -> list[SceneRow]:
    """All pinned scenes by acquisition and id within each product, those of the cloud mask last."""
    products = [product.id for product in dataset.imagery.products]
    listed = Counter(chain.from_iterable(lock.tiles.values()))
    rows = []
    for index, scene in enumerate(lock.scenes):
        chips = len(used.get((scene.product, scene.id), ()))
        rows.append(SceneRow(scene, listed[index], chips if scene.product in products else None))

    def place(row: SceneRow) -> tuple[int, datetime, str]:
        return [*products, row.scene.product].index(row.scene.product), row.scene.acquired, row.scene.id

    return sorted(rows, key=place)


@dataclass(frozen=True)
class Day:
    """A day's place from 0 to 1 along the axis, the tiles that list one of its scenes and the chips that use one."""

    place: float
    day: date
    tiles: int
    chips: int


@dataclass(frozen=True)
class Timeline:
    """One product's scenes, days and ticks, all with their places from 0 to 1 along the axis."""

    product: str
    scenes: Sequence[tuple[float, Scene]]
    days: Sequence[Day]
    ticks: Sequence[tuple[float, str]]
    reference: float | None


@dataclass(frozen=True)
class _Axis:
    """The searched days, whole, as places from 0 to 1."""

    first: date
    last: date

    def place(self, moment: datetime) -> float:
        start = datetime.combine(self.first, time.min, UTC)
        return (moment - start) / (datetime.combine(self.last + timedelta(1), time.min, UTC) - start)

    def midnight(self, day: date) -> float:
        return self.place(datetime.combine(day, time.min, UTC))


def timelines(imagery: ImageryConfig, lock: Lock, used: Mapping[tuple[str, str], set[str]]) -> list[Timeline]:
    """A timeline over the searched days for each product."""
    axis = _Axis(imagery.start, imagery.end)
    tiles: dict[int, set[str]] = defaultdict(set)
    for tile, indices in lock.tiles.items():
        for index in indices:
            tiles[index].add(tile)
    reference = imagery.reference_date if imagery.composite == "closest" else None
    mark = axis.midnight(reference) if reference and imagery.start <= reference <= imagery.end else None
    ticks = [(axis.midnight(day), label) for day, label in day_ticks(imagery.start, imagery.end)]
    found = []
    for product in imagery.products:
        members = [(index, scene) for index, scene in enumerate(lock.scenes) if scene.product == product.id]
        scenes = [(axis.place(scene.acquired), scene) for _, scene in members]
        found.append(Timeline(product.id, scenes, _days(members, tiles, used, axis), ticks, mark))
    return found


def _days(
    members: Sequence[tuple[int, Scene]],
    tiles: Mapping[int, set[str]],
    used: Mapping[tuple[str, str], set[str]],
    axis: _Axis,
) -> list[Day]:
    listed: dict[date, set[str]] = defaultdict(set)
    taken: dict[date, set[str]] = defaultdict(set)
    for index, scene in members:
        listed[scene.acquired.date()] |= tiles.get(index, set())
        taken[scene.acquired.date()] |= used.get((scene.product, scene.id), set())
    noon = {day: axis.place(datetime.combine(day, time(12), UTC)) for day in listed}
    return [Day(noon[day], day, len(listed[day]), len(taken[day])) for day in sorted(listed)]


def day_ticks(start: date, end: date) -> list[tuple[date, str]]:
    """At most nine firsts of a month or year, or single days within a short window."""
    first, last = start.year * 12 + start.month - 1, end.year * 12 + end.month - 1
    for step in (1, 2, 3, 6, 12, 24, 60, 120):
        months = [date(number // 12, number % 12 + 1, 1) for number in range(first, last + 1) if number % step == 0]
        months = [day for day in months if day >= start]
        if 3 <= len(months) <= 9:
            return [(day, f"{day:%Y}" if step >= 12 else f"{day:%Y-%m}") for day in months]
    span = (end - start).days + 1
    days = [start + timedelta(number) for number in range(0, span, math.ceil(span / 6))]
    return [(day, day.isoformat()) for day in days]


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


# Colours.


def _palette(known: str, count: int) -> list[Colour]:
    """`count` different colours, the known ones (hex digits, spaced) first."""
    given = [tuple(bytes.fromhex(code)) for code in known.split()][:count]
    return [*given, *(_hue(number) for number in range(count - len(given)))]  # type: ignore[list-item]


def _hue(number: int) -> Colour:
    """Hues by the golden angle in three lightnesses, so that neighbours differ."""
    import colorsys

    red, green, blue = colorsys.hls_to_rgb(number * 0.618034 % 1, (0.35, 0.55, 0.75)[number % 3], 0.6)
    return round(255 * red), round(255 * green), round(255 * blue)


def _hex(colour: Colour) -> str:
    return "#" + bytes(colour).hex()
