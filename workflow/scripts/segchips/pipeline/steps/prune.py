"""Step `prune`: chips that no dataset needs any more."""

import sys
from pathlib import Path

from segchips.labels.shared_folder import is_own_folder
from segchips.pipeline.datasets import Datasets


def unused_chips(datasets: Datasets, name: str) -> list[Path]:
    """The chips in the dataset's own folders that no dataset needs any more."""
    folders = [datasets.folder(name) / kind for kind in ("images", "labels", "provenance")]
    needed = set(datasets.image_chips(name, datasets.tiles_with_chips(name)))
    for other in datasets.config.datasets:
        if datasets.has_result(other, "scenes.parquet", "splits.parquet"):
            needed.update(datasets.label_chips(other, datasets.tiles_with_chips(other)))
    own = filter(is_own_folder, folders)
    return sorted(chip for folder in own for chip in folder.rglob("*.tif") if str(chip) not in needed)


def prune(datasets: Datasets, log: str) -> list[str]:
    """Remove the chips that no dataset needs any more; `log`, which lists them, is named to the user."""
    unused = [chip for name in datasets.config.datasets for chip in unused_chips(datasets, name)]
    for chip in unused:
        chip.unlink()
    print(f"{len(unused)} chips removed; {log} lists them", file=sys.stderr)
    return [f"removed {chip}" for chip in unused]
