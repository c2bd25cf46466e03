"""The boxes of tiles, or of chips made elsewhere, in lon/lat."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from segchips.arrays import Floats
from segchips.files import read_parquet
from segchips.grids.tile_array import TileKeys
from segchips.vectors.geometry import Geometries

_BATCH = 50_000
"""Boxes that are in memory as geometries at once."""


@dataclass(frozen=True)
class TileBoxes:
    """Boxes as WKB.

    Attributes:
        keys: The tile or chip of each box (n).
        wkb: The boxes (n), which may have parts on both sides of the antimeridian.
    """

    keys: TileKeys
    wkb: pa.Array

    @classmethod
    def read(cls, manifest: Path) -> "TileBoxes":
        """Read the tiles' core boxes."""
        table = read_parquet(manifest, ["key", "geometry"])
        return cls(TileKeys(table["key"]), table["geometry"].combine_chunks())

    @classmethod
    def of(cls, boxes: Mapping[str, Any]) -> "TileBoxes":
        """Boxes by tile or chip."""
        return cls(TileKeys(boxes), pa.array(shapely.to_wkb(list(boxes.values())), pa.binary()))

    def at(self, keys: TileKeys) -> "TileBoxes":
        """The boxes of some tiles, in their order."""
        return TileBoxes(keys, self.wkb.take(pa.array(self.keys.known_rows(keys))))

    def __len__(self) -> int:
        return len(self.wkb)

    def shapes(self) -> Geometries:
        """The boxes as geometries (n)."""
        shapes: Geometries = shapely.from_wkb(self.wkb.to_numpy(zero_copy_only=False))
        return shapes

    def batches(self) -> Iterator[Geometries]:
        """The boxes as geometries, part after part."""
        return (
            TileBoxes(self.keys, self.wkb[start : start + _BATCH]).shapes() for start in range(0, len(self), _BATCH)
        )

    def middles(self) -> Floats:
        """Longitude and latitude (n, 2) of a point in the middle of each box, or inside it where it has parts."""
        return np.concatenate([np.empty((0, 2)), *map(_middles, self.batches())])


def _middles(boxes: Geometries) -> Floats:
    points: Floats = shapely.bounds(boxes).reshape(-1, 2, 2).mean(axis=1)
    parted = shapely.get_num_geometries(boxes) > 1
    points[parted] = shapely.get_coordinates(shapely.point_on_surface(boxes[parted]))
    return points
