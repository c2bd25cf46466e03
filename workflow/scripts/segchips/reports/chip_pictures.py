"""Pictures of all layers, steps and targets of some tiles, as files beside a page."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioError

from segchips.arrays import Mask
from segchips.errors import InputError, SegchipsError
from segchips.files import atomic_write
from segchips.grids.tile import chip_filename
from segchips.labels.legend import ClassLegend
from segchips.records.chip_reader import read_header
from segchips.records.dataset_files import read_info
from segchips.reports.chip_previews import PreviewChip
from segchips.reports.class_table import class_colours
from segchips.reports.colours import css_colour
from segchips.reports.contact_sheet import colour_table, display_bands, png_bytes, stretch_contrast, stretch_limits
from segchips.reports.ledger import LedgerRow
from segchips.reports.progress_rows import ChipParts
from segchips.reports.target_previews import shade_values

MAX_SIZE = 384
"""Pixels along a side of a picture; of larger chips every n-th row and column is shown."""
MAX_STEPS = 36
"""Steps of a time series that are shown."""


@dataclass(frozen=True)
class Meaning:
    """What the values of a label chip stand for."""

    kind: str
    background: int | None
    unknown: int | None
    names: Mapping[int, str]


@dataclass(frozen=True)
class Pictures:
    """The pictures of the shown tiles.

    Attributes:
        images: By tile, for each layer and step its title and the name of its file.
        labels: By tile, for each target its name and the name of its file.
        legend: By target, the value, name and colour of each class that the shown tiles have.
        broken: Reasons of chips that cannot be read, by tile.
    """

    images: Mapping[str, Sequence[tuple[str, str]]]
    labels: Mapping[str, Sequence[tuple[str, str]]]
    legend: Mapping[str, Sequence[tuple[int, str, str]]]
    broken: Mapping[str, str]


def write_pictures(folder: Path, rows: Sequence[LedgerRow], output: Path) -> Pictures:
    """Write pictures of tiles.

    Args:
        folder: The dataset's folder of results.
        rows: The tiles to show; chips that are not made yet are left out.
        output: The folder of the pictures.

    Returns:
        Their names and titles.
    """
    parts, broken = ChipParts.of(folder), dict[str, str]()
    images: dict[str, list[tuple[str, str]]] = {row.tile: [] for row in rows}
    labels: dict[str, list[tuple[str, str]]] = {row.tile: [] for row in rows}
    legend: dict[str, list[tuple[int, str, str]]] = {}
    numbers = {row.tile: number for number, row in enumerate(rows)}
    for layer, place in parts.images.items():
        shown = [(row, *step) for row in rows for step in _steps(place, layer, row, broken)]
        limits = stretch_limits([chip for *_, chip in shown])
        for order, (row, title, chip) in enumerate(shown):
            name = f"{numbers[row.tile]}-image-{layer}-{order}.png".replace("--", "-")
            atomic_write(output / name, png_bytes(stretch_contrast(chip, limits)))
            images[row.tile].append((title, name))
    names = _class_names(folder)
    for target, place in parts.labels.items():
        read = (_label(place, row, broken) for row in rows)
        chips = [one for one in read if one is not None]
        if not chips:
            continue
        meaning = _meaning(place / chip_filename(chips[0].row.tile), folder, target, names)
        present = {int(value) for chip in chips for value in np.unique(chip.label[np.isfinite(chip.label)])}
        colours = class_colours(meaning, ClassLegend(dict(names)), present) if meaning.kind == "classes" else {}
        legend[target] = [(value, names.get(value, ""), css_colour(colour)) for value, colour in colours.items()]
        shades, background, drawn = shade_values(meaning, chips, colours)
        lookup = colour_table(shades, background)
        for chip in drawn:
            opacity = np.where(chip.label == background, 0, 255).astype(np.uint8)
            name = f"{numbers[chip.row.tile]}-label-{target}.png".replace("-.", ".")
            atomic_write(output / name, png_bytes(np.dstack([lookup[chip.label], opacity])))
            labels[chip.row.tile].append((target, name))
    return Pictures(images, labels, legend, broken)


def _steps(place: Path, layer: str, row: LedgerRow, broken: dict[str, str]) -> list[tuple[str, PreviewChip]]:
    """Title and pixels of each step of a chip; none where it is not made yet."""
    path = place / chip_filename(row.tile)
    if not path.exists() or not path.stat().st_size:
        return []
    try:
        days = [f"{first} to {last}" if last != first else first for first, last in read_header(path).steps]
        with rasterio.open(path) as source:
            names = [text or "" for text in source.descriptions]
            pixels, masks = source.read(), source.read_masks()
        valid: Mask = np.isfinite(pixels) & (masks != 0)
    except (RasterioError, SegchipsError, ValueError, OSError) as error:
        broken[row.tile] = f"{path.name} cannot be read ({error}); delete it and run again"
        return []
    count, step = len(days) or 1, -(-pixels.shape[1] // MAX_SIZE)
    shape = (count, -1, *pixels.shape[1:])
    bands = list(display_bands(names[: len(names) // count]))
    titles = [f"{layer} {day or 'no date'}".strip() for day in days] or [layer]
    chips = []
    for title, image, mask in list(zip(titles, pixels.reshape(shape), valid.reshape(shape), strict=True))[:MAX_STEPS]:
        sampled = image[bands][:, ::step, ::step]
        shown: Mask = np.all(mask[bands][:, ::step, ::step], axis=0)
        chips.append((title, PreviewChip(row, sampled, shown, np.zeros(shown.shape, np.uint8))))
    return chips


def _label(place: Path, row: LedgerRow, broken: dict[str, str]) -> PreviewChip | None:
    path = place / chip_filename(row.tile)
    if not path.exists() or not path.stat().st_size:
        return None
    try:
        with rasterio.open(path) as source:
            label = source.read(1)
    except RasterioError as error:
        broken[row.tile] = f"{path.name} cannot be read ({error}); delete it and run again"
        return None
    step = -(-label.shape[0] // MAX_SIZE)
    sampled = label[::step, ::step]
    return PreviewChip(row, np.zeros((1, *sampled.shape), np.uint8), np.ones(sampled.shape, bool), sampled)


def _meaning(path: Path, folder: Path, target: str, names: Mapping[int, str]) -> Meaning:
    """What label values stand for: as the chip's dtype and tags say, and the value of unknown pixels in shards."""
    with rasterio.open(path) as source:
        tags, dtype, nodata = source.tags(), source.dtypes[0], source.nodata
    if dtype.startswith("float"):
        return Meaning("continuous", None, None, {})
    kind = "instances" if "INSTANCES" in tags else "classes"
    background = None if nodata is None else int(nodata)
    return Meaning(kind, background, _unknown(folder, target), names if kind == "classes" else {})


def _unknown(folder: Path, target: str) -> int | None:
    try:
        return read_info(folder / "tfrecords").unknown.get(target)
    except InputError:
        return None


def _class_names(folder: Path) -> dict[int, str]:
    """The names of classes, once the dataset's descriptions are made."""
    try:
        model: Any = json.loads((folder / "esri_model_definition.emd").read_text(encoding="utf-8"))
        return {int(entry["Value"]): str(entry["Name"]) for entry in model.get("Classes") or ()}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
