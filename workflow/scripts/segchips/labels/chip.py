"""The labels step: write one tile's label chip."""

import math
from collections.abc import Sequence
from pathlib import Path

from segchips.chips.chip_file import write_chip
from segchips.grids.tile import Tile
from segchips.labels.features import LabelFeatures
from segchips.labels.instances import TAG, burn_instances, instances_to_text


def make_label(
    features: LabelFeatures, tile: Tile, feature_indices: Sequence[int], path: Path, made_from: str = ""
) -> None:
    """Burn features into a tile's label chip, a one-band GeoTIFF of uint8, uint16 or float32.

    Args:
        features: The features of the dataset's label layers.
        tile: The tile, whose padded grid the chip has.
        feature_indices: The features that intersect the tile, as in `LabelLock.feature_indices`.
        path: Where to write the chip. Its nodata value is the background of classes, NaN of measurements.
        made_from: The rerun digest of the chip, which is written into it; a run makes a chip without one again.
    """
    if features.config.kind == "instances":
        numbers, instances = burn_instances(features, tile, feature_indices)
        tags = {"MADE_FROM": made_from, TAG: instances_to_text(instances)}
        write_chip(path, numbers[None], tile, ["label"], features.config.background, tags)
        return
    pixels = features.burn(tile, feature_indices)
    nodata = features.config.background if features.config.kind == "classes" else math.nan
    write_chip(path, pixels[None], tile, ["label"], nodata, {"MADE_FROM": made_from})
