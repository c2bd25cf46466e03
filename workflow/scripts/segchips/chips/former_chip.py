"""The steps of the time series in a former chip, which a changed chip takes over where they are still the same."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioError

from segchips.arrays import Pixels
from segchips.chips.chip_file import chip_made_from
from segchips.grids.tile import Tile


@dataclass(frozen=True)
class FormerChip:
    """A chip of a time series as it was before.

    Attributes:
        dtype: The dtype of its pixels.
        nodata: Its nodata value.
        steps: By rerun digest, the entry of each step in the tag STEPS and its pixels (band, row, column).
    """

    dtype: np.dtype[Any] | None = None
    nodata: float | None = None
    steps: Mapping[str, tuple[Mapping[str, Any], Pixels]] = field(default_factory=dict)

    def fits(self, dtype: np.dtype[Any], nodata: float | None) -> bool:
        """Whether pixels of a chip with this dtype and nodata value are stored alike."""
        is_same = self.nodata == nodata or (self.nodata != self.nodata and nodata != nodata)  # NaN differs from itself
        return self.dtype == dtype and is_same


def read_former_chip(path: Path, tile: Tile) -> FormerChip:
    """Read the steps of a chip that lack no scene; none where there is no such chip, or where it has changed."""
    with suppress(RasterioError, ValueError, KeyError, TypeError):
        if path.exists() and chip_made_from(path, tile.key):
            with rasterio.open(path) as chip:
                entries = json.loads(chip.tags()["STEPS"])
                pixels = chip.read().reshape(len(entries), -1, chip.height, chip.width)
                steps = {
                    entry["made_from"]: (entry, part)
                    for entry, part in zip(entries, pixels, strict=True)
                    if not any("skipped" in scene for scenes in entry["scenes"].values() for scene in scenes)
                }
                return FormerChip(pixels.dtype, chip.nodata, steps)
    return FormerChip()
