"""Pictures of every layer, and every step of a time series, of the tiles that the report shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from segchips.arrays import Mask, Pixels
from segchips.errors import InputError
from segchips.grids.tile import chip_filename
from segchips.records.chip_reader import read_header
from segchips.records.dataset_info import UNNAMED, ChipLayout, DatasetInfo
from segchips.reports.chip_previews import PreviewChip, Scalings
from segchips.reports.contact_sheet import display_bands, png_uri, stretch_contrast, stretch_limits
from segchips.reports.dataset_summary import band_names
from segchips.reports.ledger import LedgerRow

MAX_STEPS = 12
"""Steps of a time series that are shown."""
MAX_SIZE = 128
"""Pixels along a side of a picture; of larger chips every n-th row and column is shown."""


@dataclass(frozen=True)
class LayerPicture:
    """A layer, or one step of it, of one tile.

    Attributes:
        title: The layer, and the first day of the step.
        picture: A PNG data URI.
    """

    title: str
    picture: str


def layer_pictures(info: DatasetInfo, folder: Path, rows: Sequence[LedgerRow]) -> dict[str, list[LayerPicture]]:
    """Render every layer of the shown tiles; empty where the only layer is no time series, which is shown anyway.

    Args:
        info: The description of the dataset.
        folder: The dataset's folder of results.
        rows: The ledger's rows of the tiles to show.

    Raises:
        InputError: A chip cannot be read.
    """
    pictures: dict[str, list[LayerPicture]] = {row.tile: [] for row in rows}
    if not any(layer != UNNAMED or len(layout.shape) == 4 for layer, layout in info.images.items()):
        return {}
    for layer, layout in info.images.items():
        shown = [(row, *step) for row in rows for step in _steps(folder / "images" / layer, layer, layout, row)]
        limits = stretch_limits([chip for *_, chip in shown])
        for row, title, chip in shown:
            pictures[row.tile].append(LayerPicture(title, png_uri(stretch_contrast(chip, limits))))
    return pictures


def layer_scaling(folder: Path, layer: str, layout: ChipLayout, rows: Sequence[LedgerRow]) -> Scalings:
    """The scale and offset of each band of a layer, read from the first chip; empty without chips."""
    if not rows:
        return ()
    with rasterio.open(folder / "images" / layer / chip_filename(rows[0].tile)) as source:
        return tuple(zip(source.scales, source.offsets, strict=True))[: layout.shape[-1]]


def _steps(folder: Path, layer: str, layout: ChipLayout, row: LedgerRow) -> list[tuple[str, PreviewChip]]:
    """Title and pixels of the first steps of a chip, or of the whole chip."""
    path, count = folder / chip_filename(row.tile), layout.shape[0] if len(layout.shape) == 4 else 1
    pixels, valid = _read(path)
    bands = list(display_bands(band_names(layout)))
    days = [start or "no date" for start, _ in read_header(path).steps] or [""]
    shape, step = (count, -1, *pixels.shape[1:]), -(-pixels.shape[1] // MAX_SIZE)
    chips = []
    for day, image, mask in list(zip(days, pixels.reshape(shape), valid.reshape(shape), strict=True))[:MAX_STEPS]:
        sampled = image[bands][:, ::step, ::step]
        shown: Mask = np.all(mask[bands][:, ::step, ::step], axis=0)
        chips.append((f"{layer} {day}".strip(), PreviewChip(row, sampled, shown, np.zeros(shown.shape, np.uint8))))
    return chips


def _read(path: Path) -> tuple[Pixels, Any]:
    try:
        with rasterio.open(path) as source:
            pixels = source.read()
            return pixels, np.isfinite(pixels) & (source.read_masks() != 0)
    except (rasterio.errors.RasterioError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it and run again") from error
