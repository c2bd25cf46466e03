"""Tiles and their assignments to splits and shards, as tests need them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segchips.config.model import Dataset
from segchips.config.splitting import SplittingConfig
from segchips.grids.tile import Grid, Tile
from segchips.splits.revision import revise_splits
from segchips.tiles.assignment import TileAssignment, shard_of, split_of
from segchips.tiles.manifest import write_manifest
from segchips.tiles.split_assignment import split_by_location
from support.areas import GRID
from support.datasets import make_dataset

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


def split_config(**keys: Any) -> SplittingConfig:
    """The splitting of a config, by block unless the keys say otherwise."""
    return make_dataset(splitting={"by": "block", **keys}).splitting


def tile_rectangle(
    columns: int, rows: int, grid: Grid = GRID, zone: int = 33, path: int = -334, row: int = 8903
) -> list[Tile]:
    """Tiles from a south-west corner, row by row."""
    return [Tile(grid, zone, path + i, row + j) for j in range(rows) for i in range(columns)]


def assign(
    tiles: Sequence[Tile],
    classes: Sequence[Sequence[int]] | None = None,
    former: Sequence[TileAssignment] = (),
    **keys: Any,
) -> list[TileAssignment]:
    """The result of the tiles and splits steps, with 4 shards, where a former run may have moved blocks."""
    splitting = split_config(**keys)
    rows = split_by_location(tiles, splitting, 4)
    return revise_splits(rows, splitting, 4, classes or [()] * len(tiles), {}, former)[0]


def assign_by_key(tiles: Sequence[Tile]) -> list[TileAssignment]:
    """Each tile's assignment by a hash of its key, by `SHARES` and 4 shards."""
    return [TileAssignment(tile.key, split_of(tile.key, SHARES), shard_of(tile.key, 4)) for tile in tiles]


def write_dataset_manifest(path: Path, tiles: Sequence[Tile], dataset: Dataset) -> None:
    """Writes the manifest that the tiles step writes for these tiles."""
    write_manifest(path, split_by_location(tiles, dataset.splitting, dataset.tfrecords.shards))
