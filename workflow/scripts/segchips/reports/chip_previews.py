"""What the report has to know of the chips: the scenes that each shows, and the pixels of a few."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio

from segchips.arrays import Array, Mask
from segchips.errors import InputError
from segchips.grids.tile import chip_filename
from segchips.records.index import Entry
from segchips.reports.ledger import LedgerRow
from segchips.tiles.assignment import MADE

MAX_PREVIEW_SIZE = 256
"""Pixels along the longest side of a shown chip; larger ones are thinned out."""


@dataclass(frozen=True)
class ChipPair:
    """An image (band, row, column) and its label (row, column) as files hold them."""

    image: Array
    label: Array
    nodata: float | None
    scaling: tuple[tuple[float, float], ...]

    @property
    def valid(self) -> Mask:
        """Which pixels of which bands are finite and not nodata."""
        finite: Mask = np.isfinite(self.image)
        return finite if self.nodata is None else finite & (self.image != self.nodata)


@dataclass(frozen=True)
class PreviewChip:
    """A chip of the contact sheet, thinned out: the displayed bands, where all of them are valid, and the label.

    The label is the record's: unknown where a band of the image has no valid pixel.
    """

    row: LedgerRow
    image: Array
    valid: Mask
    label: Array


@dataclass(frozen=True)
class ChipPreviews:
    """The tiles that took pixels from each scene, the bands' scales and offsets, and the chips to show, by tile."""

    used: Mapping[tuple[str, str], set[str]]
    scaling: tuple[tuple[float, float], ...]
    shown: Mapping[str, PreviewChip]


def preview_chips(
    rows: Iterable[LedgerRow],
    entries: Mapping[str, Entry],
    folder: Path,
    wanted: set[str],
    display: Sequence[int],
    unknown: int | None = None,
) -> ChipPreviews:
    """Look through the entries of made tiles, and read the wanted chips; InputError names an unreadable one."""
    used: dict[tuple[str, str], set[str]] = defaultdict(set)
    shown: dict[str, PreviewChip] = {}
    scaling: tuple[tuple[float, float], ...] = ()
    for row in (row for row in rows if row.state == MADE):
        name = chip_filename(row.tile)
        for scene in entries[row.tile].scenes:
            used[scene].add(row.tile)
        if row.tile in wanted:
            chip = _chip(folder / "images" / name, folder / "labels" / name)
            if unknown is not None:
                chip.label[~chip.valid.all(axis=0)] = unknown
            scaling, shown[row.tile] = chip.scaling, _thinned(row, chip, chip.valid, list(display))
    return ChipPreviews(used, scaling, shown)


def _chip(image: Path, label: Path) -> ChipPair:
    path = image
    try:
        with rasterio.open(image) as source:
            scaling = tuple(zip(source.scales, source.offsets, strict=True))
            pixels, nodata = source.read(), source.nodata
        path = label
        with rasterio.open(label) as source:
            return ChipPair(pixels, source.read(1), nodata, scaling)
    except (rasterio.errors.RasterioError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it and run again to make the chip anew") from error


def _thinned(row: LedgerRow, chip: ChipPair, valid: Mask, display: list[int]) -> PreviewChip:
    step = math.ceil(max(chip.label.shape) / MAX_PREVIEW_SIZE)
    places = np.s_[..., ::step, ::step]
    clear: Mask = np.all(valid[display][places], axis=0)
    return PreviewChip(row, chip.image[display][places].copy(), clear, chip.label[places].copy())
