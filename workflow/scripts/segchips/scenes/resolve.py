"""The scenes step: search the catalogue, and pin each tile to the scenes found."""

from collections.abc import Iterator
from pathlib import Path

from segchips.config.model import Dataset
from segchips.errors import InputError
from segchips.grids.outlines import footprints
from segchips.grids.tile import Tile
from segchips.scenes.catalogue import open_catalogue
from segchips.scenes.lock import read_lock, write_lock
from segchips.scenes.pinning import SceneLock, describe_changes, merge_pins, pin_scenes
from segchips.scenes.query import SceneQuery, require_cloud_cover
from segchips.tiles.manifest import read_manifest


def resolve(dataset: Dataset, manifest: Path, path: Path, refresh: bool) -> Iterator[str]:
    """Write the scene lock of a dataset.

    A tile that is already pinned for the same query keeps its scenes, unless `refresh`.

    Args:
        dataset: The dataset's config.
        manifest: The tile manifest.
        path: The lock file to write, and to read where it exists.
        refresh: Search again for all tiles.

    Yields:
        Lines for the log: skipped catalogue items, a summary, and the changes to an existing lock.

    Raises:
        InputError: No tile has a scene, the catalogue cannot be used, or the existing lock is damaged.
    """
    keys = [row.key for row in read_manifest(manifest)]
    query = SceneQuery.of(dataset.imagery)
    old = read_lock(path) if path.exists() else None
    pinned = old if old and not refresh and old.query == query.text else None
    if pinned and not set(keys) - pinned.tiles.keys():
        new = SceneLock(pinned.query, pinned.scenes, {key: pinned.tiles[key] for key in keys})
    else:
        new, skipped_items = _search(dataset, query, keys)
        yield from skipped_items
        new = merge_pins(pinned, new) if pinned else new
    if not any(new.tiles.values()):
        raise InputError(_no_scenes_message(dataset, keys))
    write_lock(path, new)
    used = len({index for indices in new.tiles.values() for index in indices})
    yield f"{used} scenes for {sum(map(bool, new.tiles.values()))} of {len(keys)} tiles"
    if old:
        yield from describe_changes(old, new)


def _search(dataset: Dataset, query: SceneQuery, keys: list[str]) -> tuple[SceneLock, list[str]]:
    """Search for the scenes of all tiles; returns them pinned, and a line for each skipped catalogue item."""
    outlines, catalogue = footprints([Tile.from_key(key) for key in keys]), open_catalogue(dataset.imagery)
    lock = pin_scenes(query, catalogue.search(outlines), keys, outlines)
    if dataset.imagery.composite == "least_cloud":
        require_cloud_cover(lock.scenes, [product.id for product in dataset.imagery.products])
    return lock, catalogue.skipped_items


def _no_scenes_message(dataset: Dataset, keys: list[str]) -> str:
    imagery = dataset.imagery
    limit = "" if imagery.max_cloud is None else f" with a cloud fraction below {imagery.max_cloud}"
    products = ", ".join(product.id for product in imagery.products)
    period = f" {'from ' if imagery.start and imagery.end else ''}{imagery.period}"
    return (
        f"datasets.{dataset.name}: no scene of {products}{period}{limit} "
        f"meets any of the {len(keys)} tiles; "
        "check that the AOI lies within the catalogue's scenes, and the dates and the cloud limit"
    )
