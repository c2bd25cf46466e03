"""Scene locks: which scenes each tile is made from, and how two locks merge and differ."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from segchips.arrays import Ints
from segchips.grids.tile_array import TileKeys, TileMapping
from segchips.scenes.model import Scene
from segchips.scenes.query import SceneQuery

Indices = tuple[int, ...]
"""The indices of the scenes of a tile, ascending."""


@dataclass(frozen=True, eq=False)
class PinnedTiles(TileMapping[Indices]):
    """For each tile key, the indices of the scenes that meet the tile; tiles with the same scenes share them.

    Attributes:
        tiles: The keys of the tiles (n).
        sets: The distinct sets of scenes.
        numbers: The number of the set of each tile (n).
    """

    tiles: TileKeys
    sets: tuple[Indices, ...]
    numbers: Ints

    @classmethod
    def of(cls, tiles: Mapping[str, Sequence[int]]) -> "PinnedTiles":
        """The same, from a mapping."""
        if isinstance(tiles, PinnedTiles):
            return tiles
        return cls.from_sets(TileKeys(tiles), [tuple(indices) for indices in tiles.values()], np.arange(len(tiles)))

    @classmethod
    def from_sets(cls, tiles: TileKeys, sets: Sequence[Indices], numbers: Ints) -> "PinnedTiles":
        """The same, from sets that may be equal or have no tile."""
        used, positions = np.unique(numbers, return_inverse=True)
        distinct: dict[Indices, int] = {}
        merged = [distinct.setdefault(sets[number], len(distinct)) for number in used.tolist()]
        return cls(tiles, tuple(distinct), np.array(merged, np.int64)[positions])

    @classmethod
    def from_scenes(cls, tiles: TileKeys, rows_by_scene: Iterable[Ints]) -> "PinnedTiles":
        """The same, from the rows of the tiles that each scene meets, by the index of the scene.

        Tiles begin with one set, which has no scene. Each scene divides the sets of its tiles.
        """
        numbers, sets = np.zeros(len(tiles), np.int64), [(0, -1)]
        for scene, rows in enumerate(rows_by_scene):
            former, positions = np.unique(numbers[rows], return_inverse=True)
            numbers[rows] = len(sets) + positions
            sets += [(number, scene) for number in former.tolist()]

        def members(number: int) -> Indices:
            scenes = list[int]()
            while number:
                number, scene = sets[number]
                scenes.append(scene)
            return tuple(reversed(scenes))

        used, positions = np.unique(numbers, return_inverse=True)
        return cls(tiles, tuple(map(members, used.tolist())), positions)

    def rows_by_scene(self) -> dict[int, Ints]:
        """The rows of the tiles of each scene in use, by the index of the scene."""
        order = np.argsort(self.numbers, kind="stable")
        ends = np.cumsum(np.bincount(self.numbers, minlength=len(self.sets)))
        rows_by_set = np.split(order, ends[:-1]) if len(ends) else []
        found: dict[int, list[Ints]] = {}
        for indices, rows in zip(self.sets, rows_by_set, strict=True):
            for index in indices:
                found.setdefault(index, []).append(rows)
        return {index: np.sort(np.concatenate(parts)) for index, parts in sorted(found.items())}

    def with_sets(self, sets: Sequence[Indices]) -> "PinnedTiles":
        """The same tiles with another set in place of each."""
        return PinnedTiles.from_sets(self.tiles, sets, self.numbers)

    def counts(self) -> Ints:
        """The number of tiles of each set."""
        return np.bincount(self.numbers, minlength=len(self.sets))

    def set_number(self, key: str) -> int:
        """The number of the set of a tile; KeyError where there is no such tile."""
        return int(self.numbers[self.tiles.row(key)])

    def __getitem__(self, key: str) -> Indices:
        return self.sets[self.set_number(key)]


@dataclass(frozen=True)
class SceneLock:
    """The scenes that each tile is pinned to.

    Attributes:
        query: The catalogue query that found the scenes, as JSON.
        scenes: All pinned scenes.
        tiles: For each tile key, the indices in `scenes` of those that meet the tile.
    """

    query: str
    scenes: tuple[Scene, ...]
    tiles: PinnedTiles

    @classmethod
    def of(cls, query: str, scenes: Sequence[Scene], tiles: Mapping[str, Sequence[int]]) -> "SceneLock":
        """The lock of tiles in a mapping."""
        return cls(query, tuple(scenes), PinnedTiles.of(tiles))

    @property
    def used(self) -> list[int]:
        """The indices of the scenes that any tile is pinned to, ascending."""
        return sorted({index for indices in self.tiles.sets for index in indices})


def pin_scenes(query: SceneQuery, scenes: Sequence[Scene], keys: Sequence[str], footprints: np.ndarray) -> SceneLock:
    """Pin each tile to the scenes whose footprint meets that of the tile.

    Args:
        query: The query that found the scenes.
        scenes: The scenes found, in any order.
        keys: Tile keys.
        footprints: Each tile's padded footprint, a polygon in longitude and latitude.
    """
    ordered, tiles = _in_lock_order(scenes), keys if isinstance(keys, TileKeys) else TileKeys(keys)
    rows_by_scene: Iterable[Ints] = ()
    if ordered:
        outlines = shapely.make_valid(shapely.from_wkb([scene.footprint for scene in ordered]))
        tree = shapely.STRtree(footprints)
        rows_by_scene = (tree.query(outline, predicate="intersects") for outline in outlines)
    return SceneLock(query.text, ordered, PinnedTiles.from_scenes(tiles, rows_by_scene))


def merge_pins(old: SceneLock, new: SceneLock) -> SceneLock:
    """Return `new` with the scenes of every tile that `old` pins put back."""
    scenes, (kept, fresh) = _join([old, new])
    rows = old.tiles.tiles.rows(new.tiles.tiles)
    numbers = np.where(rows < 0, len(kept) + new.tiles.numbers, old.tiles.numbers[rows])
    return SceneLock(new.query, scenes, PinnedTiles.from_sets(new.tiles.tiles, [*kept, *fresh], numbers))


def combine_pins(query: SceneQuery, locks: Sequence[SceneLock], keys: Sequence[str]) -> SceneLock:
    """Pin each tile to the scenes that any of the locks has for it."""
    tiles = keys if isinstance(keys, TileKeys) else TileKeys(keys)
    scenes, sets_by_lock = _join(locks)
    columns = [lock.tiles.numbers[lock.tiles.tiles.rows(tiles)] for lock in locks]
    combinations, numbers = np.unique(np.column_stack(columns), axis=0, return_inverse=True)
    sets = [
        tuple(sorted({index for sets, number in zip(sets_by_lock, row, strict=True) for index in sets[number]}))
        for row in combinations.tolist()
    ]
    return SceneLock(query.text, scenes, PinnedTiles.from_sets(tiles, sets, numbers.ravel()))


def _join(locks: Sequence[SceneLock]) -> tuple[tuple[Scene, ...], list[list[Indices]]]:
    """The scenes of several locks, the first lock's where they have the same, and with these the sets of each lock."""
    by_name = {(scene.product, scene.id): scene for lock in reversed(locks) for scene in lock.scenes}
    scenes = _in_lock_order(by_name.values())
    place = {(scene.product, scene.id): index for index, scene in enumerate(scenes)}
    sets_by_lock = []
    for lock in locks:
        places = [place[scene.product, scene.id] for scene in lock.scenes]
        sets_by_lock.append([tuple(places[index] for index in indices) for indices in lock.tiles.sets])
    return scenes, sets_by_lock


