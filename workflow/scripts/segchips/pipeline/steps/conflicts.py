"""Step `conflicts`: the pixels of each tile that features of different classes claim."""

from pathlib import Path

from segchips.pipeline.datasets import Datasets


def make_conflicts(datasets: Datasets, name: str, path: str) -> list[str]:
    """Write the counts of pixels in conflict to `path`."""
    from segchips.labels.conflicts import write_conflicts

    targets = [(datasets.features(name, target), lock) for target, lock in datasets.label_locks(name).items()]
    return [write_conflicts(Path(path), targets)]
