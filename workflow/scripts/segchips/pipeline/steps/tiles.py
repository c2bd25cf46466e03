"""Step `tiles`: the tile manifest."""

from pathlib import Path

from segchips.pipeline.datasets import Datasets


def make_tiles(datasets: Datasets, name: str, path: str) -> list[str]:
    """Write the tile manifest of a dataset to `path`."""
    from segchips.tiles import tiles

    return tiles.make_tiles(datasets[name], Path(path))
