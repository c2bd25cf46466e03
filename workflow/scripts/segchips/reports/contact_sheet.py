"""The report's contact sheet: image, label and overlay of some chips."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from itertools import chain, islice, zip_longest

import imagecodecs
import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from segchips.arrays import Array, Mask
from segchips.files import digest
from segchips.reports.chip_previews import MAX_PREVIEW_SIZE, PreviewChip
from segchips.reports.colours import BACKGROUND, Colour
from segchips.reports.ledger import LedgerRow, is_in, to_ledger
from segchips.tiles.assignment import MADE

CLASS_TINT = 0.35
"""The opacity of a class in the overlay."""
_RGB_NAMES = (("red", "green", "blue"), ("b04", "b03", "b02"), ("b4", "b3", "b2"))


def choose_tiles(rows: Iterable[LedgerRow], splits: Sequence[str], count: int) -> list[str]:
    """Choose the tiles to show: spread evenly over the splits, the same ones at every run.

    Args:
        rows: The ledger.
        splits: The splits in the order of the sheet.
        count: How many tiles to choose at most.

    Returns:
        Keys of tiles that have chips, grouped by split.
    """
    made = to_ledger(rows)
    made = made.where(is_in(made, MADE))
    queues = []
    for split in splits:
        of_split = pc.equal(made.column("split"), split)
        queues.append(
            nsmallest(count, made.column("tile").filter(of_split).to_pylist(), lambda tile: digest("report", tile))
        )
    chosen = set(islice((tile for turn in zip_longest(*queues) for tile in turn if tile), count))
    return [tile for tile in chain(*queues) if tile in chosen]


def display_bands(names: Sequence[str]) -> tuple[int, ...]:
    """The bands to show, from 0: red, green and blue if their names say so, else the first three or the first."""
    return _red_green_blue(names) or ((0, 1, 2) if len(names) >= 3 else (0,))


def is_true_colour(names: Sequence[str]) -> bool:
    """Whether names of bands say which are red, green and blue."""
    return _red_green_blue(names) is not None


def _red_green_blue(names: Sequence[str]) -> tuple[int, ...] | None:
    plain = [name.rpartition("/")[2].lower() for name in names]
    complete = (triple for triple in _RGB_NAMES if set(triple) <= set(plain))
    return next((tuple(plain.index(name) for name in triple) for triple in complete), None)


@dataclass(frozen=True)
class ContactSheetEntry:
    """A tile of the contact sheet with its pictures as PNG data URIs."""

    row: LedgerRow
    image: str
    label: str
    overlay: str


def contact_sheet(
    chips: Sequence[PreviewChip], colours: Mapping[int, Colour], background: int
) -> list[ContactSheetEntry]:
    """Render image, label and overlay of each chip; all images have the same contrast stretch.

    Args:
        chips: The chips to show.
        colours: The colour of each label value except the background.
        background: The label value of the background.
    """
    limits = stretch_limits(chips)
    lookup = colour_table(colours, background)
    entries = []
    for chip in chips:
        image = stretch_contrast(chip, limits)
        overlay = overlay_classes(image, chip.label, lookup, background)
        entries.append(ContactSheetEntry(chip.row, png_uri(image), png_uri(lookup[chip.label]), png_uri(overlay)))
    return entries


def colour_table(colours: Mapping[int, Colour], background: int) -> npt.NDArray[np.uint8]:
    """The colour of each label value, 256 x 3; that of the background where none is given."""
    table = np.full((256, 3), BACKGROUND, np.uint8)
    for value, colour in colours.items():
        table[value] = colour
    table[background] = BACKGROUND
    return table


def stretch_limits(chips: Sequence[PreviewChip]) -> list[tuple[float, float]]:
    """The 2nd and 98th percentile of each displayed band, over the valid pixels of all chips."""
    if not any(chip.valid.any() for chip in chips):
        return [(0.0, 1.0)] * (len(chips[0].image) if chips else 0)
    values = np.concatenate([chip.image[:, chip.valid] for chip in chips], axis=1).astype(np.float64)
    low, high = np.percentile(values, (2, 98), axis=1).tolist()
    return list(zip(low, high, strict=True))


def stretch_contrast(chip: PreviewChip, limits: Sequence[tuple[float, float]]) -> npt.NDArray[np.uint8]:
    """Scale the displayed bands to 0 to 255 between the limits.

    Returns:
        Red, green, blue and opacity: row x column x 4, uint8, transparent where a band is not valid.
    """
    low, high = np.array(limits).T[:, :, None, None]
    values = np.where(chip.valid, chip.image, 0).astype(np.float64)
    bytes_ = np.rint(255 * np.clip((values - low) / np.where(high > low, high - low, 1.0), 0, 1)).astype(np.uint8)
    colours = np.broadcast_to(bytes_, (3, *chip.valid.shape)) * chip.valid
    return np.stack([*colours, np.where(chip.valid, 255, 0)], axis=-1).astype(np.uint8)


def overlay_classes(
    image: npt.NDArray[np.uint8], label: Array, lookup: Array, background: int
) -> npt.NDArray[np.uint8]:
    """Draw a tint and an outline of each class over the enlarged image.

    Args:
        image: Red, green, blue and opacity: row x column x 4.
        label: Label values: row x column.
        lookup: The colour of each label value: 256 x 3.
        background: The label value that is not drawn.

    Returns:
        Red, green, blue and opacity of the enlarged image, uint8.
    """
    factor = max(1, MAX_PREVIEW_SIZE // max(label.shape))
    large = image.repeat(factor, axis=0).repeat(factor, axis=1)
    classes = label.repeat(factor, axis=0).repeat(factor, axis=1)
    colours, labelled = lookup[classes].astype(np.float64), classes != background
    opacity = np.where(labelled & _edges(classes), 1.0, np.where(labelled, CLASS_TINT, 0.0))
    valid = large[..., 3] > 0
    blended = np.where(valid[..., None], large[..., :3] + opacity[..., None] * (colours - large[..., :3]), colours)
    return np.dstack([np.rint(blended), np.where(valid, 255, np.rint(255 * opacity))]).astype(np.uint8)


def _edges(classes: Array) -> Mask:
    """Which pixels have a direct neighbour of another class."""
    edges = np.zeros(classes.shape, bool)
    for pixels, neighbours in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differs = classes[pixels] != classes[neighbours]
        edges[pixels] |= differs
        edges[neighbours] |= differs
    return edges


def png_uri(pixels: npt.NDArray[np.uint8]) -> str:
    """Pixels as a PNG data URI, with an opacity channel only if a pixel is transparent."""
    return f"data:image/png;base64,{base64.b64encode(png_bytes(pixels)).decode()}"


def png_bytes(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Pixels as the content of a PNG file, with an opacity channel only if a pixel is transparent."""
    opaque = pixels.shape[-1] == 4 and pixels[..., 3].all()
    channels = np.ascontiguousarray(pixels[..., :3] if opaque else pixels)
    strategy, prediction = imagecodecs.PNG.STRATEGY.RLE, imagecodecs.PNG.FILTER.UP
    return bytes(imagecodecs.png_encode(channels, strategy=strategy, filter=prediction))
