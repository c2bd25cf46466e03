"""The chips that the report shows, read and reduced in size, and the scenes that each chip was made from."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio

from segchips.arrays import Array, Mask, Pixels
from segchips.errors import InputError
from segchips.grids.tile import chip_filename
from segchips.records.shard_index import IndexEntry
from segchips.reports.ledger import LedgerRow
from segchips.tiles.assignment import MADE

MAX_PREVIEW_SIZE = 256
"""Pixels along the longest side of a preview; of larger chips every n-th row and column is shown."""

Scalings = tuple[tuple[float, float], ...]
"""The scale and offset of each band."""


@dataclass(frozen=True)
class ChipPair:
    """An image chip and its label chip as the files hold them.

    Attributes:
        image: Band x row x column.
        label: Row x column.
        valid: Which values of the image are finite, not nodata and not masked: band x row x column.
        scaling: The scale and offset of each band.
    """

    image: Pixels
    label: Array
    valid: Mask
    scaling: Scalings


@dataclass(frozen=True)
class PreviewChip:
    """A chip of the contact sheet, reduced to at most `MAX_PREVIEW_SIZE` pixels.

    Attributes:
        row: The tile's row in the ledger.
        image: The displayed bands: band x row x column.
        valid: Where all displayed bands are valid: row x column.
        label: The record's label, unknown where a band of the image is not valid: row x column.
    """

    row: LedgerRow
    image: Pixels
    valid: Mask
    label: Array


@dataclass(frozen=True)
class ChipPreviews:
    """What the report needs to know about the chips.

    Attributes:
        tiles_by_scene: The keys of the tiles that took pixels from each scene, by product and scene id.
        scaling: The scale and offset of each band; empty without a preview.
        previews: The selected chips, by tile key.
    """

    tiles_by_scene: Mapping[tuple[str, str], set[str]]
    scaling: Scalings
    previews: Mapping[str, PreviewChip]


def preview_chips(
    rows: Iterable[LedgerRow],
    entries: Mapping[str, IndexEntry],
    folders: tuple[Path, Path],
    selected: set[str],
    display_bands: Sequence[int],
    unknown: int | None,
    steps: int = 1,
) -> ChipPreviews:
    """Read the selected chips, and collect the scenes of all chips.

    Args:
        rows: The ledger.
        entries: The index entry of each record, by tile key.
        folders: The folders of the image chips and label chips to show.
        selected: The keys of the tiles to preview.
        display_bands: The bands to show, from 0.
        unknown: The label value of unknown pixels, if there is one.
        steps: How many steps the images have; of a time series the step with most valid pixels is shown.

    Raises:
        InputError: A selected chip cannot be read.
    """
    tiles_by_scene: dict[tuple[str, str], set[str]] = defaultdict(set)
    previews: dict[str, PreviewChip] = {}
    scaling: Scalings = ()
    for row in (row for row in rows if row.state == MADE):
        for scene in entries[row.tile].scenes:
            tiles_by_scene[scene].add(row.tile)
        if row.tile in selected:
            name = chip_filename(row.tile)
            images, labels = folders
            chip = _read_chip_pair(images / name, labels / name, steps)
            if unknown is not None:
                chip.label[~chip.valid.reshape(steps, -1, *chip.label.shape).all(axis=1).any(axis=0)] = unknown
            scaling, previews[row.tile] = chip.scaling, _reduced(row, chip, list(display_bands))
    return ChipPreviews(tiles_by_scene, scaling, previews)


def _read_chip_pair(image_path: Path, label_path: Path, steps: int) -> ChipPair:
    """Read a pair, the step with most valid pixels first; a coarser image is enlarged to the label's size."""
    path = image_path
    try:
        with rasterio.open(image_path) as source:
            scaling = tuple(zip(source.scales, source.offsets, strict=True))
            pixels = source.read()
            valid = np.isfinite(pixels) & (source.read_masks() != 0)
        path = label_path
        with rasterio.open(label_path) as source:
            label = source.read(1)
        by_step = valid.reshape(steps, -1, *valid.shape[1:])
        order = [int(by_step.all(axis=1).sum(axis=(1, 2)).argmax()), *range(steps)]
        order = list(dict.fromkeys(order))
        factor = label.shape[0] // pixels.shape[1]
        pixels, valid = (
            np.concatenate(plane.reshape(by_step.shape)[order]).repeat(factor, axis=1).repeat(factor, axis=2)
            for plane in (pixels, valid)
        )
        return ChipPair(pixels, label, valid, scaling)
    except (rasterio.errors.RasterioError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it and run again") from error


def _reduced(row: LedgerRow, chip: ChipPair, display_bands: list[int]) -> PreviewChip:
    step = math.ceil(max(chip.label.shape) / MAX_PREVIEW_SIZE)
    sampled = np.s_[..., ::step, ::step]
    valid: Mask = np.all(chip.valid[display_bands][sampled], axis=0)
    return PreviewChip(row, chip.image[display_bands][sampled].copy(), valid, chip.label[sampled].copy())
