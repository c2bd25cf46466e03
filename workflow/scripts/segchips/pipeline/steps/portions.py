"""Step `portions`: the chips of a portion, and the file that stands for all portions of a dataset."""

from pathlib import Path

from segchips.chips.chip_file import chip_made_from
from segchips.files import storage_errors, write_json
from segchips.grids.tile import chip_name
from segchips.pipeline.datasets import Datasets
from segchips.pipeline.portions import UNKNOWN, Chip, Portions
from segchips.pipeline.steps.images import lacks_wanted_scene, make_image
from segchips.pipeline.steps.labels import make_label


def make_image_chip(datasets: Datasets, name: str, layer: str, chip: Chip, log: str) -> list[str] | None:
    """Write a tile's image chip of one layer, unless the one that is there is right; as `make_image`."""
    tile, imagery = chip_name(chip.key), datasets[name].imagery.layers[layer]
    if _is_right(chip) and not lacks_wanted_scene(datasets, name, layer, tile, chip.files[0]):
        return None
    if not imagery.is_series:
        _remove(*chip.files)
    _remove(log)
    return make_image(datasets, name, layer, tile, chip.digest, *chip.files)


def make_label_chip(datasets: Datasets, name: str, target: str, chip: Chip, log: str) -> None:
    """Write a tile's label chip of one target, unless the one that is there is right; as `make_label`."""
    if not _is_right(chip):
        _remove(*chip.files, log)
        make_label(datasets, name, target, chip_name(chip.key), *chip.files)


def _is_right(chip: Chip) -> bool:
    """Whether files of which it is not known what they are say themselves that they are the chip that is wanted."""
    return chip.reason == UNKNOWN and {chip_made_from(Path(file), chip.key) for file in chip.files} == {chip.digest}


def _remove(*files: str) -> None:
    for file in map(Path, files):
        with storage_errors(file, file):
            file.unlink(missing_ok=True)


def gather_portions(datasets: Datasets, name: str, path: str) -> list[str]:
    """Write the file that stands for all portions of a dataset; remove what is known of former ones."""
    portions = Portions(datasets, lambda *_: False)
    tiles = {portion.name: len(portions.keys(portion)) for portion in portions.all(name)}
    portions.forget_former(name)
    write_json(Path(path), {"portions": len(tiles), "tiles": sum(tiles.values())})
    return [f"{len(tiles)} portions"]
