"""Scene locks: which scenes each tile is made from, and how two locks merge and differ."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from segchips.scenes.model import Scene
from segchips.scenes.query import SceneQuery


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
    tiles: Mapping[str, tuple[int, ...]]


def pin_scenes(query: SceneQuery, scenes: Sequence[Scene], keys: Sequence[str], footprints: np.ndarray) -> SceneLock:
    """Pin each tile to the scenes whose footprint meets that of the tile.

    Args:
        query: The query that found the scenes.
        scenes: The scenes found, in any order.
        keys: Tile keys.
        footprints: Each tile's padded footprint, a polygon in longitude and latitude.
    """
    ordered = _in_lock_order(scenes)
    tiles: dict[str, list[int]] = {key: [] for key in keys}
    if ordered:
        outlines = shapely.make_valid(shapely.from_wkb([scene.footprint for scene in ordered]))
        scene_indices, tile_indices = shapely.STRtree(footprints).query(outlines, predicate="intersects")
        for scene, tile in zip(scene_indices.tolist(), tile_indices.tolist(), strict=True):
            tiles[keys[tile]].append(scene)
    return SceneLock(query.text, ordered, {key: tuple(indices) for key, indices in tiles.items()})


def merge_pins(old: SceneLock, new: SceneLock) -> SceneLock:
    """Return `new` with the scenes of every tile that `old` pins put back."""
    by_name = {(scene.product, scene.id): scene for lock in (new, old) for scene in lock.scenes}
    pinned = {key: _scenes_of(old if key in old.tiles else new, key) for key in new.tiles}
    scenes = _in_lock_order(by_name.values())
    position = {(scene.product, scene.id): index for index, scene in enumerate(scenes)}
    tiles = {key: tuple(position[scene.product, scene.id] for scene in members) for key, members in pinned.items()}
    return SceneLock(new.query, scenes, tiles)


def combine_pins(query: SceneQuery, locks: Sequence[SceneLock], keys: Sequence[str]) -> SceneLock:
    """Pin each tile to the scenes that any of the locks has for it."""
    by_name = {(scene.product, scene.id): scene for lock in reversed(locks) for scene in lock.scenes}
    scenes = _in_lock_order(by_name.values())
    position = {(scene.product, scene.id): index for index, scene in enumerate(scenes)}
    tiles = {}
    for key in keys:
        members = {position[scene.product, scene.id] for lock in locks for scene in _scenes_of(lock, key)}
        tiles[key] = tuple(sorted(members))
    return SceneLock(query.text, scenes, tiles)


def keep_periods(lock: SceneLock, periods: Sequence[tuple[str, str]]) -> SceneLock:
    """Leave out scenes that were not acquired in one of the periods, given by their first and last day."""
    kept = {index for index, scene in enumerate(lock.scenes) if is_within(scene, periods)}
    tiles = {key: tuple(index for index in indices if index in kept) for key, indices in lock.tiles.items()}
    return SceneLock(lock.query, lock.scenes, tiles)


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
    changed = sum(_pins(old, key) != _pins(new, key) for key in old.tiles.keys() & new.tiles.keys())
    added, removed = len(new.tiles.keys() - old.tiles.keys()), len(old.tiles.keys() - new.tiles.keys())
    return [
        *lines,
        f"{changed} of {len(new.tiles)} tiles have other scenes than before; {added} tiles are new, {removed} gone",
    ]


def _in_lock_order(scenes: Iterable[Scene]) -> tuple[Scene, ...]:
    return tuple(sorted(scenes, key=lambda scene: (scene.product, scene.acquired, scene.id)))


def _used(lock: SceneLock) -> list[Scene]:
    return [lock.scenes[index] for index in sorted({index for indices in lock.tiles.values() for index in indices})]


def _scenes_of(lock: SceneLock, key: str) -> list[Scene]:
    return [lock.scenes[index] for index in lock.tiles[key]]


def _pins(lock: SceneLock, key: str) -> list[str]:
    return [scene.pin for scene in _scenes_of(lock, key)]
