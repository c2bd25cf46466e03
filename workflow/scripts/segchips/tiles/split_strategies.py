"""How the split of a tile follows from its location: by block, by tile or by region."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import shapely

from segchips.arrays import Ints
from segchips.config.splitting import SplittingConfig
from segchips.errors import InputError
from segchips.grids.ground import metres_per_unit, tile_centres
from segchips.grids.indices import encode_indices
from segchips.grids.tile import Grid
from segchips.grids.tile_array import TileArray
from segchips.tiles.assignment import split_of
from segchips.tiles.blocks import Blocks, split_numbers
from segchips.vectors.antimeridian import to_lonlat_geometries
from segchips.vectors.layers import read_layer


class SplitStrategy(Protocol):
    """A pure function from a tile's location to its block and split."""

    def assign(self, indices: Ints) -> tuple[Ints, Ints]:
        """Returns the block id (n) and the number of the split (n), -1 for none, of tiles by zone, path, row (n, 3)."""
        ...


@dataclass(frozen=True)
class ByBlock:
    """Each block of ground draws a split; a tile belongs to the block that holds its centre."""

    config: SplittingConfig
    grid: Grid

    def assign(self, indices: Ints) -> tuple[Ints, Ints]:
        """See `SplitStrategy`."""
        blocks = Blocks(block_side(self.config, self.grid), self.config.seed)
        rows_columns = blocks.containing(*tile_centres(indices, self.grid))
        block_ids = (rows_columns[:, 0] << 32) + rows_columns[:, 1]
        return block_ids, split_numbers(blocks.draw(rows_columns), self.config.shares)


@dataclass(frozen=True)
class ByTile:
    """Each tile draws a split by a hash of its key, and is a block by itself."""

    config: SplittingConfig
    grid: Grid

    def assign(self, indices: Ints) -> tuple[Ints, Ints]:
        """See `SplitStrategy`."""
        seed, numbers = self.config.seed, {name: number for number, name in enumerate(self.config.shares)}
        keys = TileArray(self.grid, indices).keys
        names = (split_of(f"{key}|{seed}" if seed else key, self.config.shares) for key in keys)
        return encode_indices(indices), np.array([numbers[name] for name in names], np.int64)


class ByRegion:
    """The polygon that holds a tile's centre names its split; later polygons win. All tiles of a split are one block.

    Raises:
        InputError: The layer of regions cannot be read, or names splits that the config does not.
    """

    def __init__(self, config: SplittingConfig, grid: Grid) -> None:
        layer = read_layer(str(config.path), config.layer, config.attribute)
        names, self._grid = list(config.shares), grid
        values = [str(value) for value in np.asarray(layer.values).tolist()]
        unknown = sorted(set(values) - set(names))
        if unknown:
            raise InputError(
                f"attribute '{config.attribute}' of {layer} names splits that tfrecords.splits does not: "
                f"{', '.join(map(repr, unknown[:5]))}; it has {', '.join(names)}"
            )
        self._splits = np.array([names.index(value) for value in values])
        self._tree = shapely.STRtree(to_lonlat_geometries(layer))

    def assign(self, indices: Ints) -> tuple[Ints, Ints]:
        """See `SplitStrategy`."""
        lon, lat = tile_centres(indices, self._grid)
        points = shapely.points((lon + 180) % 360 - 180, lat)
        tiles, regions = self._tree.query(points, predicate="intersects")
        last_region = np.full(len(indices), -1, np.int64)
        np.maximum.at(last_region, tiles, regions)
        splits = np.where(last_region < 0, -1, self._splits[last_region])
        return splits, splits


def block_side(config: SplittingConfig, grid: Grid) -> float:
    """Returns the side of a block in metres; raises InputError where it is smaller than a tile."""
    try:
        return config.block_size(grid.core * metres_per_unit(grid))
    except InputError as error:
        raise InputError(f"splitting.block: {error}") from error


def split_strategy(config: SplittingConfig, grid: Grid) -> SplitStrategy:
    """Returns the strategy that the config names; raises InputError where its regions cannot be used."""
    if config.by == "region":
        return ByRegion(config, grid)
    return ByTile(config, grid) if config.by == "tile" else ByBlock(config, grid)
