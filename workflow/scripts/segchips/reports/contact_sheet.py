"""The report's pictures: image, label and overlay of some chips."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest

import imagecodecs
import numpy as np
import numpy.typing as npt

from segchips.arrays import Array, Mask
from segchips.files import digest
from segchips.reports.chip_previews import MAX_PREVIEW_SIZE, PreviewChip
from segchips.reports.colours import BACKGROUND, Colour
from segchips.reports.ledger import LedgerRow
from segchips.tiles.assignment import MADE

CLASS_TINT = 0.35
TRUE_COLOUR = (("red", "green", "blue"), ("b04", "b03", "b02"), ("b4", "b3", "b2"))


def choose_tiles(rows: Iterable[LedgerRow], splits: Sequence[str], count: int) -> list[str]:
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
class ContactSheetEntry:
    """A tile of the contact sheet; the pictures are PNG data URIs."""

    row: LedgerRow
    image: str
    label: str
    overlay: str


def contact_sheet(
    chips: Sequence[PreviewChip], colours: Mapping[int, Colour], background: int
) -> list[ContactSheetEntry]:
    """Image, label and overlay of each chip, all images stretched alike."""
    limits = stretch_limits(chips)
    lookup = np.full((256, 3), BACKGROUND, np.uint8)
    for value, colour in colours.items():
        lookup[value] = colour
    lookup[background] = BACKGROUND
    cards = []
    for chip in chips:
        image = stretch_contrast(chip, limits)
        overlay = overlay_classes(image, chip.label, lookup, background)
        cards.append(ContactSheetEntry(chip.row, _png(image), _png(lookup[chip.label]), _png(overlay)))
    return cards


def stretch_limits(chips: Sequence[PreviewChip]) -> list[tuple[float, float]]:
    """The 2nd and 98th percentile of each displayed band over the valid pixels of all chips."""
    if not any(chip.valid.any() for chip in chips):
        return [(0.0, 1.0)] * (len(chips[0].image) if chips else 0)
    values = np.concatenate([chip.image[:, chip.valid] for chip in chips], axis=1).astype(np.float64)
    low, high = np.percentile(values, (2, 98), axis=1).tolist()
    return list(zip(low, high, strict=True))


def stretch_contrast(chip: PreviewChip, limits: Sequence[tuple[float, float]]) -> npt.NDArray[np.uint8]:
    """The chip as red, green, blue and opacity (row, column, 4), see-through where it has no data."""
    low, high = np.array(limits).T[:, :, None, None]
    values = np.where(chip.valid, chip.image, 0).astype(np.float64)
    bytes_ = np.rint(255 * np.clip((values - low) / np.where(high > low, high - low, 1.0), 0, 1)).astype(np.uint8)
    colours = np.broadcast_to(bytes_, (3, *chip.valid.shape)) * chip.valid
    return np.stack([*colours, np.where(chip.valid, 255, 0)], axis=-1).astype(np.uint8)


def overlay_classes(
    image: npt.NDArray[np.uint8], label: Array, lookup: Array, background: int
) -> npt.NDArray[np.uint8]:
    """The image, enlarged, with a tint and an outline of each class."""
    factor = max(1, MAX_PREVIEW_SIZE // max(label.shape))
    large = image.repeat(factor, axis=0).repeat(factor, axis=1)
    classes = label.repeat(factor, axis=0).repeat(factor, axis=1)
    colours, labelled = lookup[classes].astype(np.float64), classes != background
    share = np.where(labelled & _edges(classes), 1.0, np.where(labelled, CLASS_TINT, 0.0))
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
    """PNG bytes as a data URI; a fourth channel, opacity, only where something is see-through."""
    opaque = pixels.shape[-1] == 4 and pixels[..., 3].all()
    shown = np.ascontiguousarray(pixels[..., :3] if opaque else pixels)
    content = imagecodecs.png_encode(shown, strategy=imagecodecs.PNG.STRATEGY.RLE, filter=imagecodecs.PNG.FILTER.UP)
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
