"""Which split and shard each tile belongs to, and which tiles a guard drops.

A tile's split follows from its place alone, and so does whether a guard drops it: both look at the tiles there could be
around it, so that neither changes when the area grows. Only a block that was moved to give a split what it lacked is
remembered by what was placed so far.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import shapely

from segchips.blocks import Blocks, splits_at
from segchips.config import Dataset, SplittingConfig
from segchips.description import DROPPED, PLANNED, shard_of, split_of
from segchips.errors import InputError
from segchips.grid import Grid, Tile
from segchips.mending import Ground, mend
from segchips.neighbours import around, centres, close, decoded, encoded
from segchips.tiles import Planned, aoi_layers, lonlat, places_of, tiles_of, write_manifest
from segchips.vectors import read_layer

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Scheme(Protocol):
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
        found = blocks.at(*centres(places, self.grid))
        return (found[:, 0] << 32) + found[:, 1], splits_at(blocks.draw(found), self.config.shares)


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
        return encoded(places), np.array([numbers[name] for name in names], np.int64)


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
        self._tree = shapely.STRtree(lonlat(layer))

    def at(self, places: Ints) -> tuple[Ints, Ints]:
        """Unit and split of each place."""
        lon, lat = centres(places, self._grid)
        points = shapely.points((lon + 180) % 360 - 180, lat)
        which, regions = self._tree.query(points, predicate="intersects")
        last = np.full(len(places), -1, np.int64)
        np.maximum.at(last, which, regions)
        found = np.where(last < 0, -1, self._splits[last])
        return found, found


def scheme_of(config: SplittingConfig, grid: Grid) -> Scheme:
    """The way to split that the config names; InputError where its regions cannot be used."""
    if config.by == "region":
        return ByRegion(config, grid)
    return ByTile(config, grid) if config.by == "tile" else ByBlock(config, grid)


def place(
    tiles: Sequence[Tile],
    config: SplittingConfig,
    shards: int,
    classes: Sequence[Sequence[int]],
    deselected: Mapping[str, str],
    old: Sequence[Planned] = (),
) -> tuple[list[Planned], list[str]]:
    """Each tile's place, and lines that tell what was moved or is lacking.

    `classes` are those of the features that meet each tile, `deselected` gives reasons by key, `old` is what the same
    config placed so far, so that moved blocks stay where they are.
    """
    ground = survey(tiles, config, classes, deselected, {row.key: row for row in old})
    names = list(config.shares)
    notes = list(mend(ground, config)) if config.cover else []
    splits, rivals = ground.splits(), ground.rivals()
    rows = []
    for number, (tile, split, rival) in enumerate(zip(tiles, splits.tolist(), rivals.tolist(), strict=True)):
        name = names[split] if split >= 0 else ""
        reason = _reason(config, deselected.get(tile.key, ""), name, names[rival] if rival >= 0 else "")
        shard, state = shard_of(tile.key, shards), DROPPED if reason else PLANNED
        rows.append(Planned(tile.key, name, shard, state, reason, int(ground.units[number])))
    dropped = sum(row.state == DROPPED for row in rows)
    count = f"{len(rows)} tiles: {len(rows) - dropped} planned, {dropped} dropped"
    return rows, [*notes, *_lacking(ground, config), count]


def write_tiles(dataset: Dataset, path: Path) -> list[str]:
    """Write the manifest of a dataset's tiles; returns lines that tell what was read and made."""
    layers = aoi_layers(dataset.tiles, dataset.labels)
    tiles = tiles_of(dataset.tiles, layers)
    alone = replace(dataset.splitting, cover=False)
    rows, _ = place(tiles, alone, dataset.tfrecords.shards, [()] * len(tiles), {})
    write_manifest(path, tiles, dataset.tfrecords, rows)
    read = [
        f"{layer}: {layer.repaired} invalid polygons repaired, {layer.dropped} features without polygon left out"
        for layer in layers
    ]
    return [*read, f"{len(tiles)} tiles"]


def survey(
    tiles: Sequence[Tile],
    config: SplittingConfig,
    classes: Sequence[Sequence[int]],
    deselected: Mapping[str, str],
    pinned: Mapping[str, Planned],
) -> Ground:
    """What the splits are made from: units with their splits, and which of them are too close to which tile."""
    places, scheme = places_of(tiles), scheme_of(config, tiles[0].grid)
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
    return Ground(units, known, owners, others[:, 0], present, wanted, settled, tuple(config.shares.values()))


def _conflicts(places: Ints, units: Ints, scheme: Scheme, config: SplittingConfig, grid: Grid) -> tuple[Ints, Ints]:
    """Each tile that comes too close to another unit, and that unit with its split (n, 2)."""
    if config.allow_overlap:
        return np.empty(0, np.int64), np.empty((0, 2), np.int64)
    pool = around(places, grid, config.guard)
    pool_units, pool_splits = scheme.at(decoded(pool))
    found = [np.empty((0, 3), np.int64)]
    for owners, codes in close(places, grid, config.guard):
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


def _lacking(ground: Ground, config: SplittingConfig) -> Iterator[str]:
    names = list(config.shares)
    for split, value in ground.lacking():
        if value == 256:
            count = len(set(ground.units.tolist()))
            advice = f": {len(ground.units)} tiles lie in {count} blocks of {config.block:g} m; take smaller ones"
            yield f"split {names[split]} has no tile{advice if config.by == 'block' else ''}"
        else:
            yield f"split {names[split]} has no tile that a feature of class {value} meets"
