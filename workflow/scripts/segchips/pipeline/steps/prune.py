"""Step `prune`: chips that no dataset needs any more."""

import os
import sys
from itertools import chain
from pathlib import Path

from segchips.grids.tile import chip_filename
from segchips.labels.shared_folder import is_own_folder
from segchips.pipeline.datasets import Datasets


def unused_chips(datasets: Datasets, name: str) -> list[Path]:
    """The chips in the dataset's own folders that no dataset needs any more."""
    users = _users(datasets, name)
    own = filter(is_own_folder, (datasets.folder(name) / kind for kind in ("images", "labels", "provenance")))
    unused = list[Path]()
    for folder, _, files in chain.from_iterable(map(os.walk, own)):
        keys = (key for user in users.get(Path(folder), ()) for key in datasets.tiles_with_chips(user))
        needed = set(map(chip_filename, keys))
        unused += [Path(folder, file) for file in files if file.endswith(".tif") and file not in needed]
    return sorted(unused)


def _users(datasets: Datasets, name: str) -> dict[Path, list[str]]:
    """The datasets that use chips in each folder: this one, and others that share its labels."""
    parts = [(name, kind, layer) for layer in datasets.layers(name) for kind in datasets.image_kinds(name, layer)]
    for other in datasets.config.datasets:
        if datasets.has_result(other, "scenes.parquet", "splits.parquet"):
            parts += [(other, "labels", target) for target in datasets.targets(other)]
    users: dict[Path, list[str]] = {}
    for user, kind, part in parts:
        users.setdefault(datasets.chip_folder(user, kind, part), []).append(user)
    return users


def prune(datasets: Datasets, log: str) -> list[str]:
    """Remove the chips that no dataset needs any more; `log`, which lists them, is named to the user."""
    unused = [chip for name in datasets.config.datasets for chip in unused_chips(datasets, name)]
    for chip in unused:
        chip.unlink()
    print(f"{len(unused)} chips removed; {log} lists them", file=sys.stderr)
    return [f"removed {chip}" for chip in unused]
