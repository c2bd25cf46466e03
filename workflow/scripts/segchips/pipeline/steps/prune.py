"""Step `prune`: chips that no dataset needs any more."""

import os
import sys
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from segchips.labels.shared_folder import is_own_folder
from segchips.pipeline.datasets import Datasets


def unused_chips(datasets: Datasets, name: str) -> list[Path]:
    """The chips in the dataset's own folders that no dataset needs any more."""
    users = _users(datasets, name)
    own = filter(is_own_folder, (datasets.folder(name) / kind for kind in ("images", "labels", "provenance")))
    unused = list[Path]()
    for folder, _, files in chain.from_iterable(os.walk(os.fsencode(folder)) for folder in own):
        of_folder = Path(os.fsdecode(folder))
        tiles = [datasets.tiles_with_chips(user) for user in users.get(of_folder, ())]
        needed = pa.chunked_array([keys.filenames() for keys in tiles], pa.string()).cast(pa.binary())
        names = pa.array([file for file in files if file.endswith(b".tif")], pa.binary())
        is_unused = pc.invert(pc.is_in(names, value_set=needed))
        unused += [of_folder / os.fsdecode(name) for name in names.filter(is_unused).to_pylist()]
    return sorted(unused)


def _users(datasets: Datasets, name: str) -> dict[Path, list[str]]:
    """The datasets that use chips in each folder: this one, and others that share its labels."""
    parts = [(name, *of_images) for of_images in datasets.image_folders(name)]
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
