"""Step `tiles`: the tile manifest."""

from functools import partial
from pathlib import Path

from segchips.pipeline.datasets import Datasets


def make_tiles(datasets: Datasets, name: str, path: str) -> list[str]:
    """Write the tile manifest of a dataset to `path`."""
    from segchips.chips.imagery_grid import find_pixel_grid
    from segchips.tiles import tiles

    dataset = datasets[name]
    return tiles.make_tiles(dataset, Path(path), partial(find_pixel_grid, dataset.imagery.first))
