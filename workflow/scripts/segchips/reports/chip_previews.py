"""The chips that the report shows, read and reduced in size, and the scenes that each chip was made from."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import rasterio

from segchips.arrays import Array, Mask, Pixels
from segchips.errors import InputError
from segchips.grids.tile import chip_filename
from segchips.grids.tile_array import TileKeys
from segchips.records.shard_index import parse_scenes, read_index_columns
from segchips.reports.ledger import Ledger, LedgerRow
from segchips.tiles.assignment import MADE

MAX_PREVIEW_SIZE = 256
"""Pixels along the longest side of a preview; of larger chips every n-th row and column is shown."""

SceneUse = Sequence[tuple[frozenset[tuple[str, str]], int]]
"""Sets of scenes, by product and scene id, each with the number of chips that took pixels from exactly these."""
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
        scene_use: How many chips took pixels from each set of scenes.
        scaling: The scale and offset of each band; empty without a preview.
        previews: The selected chips, by tile key.
    """

    scene_use: SceneUse
    scaling: Scalings
    previews: Mapping[str, PreviewChip]


def preview_chips(
    rows: Ledger,
    indices: Iterable[Path],
    folders: tuple[Path, Path],
    selected: Sequence[str],
    display_bands: Sequence[int],
    unknown: int | None,
    steps: int = 1,
) -> ChipPreviews:
    """Read the selected chips, and count the scenes of all chips.

    Args:
        rows: The ledger.
        indices: The index files of all shards.
        folders: The folders of the image chips and label chips to show.
        selected: The keys of the tiles to preview.
        display_bands: The bands to show, from 0.
        unknown: The label value of unknown pixels, if there is one.
        steps: How many steps the images have; of a time series the step with most valid pixels is shown.

    Raises:
        InputError: A selected chip cannot be read.
    """
    previews: dict[str, PreviewChip] = {}
    scaling: Scalings = ()
    for number in sorted(TileKeys(rows.column("tile")).known_rows(selected).tolist()):
        row = rows[number]
        name = chip_filename(row.tile)
        images, labels = folders
        chip = _read_chip_pair(images / name, labels / name, steps)
        if unknown is not None:
            chip.label[~chip.valid.reshape(steps, -1, *chip.label.shape).all(axis=1).any(axis=0)] = unknown
        scaling, previews[row.tile] = chip.scaling, _reduced(row, chip, list(display_bands))
    return ChipPreviews(_count_scenes(indices), scaling, previews)


def _count_scenes(indices: Iterable[Path]) -> SceneUse:
    entries = read_index_columns(indices, ["state", "scenes"])
    counted = pc.value_counts(entries["scenes"].filter(pc.equal(entries["state"], MADE)))
    pairs = zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
    return [(frozenset(parse_scenes(text)), count) for text, count in pairs]


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
