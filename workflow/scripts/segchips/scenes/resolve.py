"""The scenes step: search the catalogue, and pin each tile to the scenes found."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from segchips.config.imagery import ImageryConfig
from segchips.config.model import Dataset
from segchips.errors import InputError
from segchips.grids.outlines import footprints
from segchips.grids.tile_array import TileArray, TileKeys
from segchips.scenes.catalogue import open_catalogue
from segchips.scenes.lock import read_locks, write_locks
from segchips.scenes.pinning import (
    PinnedTiles,
    SceneLock,
    combine_pins,
    describe_changes,
    is_within,
    keep_periods,
    merge_pins,
    pin_scenes,
)
from segchips.scenes.product_collections import searched_imagery, unite_collections
from segchips.scenes.query import SceneQuery, require_cloud_cover
from segchips.scenes.usable import unknown_exclusions, usable_scenes
from segchips.tiles.manifest import read_keys

Completion = Callable[[ImageryConfig, SceneLock], SceneLock]


def resolve(
    dataset: Dataset, manifest: Path, path: Path, refresh: bool, complete: Completion | None = None
) -> Iterator[str]:
    """Write the scene locks of a dataset's layers.

    A tile that is already pinned for the same query keeps its scenes, unless `refresh`.

    Args:
        dataset: The dataset's config.
        manifest: The tile manifest.
        path: The lock file to write, and to read where it exists.
        refresh: Search again for all tiles.
        complete: Adds what only the files of scenes declare to a layer's lock.

    Yields:
        Lines for the log: skipped catalogue items, a summary, and the changes to an existing lock.

    Raises:
        InputError: No tile has a scene, no scene has the wanted bands, the catalogue cannot be used, or the existing
            lock is damaged.
    """
    keys = read_keys(manifest)
    former = read_locks(path) if path.exists() else {}
    locks: dict[str, SceneLock] = {}
    lines: list[str] = []
    for layer, imagery in dataset.imagery.layers.items():
        old, title = former.get(layer), f"{layer}: " if layer else ""
        locks[layer], layer_lines = _resolve_layer(imagery, keys, None if refresh else old)
        if not locks[layer].used:
            place = f"any of the {len(keys)} tiles"
            skipped = [line for line in layer_lines if "left out" in line]
            raise InputError(f"datasets.{dataset.name}: {title}{no_scenes_message(imagery, place, skipped)}")
        try:
            layer_lines += usable_scenes(imagery, locks[layer]).lines
        except InputError as error:
            key = f"imagery.layers.{layer}" if layer else "imagery"
            raise InputError(f"datasets.{dataset.name}: {key}.products: {error}") from error
        layer_lines += unknown_exclusions(imagery, locks[layer])
        locks[layer] = complete(imagery, locks[layer]) if complete else locks[layer]
        layer_lines += describe_changes(old, locks[layer]) if old else []
        lines += [f"{title}{line}" for line in layer_lines]
    write_locks(path, locks)
    yield from lines


def _resolve_layer(imagery: ImageryConfig, keys: TileKeys, old: SceneLock | None) -> tuple[SceneLock, list[str]]:
    """The lock of a layer, and lines for the log: skipped catalogue items and a summary."""
    query, lines = SceneQuery.of(imagery), list[str]()
    pinned = old if old and old.query == query.text and imagery.source != "files" else None
    rows = old.tiles.tiles.rows(keys) if old else np.full(len(keys), -1)
    if pinned and (rows >= 0).all():
        tiles = PinnedTiles.from_sets(keys, pinned.tiles.sets, pinned.tiles.numbers[rows])
        new = SceneLock(pinned.query, pinned.scenes, tiles)
    elif old and (rows >= 0).all() and (kept := query.shared_periods(old.query)):
        locks = [keep_periods(old, kept)]
        for first, last in imagery.steps:
            if (str(first), str(last)) not in kept:
                one = replace(imagery, periods=((first, last),), start=first, end=last)
                lock, skipped = _search(one, SceneQuery.of(one), keys)
                locks.append(lock)
                lines += skipped
        new = combine_pins(query, locks, keys)
    else:
        new, lines = _search(imagery, query, keys)
        new = merge_pins(pinned, new) if pinned else new
    counts = zip(new.tiles.sets, new.tiles.counts().tolist(), strict=True)
    with_scenes = sum(count for indices, count in counts if indices)
    return new, [*lines, f"{len(new.used)} scenes for {with_scenes} of {len(keys)} tiles"]


def _search(imagery: ImageryConfig, query: SceneQuery, keys: TileKeys) -> tuple[SceneLock, list[str]]:
    """Search for the scenes of all tiles; returns them pinned, and a line for each skipped catalogue item."""
    outlines, catalogue = footprints(TileArray.from_keys(keys)), open_catalogue(searched_imagery(imagery))
    scenes = unite_collections(imagery, catalogue.search(outlines))
    if query.periods:
        scenes = [scene for scene in scenes if is_within(scene, query.periods)]
    lock = pin_scenes(query, scenes, keys, outlines)
    if imagery.composite == "least_cloud":
        require_cloud_cover(lock.scenes, [product.id for product in imagery.products])
    return lock, catalogue.skipped_items


def no_scenes_message(imagery: ImageryConfig, place: str, left_out: Sequence[str] = ()) -> str:
    """Return the message for a search that finds nothing.

    Args:
        imagery: The layer.
        place: What no scene meets, such as `any of the 12 tiles`.
        left_out: A line for each item that the search left out.
    """
    if imagery.source == "files":
        return f"no raster of '{imagery.path}' meets {place}; check that files and AOI cover the same ground"
    limit = "" if imagery.max_cloud is None else f" with a cloud fraction below {imagery.max_cloud}"
    products = ", ".join(product.id for product in imagery.products)
    period = f" {'from ' if imagery.start and imagery.end else ''}{imagery.period}"
    conditions = "the dates and the cloud limit" if imagery.filter is None else "dates, cloud limit and filter"
    advice = f"check that the AOI lies within the catalogue's scenes, and {conditions}"
    if left_out:
        number = "an item" if len(left_out) == 1 else f"{len(left_out)} items"
        advice = f"{number} of the catalogue cannot be used: {left_out[0]}"
    return f"no scene of {products}{period}{limit} meets {place}; {advice}"