def keep_periods(lock: SceneLock, periods: Sequence[tuple[str, str]]) -> SceneLock:
    """Leave out scenes that were not acquired in one of the periods, given by their first and last day."""
    kept = {index for index, scene in enumerate(lock.scenes) if is_within(scene, periods)}
    sets = [tuple(index for index in indices if index in kept) for indices in lock.tiles.sets]
    return SceneLock(lock.query, lock.scenes, lock.tiles.with_sets(sets))


def is_within(scene: Scene, periods: Sequence[tuple[str, str]]) -> bool:
    """Return whether a scene was acquired in one of the periods, given by their first and last day (ISO 8601)."""
    day = scene.acquired.date().isoformat()
    return any(first <= day <= last for first, last in periods)


def describe_changes(old: SceneLock, new: SceneLock) -> list[str]:
    """Describe a changed lock: the scenes added, removed or changed, and how many tiles they touch.

    Returns:
        One line for each scene, and a summary.
    """
    before = {(scene.product, scene.id): scene.pin for scene in _used(old)}
    after = {(scene.product, scene.id): scene.pin for scene in _used(new)}
    lines = [f"+ {'/'.join(key)}" for key in sorted(after.keys() - before.keys())]
    lines += [f"- {'/'.join(key)}" for key in sorted(before.keys() - after.keys())]
    lines += [
        f"~ {'/'.join(key)} (assets changed)"
        for key in sorted(before.keys() & after.keys())
        if before[key] != after[key]
    ]
    rows = old.tiles.tiles.rows(new.tiles.tiles)
    shared = rows >= 0
    both = np.column_stack([old.tiles.numbers[rows[shared]], new.tiles.numbers[shared]])
    pairs, counts = np.unique(both, axis=0, return_counts=True)
    pins = [[[lock.scenes[index].pin for index in indices] for indices in lock.tiles.sets] for lock in (old, new)]
    changed = sum(
        count for (one, two), count in zip(pairs.tolist(), counts.tolist(), strict=True) if pins[0][one] != pins[1][two]
    )
    added, removed = len(new.tiles) - len(both), len(old.tiles) - len(both)
    return [
        *lines,
        f"{changed} of {len(new.tiles)} tiles have other scenes than before; {added} tiles are new, {removed} gone",
    ]


def _in_lock_order(scenes: Iterable[Scene]) -> tuple[Scene, ...]:
    return tuple(sorted(scenes, key=lambda scene: (scene.product, scene.acquired, scene.id)))


def _used(lock: SceneLock) -> list[Scene]:
    return [lock.scenes[index] for index in lock.used]
