"""TODO: describe."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import shapely

from segchips.arrays import Ints
from segchips.config.model import SplittingConfig
from segchips.errors import InputError
from segchips.grids.indices import encode_indices, tile_centres
from segchips.grids.tile import Grid, Tile
from segchips.splits.blocks import Blocks, split_numbers
from segchips.tiles.assignment import split_of
from segchips.vectors.antimeridian import to_lonlat_geometries
from segchips.vectors.layers import read_layer


class SplitStrategy(Protocol):
    """A way to split: a pure function of a tile's place."""

    def at(self, places: Ints) -> tuple[Ints, Ints]:
        """For each zone, path and row (n, 3) its unit, and the number of its split, -1 for none."""
        ...


@dataclass(frozen=True)
class ByBlock:
    """Each block of ground draws a split; a tile belongs to the block that holds its middle."""

    config: SplittingConfig
    grid: Grid

    def at(self, places: Ints) -> tuple[Ints, Ints]:
        """Unit and split of each place."""
        blocks = Blocks(self.config.block, self.config.seed)
        found = blocks.at(*tile_centres(places, self.grid))
        return (found[:, 0] << 32) + found[:, 1], split_numbers(blocks.draw(found), self.config.shares)


@dataclass(frozen=True)
class ByTile:
    """Each tile draws a split by a hash of its key."""

    config: SplittingConfig
    grid: Grid

    def at(self, places: Ints) -> tuple[Ints, Ints]:
        """Unit and split of each place."""
        seed, numbers = self.config.seed, {name: number for number, name in enumerate(self.config.shares)}
        keys = (Tile(self.grid, *place).key for place in places.tolist())
        names = (split_of(f"{key}|{seed}" if seed else key, self.config.shares) for key in keys)
        return encode_indices(places), np.array([numbers[name] for name in names], np.int64)


class ByRegion:
    """The polygon that holds a tile's middle names its split; later polygons win."""

    def __init__(self, config: SplittingConfig, grid: Grid) -> None:
        layer = read_layer(str(config.path), config.layer, config.attribute)
        names, self._grid = list(config.shares), grid
        values = [str(value) for value in np.asarray(layer.values).tolist()]
        strange = sorted(set(values) - set(names))
        if strange:
            raise InputError(
                f"attribute '{config.attribute}' of {layer} names splits that tfrecords.splits does not: "
                f"{', '.join(map(repr, strange[:5]))}; it has {', '.join(names)}"
            )
        self._splits = np.array([names.index(value) for value in values])
        self._tree = shapely.STRtree(to_lonlat_geometries(layer))

    def at(self, places: Ints) -> tuple[Ints, Ints]:
        """Unit and split of each place."""
        lon, lat = tile_centres(places, self._grid)
        points = shapely.points((lon + 180) % 360 - 180, lat)
        which, regions = self._tree.query(points, predicate="intersects")
        last = np.full(len(places), -1, np.int64)
        np.maximum.at(last, which, regions)
        found = np.where(last < 0, -1, self._splits[last])
        return found, found


def split_strategy(config: SplittingConfig, grid: Grid) -> SplitStrategy:
    """The way to split that the config names; InputError where its regions cannot be used."""
    if config.by == "region":
        return ByRegion(config, grid)
    return ByTile(config, grid) if config.by == "tile" else ByBlock(config, grid)
