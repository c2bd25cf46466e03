"""TODO: describe."""

from collections.abc import Sequence
from pathlib import Path

from segchips.chips.chip_file import write_chip
from segchips.grids.tile import Tile
from segchips.labels.features import LabelFeatures


def make_label(features: LabelFeatures, tile: Tile, touching: Sequence[int], path: Path) -> None:
    """Burn the features that touch the tile into the chip at `path`: uint8, background as nodata."""
    pixels = features.burn(tile, touching)
    write_chip(path, pixels[None], tile, ["label"], features.config.background, {})
