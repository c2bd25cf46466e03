"""The scenes step: ask the catalogue, and pin what it answers."""

from collections.abc import Iterator
from pathlib import Path

from segchips.config.model import Dataset
from segchips.errors import InputError
from segchips.grids.outlines import footprints
from segchips.grids.tile import Tile
from segchips.scenes.catalogue import open_catalogue
from segchips.scenes.lock import read_lock, write_lock
from segchips.scenes.pinning import SceneLock, difference, merge_pins, pin_scenes
from segchips.scenes.query import SceneQuery
from segchips.tiles.manifest import read_manifest


def resolve(dataset: Dataset, manifest: Path, path: Path, anew: bool) -> Iterator[str]:
    """Write the lock at `path` and yield lines that tell what was left out and what changed.

    InputError where no tile has a scene. Tiles that are pinned for the same query keep their scenes unless `anew`.
    """
    keys = [row.key for row in read_manifest(manifest)]
    query = SceneQuery.of(dataset.imagery)
    old = read_lock(path) if path.exists() else None
    pinned = old if old and not anew and old.query == query.text else None
    left_out: list[str] = []
    if pinned and not set(keys) - pinned.tiles.keys():
        new = _pinned(pinned, keys)
    else:
        new = _found(dataset, query, keys, pinned, left_out)
    yield from left_out
    if not any(new.tiles.values()):
        raise InputError(_nothing(dataset, keys))
    write_lock(path, new)
    used = len({index for indices in new.tiles.values() for index in indices})
    yield f"{used} scenes for {sum(map(bool, new.tiles.values()))} of {len(keys)} tiles"
    if old:
        yield from difference(old, new)


def _pinned(lock: SceneLock, keys: list[str]) -> SceneLock:
    return SceneLock(lock.query, lock.scenes, {key: lock.tiles[key] for key in keys})


def _found(
    dataset: Dataset, query: SceneQuery, keys: list[str], pinned: SceneLock | None, left_out: list[str]
) -> SceneLock:
    outlines, catalogue = footprints([Tile.from_key(key) for key in keys]), open_catalogue(dataset.imagery)
    found = pin_scenes(query, catalogue.search(outlines), keys, outlines)
    left_out += catalogue.left_out
    return merge_pins(pinned, found) if pinned else found


def _nothing(dataset: Dataset, keys: list[str]) -> str:
    imagery = dataset.imagery
    limit = "" if imagery.max_cloud is None else f" with a cloud fraction below {imagery.max_cloud}"
    wanted = ", ".join(product.id for product in imagery.products)
    return (
        f"datasets.{dataset.name}: no scene of {wanted} from {imagery.start} to {imagery.end}{limit} "
        f"meets any of the {len(keys)} tiles; "
        "check that the AOI lies within the catalogue's scenes, and the dates and the cloud limit"
    )
