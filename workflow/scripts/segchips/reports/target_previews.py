"""Pictures of the label targets after the first, of the tiles that the report shows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio

from segchips.arrays import Array
from segchips.config.labels import LabelsConfig
from segchips.errors import InputError
from segchips.grids.tile import chip_filename
from segchips.labels.legend import read_legend
from segchips.reports.chip_previews import PreviewChip
from segchips.reports.class_table import LabelMeaning, class_colours
from segchips.reports.colours import UNKNOWN, Colour
from segchips.reports.contact_sheet import colour_table, png_uri
from segchips.reports.layer_previews import MAX_SIZE, LayerPicture
from segchips.reports.ledger import LedgerRow
from segchips.reports.measurements import NO_VALUE, number_labels, object_colours, shade_colours, shade_labels


def target_pictures(
    targets: Mapping[str, LabelsConfig], folder: Path, rows: Sequence[LedgerRow]
) -> dict[str, list[LayerPicture]]:
    """Render the targets after the first of the shown tiles.

    Args:
        targets: The config of each target.
        folder: The dataset's folder of results.
        rows: The ledger's rows of the tiles to show.

    Returns:
        The pictures of each tile, by its key; none where there is one target.

    Raises:
        InputError: A chip cannot be read.
    """
    pictures: dict[str, list[LayerPicture]] = {row.tile: [] for row in rows}
    for target, labels in list(targets.items())[1:]:
        chips = [_read(folder / "labels" / target / chip_filename(row.tile), row) for row in rows]
        present = {value for chip in chips for value in np.unique(chip.label).tolist()}
        colours = class_colours(labels, read_legend(labels), present) if labels.kind == "classes" else {}
        shades, background, shown = shade_values(labels, chips, colours)
        lookup = colour_table(shades, background)
        for chip in shown:
            pictures[chip.row.tile].append(LayerPicture(target, png_uri(lookup[chip.label])))
    return pictures


def shade_values(
    labels: LabelMeaning, chips: Sequence[PreviewChip], classes: Mapping[int, Colour]
) -> tuple[dict[int, Colour], int, list[PreviewChip]]:
    """Choose colours for labels of any kind.

    Args:
        labels: The config of the target.
        chips: The chips to show.
        classes: The colours of classes, without background and unknown.

    Returns:
        The colour of each value from 0 to 255, the value without a colour, and the chips with such values as labels.
    """
    if labels.kind == "continuous":
        return shade_colours(), NO_VALUE, shade_labels(chips)
    if labels.kind == "instances":
        return object_colours(), NO_VALUE, number_labels(chips)
    colours = {**classes} if labels.unknown is None else {**classes, labels.unknown: UNKNOWN}
    if labels.background is None or not all(0 <= value <= 255 for value in (*colours, labels.background)):
        return _number_classes(colours, chips)
    return colours, labels.background, list(chips)


def _number_classes(
    colours: Mapping[int, Colour], chips: Sequence[PreviewChip]
) -> tuple[dict[int, Colour], int, list[PreviewChip]]:
    """Number the values that have a colour from 1 to 255, again and again; 0 stands for all others."""
    values = np.array(sorted(colours), np.int64)
    numbers = np.append(1 + np.arange(len(values)) % 255, 0)
    shown = []
    for chip in chips:
        positions = np.searchsorted(values, chip.label)
        known = np.isin(chip.label, values)
        shown.append(replace(chip, label=numbers[np.where(known, positions, -1)].astype(np.uint8)))
    return {int(number): colours[value] for value, number in zip(values.tolist(), numbers, strict=False)}, 0, shown


def _read(path: Path, row: LedgerRow) -> PreviewChip:
    try:
        with rasterio.open(path) as source:
            label: Array = source.read(1)
    except rasterio.errors.RasterioError as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it and run again") from error
    step = -(-label.shape[0] // MAX_SIZE)
    sampled = label[::step, ::step]
    return PreviewChip(row, np.zeros((1, *sampled.shape), np.uint8), np.ones(sampled.shape, bool), sampled)
