"""Step `splits`: the final assignment of tiles to splits."""

import sys
from pathlib import Path

from segchips.pipeline.datasets import Datasets
from segchips.pipeline.digests import Digests

_SHOWN = 20


def make_splits(datasets: Datasets, name: str, path: str) -> list[str]:
    """Write each tile's split, shard and state to `path`.

    Blocks that were moved stay where the previous file has them, while the way to split is the same.
    """
    from segchips.splits import splits

    splitting = Digests(datasets).splitting(name)
    lock = datasets.label_lock(name, datasets.targets(name)[0]) if datasets.needs_labels(name) else None
    notes = splits.make_splits(datasets[name], datasets.folder(name) / "tiles.parquet", Path(path), lock, splitting)
    for note in notes[:_SHOWN]:
        print(f"{name}: {note}", file=sys.stderr)
    return notes
