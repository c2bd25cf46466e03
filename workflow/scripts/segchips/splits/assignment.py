"""Which split and shard each tile belongs to, and which tiles a guard drops.

A tile's split follows from its place alone, and so does whether a guard drops it: both look at the tiles there could be
around it, so that neither changes when the area grows. Only a block that was moved to give a split what it lacked is
remembered by what was placed so far.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from segchips.arrays import Ints
from segchips.config.model import Dataset, SplittingConfig
from segchips.grids.indices import decode_indices, tile_indices
from segchips.grids.neighbours import neighbour_pairs, neighbourhood
from segchips.grids.tile import Grid, Tile
from segchips.splits.rebalancing import rebalance
from segchips.splits.split_assignment import SplitAssignment
from segchips.splits.strategies import SplitStrategy, split_strategy
from segchips.tiles.area import aoi_layers, find_tiles
from segchips.tiles.assignment import DROPPED, PLANNED, TileAssignment, shard_of
from segchips.tiles.manifest import write_manifest


def assign_tiles(
    tiles: Sequence[Tile],
    config: SplittingConfig,
    shards: int,
    classes: Sequence[Sequence[int]],
    deselected: Mapping[str, str],
    old: Sequence[TileAssignment] = (),
) -> tuple[list[TileAssignment], list[str]]:
    """Each tile's place, and lines that tell what was moved or is lacking.

    `classes` are those of the features that meet each tile, `deselected` gives reasons by key, `old` is what the same
    config placed so far, so that moved blocks stay where they are.
    """
    ground = survey_ground(tiles, config, classes, deselected, {row.key: row for row in old})
    names = list(config.shares)
    notes = list(rebalance(ground, config)) if config.cover else []
    splits, rivals = ground.splits(), ground.rivals()
    rows = []
    for number, (tile, split, rival) in enumerate(zip(tiles, splits.tolist(), rivals.tolist(), strict=True)):
        name = names[split] if split >= 0 else ""
        reason = _reason(config, deselected.get(tile.key, ""), name, names[rival] if rival >= 0 else "")
        shard, state = shard_of(tile.key, shards), DROPPED if reason else PLANNED
        rows.append(TileAssignment(tile.key, name, shard, state, reason, int(ground.units[number])))
    dropped = sum(row.state == DROPPED for row in rows)
    count = f"{len(rows)} tiles: {len(rows) - dropped} planned, {dropped} dropped"
    return rows, [*notes, *_lacking(ground, config), count]


def write_tiles(dataset: Dataset, path: Path) -> list[str]:
    """Write the manifest of a dataset's tiles; returns lines that tell what was read and made."""
    layers = aoi_layers(dataset.tiles, dataset.labels)
    tiles = find_tiles(dataset.tiles, layers)
    alone = replace(dataset.splitting, cover=False)
    rows, _ = assign_tiles(tiles, alone, dataset.tfrecords.shards, [()] * len(tiles), {})
    write_manifest(path, tiles, dataset.tfrecords, rows)
    read = [
        f"{layer}: {layer.repaired} invalid polygons repaired, {layer.dropped} features without polygon left out"
        for layer in layers
    ]
    return [*read, f"{len(tiles)} tiles"]


def survey_ground(
    tiles: Sequence[Tile],
    config: SplittingConfig,
    classes: Sequence[Sequence[int]],
    deselected: Mapping[str, str],
    pinned: Mapping[str, TileAssignment],
) -> SplitAssignment:
    """What the splits are made from: units with their splits, and which of them are too close to which tile."""
    places, scheme = tile_indices(tiles), split_strategy(config, tiles[0].grid)
    units, splits = scheme.at(places)
    owners, others = _conflicts(places, units, scheme, config, tiles[0].grid)
    known = dict(zip(units.tolist(), splits.tolist(), strict=True)) | dict(zip(*others.T.tolist(), strict=True))
    names = list(config.shares)
    held = [row for tile in tiles if (row := pinned.get(tile.key)) and row.split]
    known |= {row.unit: names.index(row.split) for row in held}
    present = np.zeros((len(tiles), 257), bool)
    present[:, 256] = True
    for number, values in enumerate(classes):
        present[number, values] = True
    wanted = np.array([tile.key not in deselected for tile in tiles])
    settled = np.array([tile.key in pinned for tile in tiles])
    return SplitAssignment(units, known, owners, others[:, 0], present, wanted, settled, tuple(config.shares.values()))


def _conflicts(
    places: Ints, units: Ints, scheme: SplitStrategy, config: SplittingConfig, grid: Grid
) -> tuple[Ints, Ints]:
    """Each tile that comes too close to another unit, and that unit with its split (n, 2)."""
    if config.allow_overlap:
        return np.empty(0, np.int64), np.empty((0, 2), np.int64)
    pool = neighbourhood(places, grid, config.guard)
    pool_units, pool_splits = scheme.at(decode_indices(pool))
    found = [np.empty((0, 3), np.int64)]
    for owners, codes in neighbour_pairs(places, grid, config.guard):
        at = np.minimum(np.searchsorted(pool, codes), len(pool) - 1)
        differ = (pool[at] == codes) & (pool_units[at] != units[owners]) & (pool_splits[at] >= 0)
        at = at[differ]
        found.append(np.column_stack([owners[differ], pool_units[at], pool_splits[at]]))
    distinct = np.unique(np.concatenate(found), axis=0)
    return distinct[:, 0], distinct[:, 1:]


def _reason(config: SplittingConfig, deselected: str, split: str, rival: str) -> str:
    if deselected:
        return deselected
    if not split:
        return "its middle lies in no region that names a split"
    if rival:
        near = f"comes nearer than {config.guard:g} m to" if config.guard else "shares ground with"
        return f"guard: it {near} split {rival}"
    return ""


def _lacking(ground: SplitAssignment, config: SplittingConfig) -> Iterator[str]:
    names = list(config.shares)
    for split, value in ground.lacking():
        if value == 256:
            count = len(set(ground.units.tolist()))
            advice = f": {len(ground.units)} tiles lie in {count} blocks of {config.block:g} m; take smaller ones"
            yield f"split {names[split]} has no tile{advice if config.by == 'block' else ''}"
        else:
            yield f"split {names[split]} has no tile that a feature of class {value} meets"
