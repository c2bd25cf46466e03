"""Step `scenes`: the scene lock."""

import sys
from contextlib import suppress
from pathlib import Path

from segchips.config.tfrecords import PICTURES, picture_dtype_fault, picture_fault
from segchips.errors import InputError
from segchips.pipeline.datasets import Datasets


def make_scenes(datasets: Datasets, name: str, path: str) -> list[str]:
    """Search the dataset's catalogue and pin the scenes of each tile in the lock at `path`."""
    from segchips.chips.file_metadata import complete_from_files
    from segchips.chips.source_check import check_rasters, chip_dtypes
    from segchips.scenes.lock import read_locks
    from segchips.scenes.resolve import resolve
    from segchips.scenes.usable import usable_scenes

    manifest, former = datasets.folder(name) / "tiles.parquet", set[str]()
    if Path(path).exists():
        with suppress(InputError):  # resolving raises it
            former = {scene.pin for lock in read_locks(Path(path)).values() for scene in lock.scenes}
    lines = list(resolve(datasets[name], manifest, Path(path), refresh=False, complete=complete_from_files))
    for line in lines:
        if " is left out: " in line or " is not among " in line:
            print(f"{name}: {line}", file=sys.stderr)
    check_grid(datasets, name, Path(path))
    locks = read_locks(Path(path))
    for layer, imagery in datasets[name].imagery.layers.items():
        usable = usable_scenes(imagery, locks[layer])
        bands = sum(len(product.bands) for product in usable.imagery.products)
        storage = datasets[name].tfrecords.storage
        fault = picture_fault(storage, bands)
        if storage in PICTURES and not fault:
            fault = picture_dtype_fault(storage, chip_dtypes(usable.imagery, usable.lock.scenes))
        if fault:
            raise InputError(f"datasets.{name}.tfrecords.storage: {fault}")
        key = datasets.imagery_key(name, layer)
        for note in check_rasters(usable.imagery, usable.lock.scenes, former, key):
            print(f"{name}: {note}", file=sys.stderr)
            lines.append(note)
    return lines


def check_grid(datasets: Datasets, name: str, path: Path) -> None:
    """Check that the scenes in the lock at `path` lie on the pixels that the tiles follow, on grid `imagery`."""
    from segchips.chips.imagery_grid import check_pixel_grid
    from segchips.config.tiles import IMAGERY
    from segchips.grids.tile import Tile
    from segchips.scenes.lock import read_locks
    from segchips.scenes.usable import usable_scenes

    if datasets[name].tiles.grid == IMAGERY:
        layer, imagery = next(iter(datasets[name].imagery.layers.items()))
        usable = usable_scenes(imagery, read_locks(path)[layer])
        check_pixel_grid(usable.imagery, usable.lock.scenes, Tile.from_key(datasets.keys(name)[0]).grid)


def check_scenes(datasets: Datasets, name: str) -> None:
    """Check before a run that the dataset's catalogue has the products and bands of the config."""
    from segchips.pipeline.checks import check_catalogue

    check_catalogue(datasets, name)
