"""Step `splits`: the final assignment of tiles to splits."""

import sys
from pathlib import Path

from segchips.pipeline.datasets import Datasets

_SHOWN = 20


def make_splits(datasets: Datasets, name: str, path: str, splitting: str) -> list[str]:
    """Write each tile's split, shard and state to `path`.

    Args:
        datasets: The datasets.
        name: The dataset's name.
        path: The file of splits; blocks that were moved stay where it has them.
        splitting: The digest of the way to split, which frees moved blocks when it changes.
    """
    from segchips.splits import splits

    lock = datasets.label_lock(name) if datasets.needs_labels(name) else None
    notes = splits.make_splits(datasets[name], datasets.folder(name) / "tiles.parquet", Path(path), lock, splitting)
    for note in notes[:_SHOWN]:
        print(f"{name}: {note}", file=sys.stderr)
    return notes
