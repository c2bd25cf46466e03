"""Step `labels`: the label lock and the label chips."""

import sys
from pathlib import Path

from segchips.files import atomic_write
from segchips.grids.tile import Tile
from segchips.pipeline.code_versions import module_version
from segchips.pipeline.datasets import Datasets


def make_label_lock(datasets: Datasets, name: str, path: str) -> list[str]:
    """Write to `path` which features each label chip depends on, or copy the lock of the dataset that has the chips."""
    from segchips.grids.tile_array import TileArray
    from segchips.labels.lock import features_met, lock_labels, write_label_locks
    from segchips.labels.misplaced import describe_misplaced
    from segchips.labels.shared_folder import link_label_folder

    folder, owner = datasets.folder(name), datasets.folder(datasets.label_owner(name))
    link_label_folder(folder / "labels", owner / "labels")
    if owner != folder:
        atomic_write(path, (owner / "labels.parquet").read_bytes())
        return [f"the labels are those of {owner.name}"]
    tiles, locks, lines = TileArray.from_keys(datasets.keys(name)), {}, list[str]()
    for target in datasets.targets(name):
        features, title = datasets.features(name, target), f"{target}: " if target else ""
        lock = locks[target] = lock_labels(features, tiles, module_version("labels.chip"))
        notes = [*features.notes, *describe_misplaced(features, tiles, features_met(lock))]
        for note in notes:
            print(f"{name}: {title}{note}", file=sys.stderr)
        lines += [f"{title}{line}" for line in (f"{len(features)} features", *notes)]
    write_label_locks(Path(path), locks)
    return lines


def make_label(datasets: Datasets, name: str, target: str, tile_name: str, path: str) -> None:
    """Write one tile's label chip of one target to `path`."""
    from segchips.labels import chip

    tile, lock = Tile.from_name(tile_name), datasets.label_lock(name, target)
    indices, made_from = lock.feature_indices[tile.key], lock.digests[tile.key]
    chip.make_label(datasets.features(name, target), tile, indices, Path(path), made_from)
