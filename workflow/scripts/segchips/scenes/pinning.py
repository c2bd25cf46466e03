"""TODO: describe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from segchips.scenes.model import Scene
from segchips.scenes.query import SceneQuery


@dataclass(frozen=True)
class SceneLock:
    """The pinned scenes, for each tile the indices of those that meet it, and the query that found them."""

    query: str
    scenes: tuple[Scene, ...]
    tiles: Mapping[str, tuple[int, ...]]


def pin_scenes(query: SceneQuery, found: Sequence[Scene], keys: Sequence[str], footprints: np.ndarray) -> SceneLock:
    """Give each tile the scenes whose footprint meets its padded footprint (lon/lat polygons, one for each key)."""
    scenes = tuple(sorted(found, key=lambda scene: (scene.product, scene.acquired, scene.id)))
    tiles: dict[str, list[int]] = {key: [] for key in keys}
    if scenes:
        outlines = shapely.make_valid(shapely.from_wkb([scene.footprint for scene in scenes]))
        order, hits = shapely.STRtree(footprints).query(outlines, predicate="intersects")
        for scene, tile in zip(order.tolist(), hits.tolist(), strict=True):
            tiles[keys[tile]].append(scene)
    return SceneLock(query.text, scenes, {key: tuple(indices) for key, indices in tiles.items()})


def merge_pins(old: SceneLock, new: SceneLock) -> SceneLock:
    """`new` with the scenes of every tile that `old` had pinned put back."""
    merged = {(scene.product, scene.id): scene for lock in (new, old) for scene in lock.scenes}
    chosen = {key: _members(old if key in old.tiles else new, key) for key in new.tiles}
    scenes = sorted(merged.values(), key=lambda scene: (scene.product, scene.acquired, scene.id))
    position = {(scene.product, scene.id): index for index, scene in enumerate(scenes)}
    tiles = {key: tuple(position[scene.product, scene.id] for scene in members) for key, members in chosen.items()}
    return SceneLock(new.query, tuple(scenes), tiles)


def difference(old: SceneLock, new: SceneLock) -> list[str]:
    """What a changed lock means: the scenes that came, went or changed, and how many tiles they touch."""
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
    fresh, gone = len(new.tiles.keys() - old.tiles.keys()), len(old.tiles.keys() - new.tiles.keys())
    return [
        *lines,
        f"{changed} of {len(new.tiles)} tiles have other scenes than before; {fresh} tiles are new, {gone} gone",
    ]


def _used(lock: SceneLock) -> list[Scene]:
    return [lock.scenes[index] for index in sorted({index for indices in lock.tiles.values() for index in indices})]


def _members(lock: SceneLock, key: str) -> list[Scene]:
    return [lock.scenes[index] for index in lock.tiles[key]]


def _pins(lock: SceneLock, key: str) -> list[str]:
    return [scene.pin for scene in _members(lock, key)]
