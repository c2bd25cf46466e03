"""Label chips of objects, as annotations for other tools need them."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import RasterioError

from segchips.errors import InputError
from segchips.grids.tile import chip_filename
from segchips.labels.instances import TAG, Instance, instances_from_text
from segchips.records.dataset_files import read_info


@dataclass(frozen=True)
class ObjectChip:
    """The objects of a tile: their numbers at each pixel (row x column), and what the chip lists.

    `file_name` is the image chip's path below the dataset's folder of results.
    """

    tile: str
    file_name: str
    numbers: np.ndarray
    instances: list[Instance]


def tiles_by_split(folder: Path) -> dict[str, list[str]]:
    """Returns the tiles whose chips are in the records, by split; InputError where there is no ledger."""
    try:
        with (folder / "ledger.csv").open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["state"] == "made"]
    except (OSError, KeyError) as error:
        raise InputError(f"'{folder}' has no ledger.csv of a finished run ({error}); name results/<dataset>") from error
    splits: dict[str, list[str]] = {}
    for row in rows:
        splits.setdefault(row["split"], []).append(row["tile"])
    return splits


def read_class_names(folder: Path, target: str) -> Mapping[int, str]:
    """Returns the names of a target's classes by number, as the description of the records has them; may be empty."""
    try:
        return read_info(folder / "tfrecords").object_classes.get(target, {})
    except InputError:
        return {}


def read_object_chip(folder: Path, target: str, layer: str, tile: str) -> ObjectChip:
    """Reads a label chip of a target of kind `instances`; InputError names a chip that is none.

    Args:
        folder: The dataset's folder of results.
        target: The target; empty where targets have no names.
        layer: The image layer to refer to; empty where layers have no names.
        tile: The key of the tile.
    """
    path = folder / "labels" / target / chip_filename(tile)
    try:
        with rasterio.open(path) as chip:
            numbers, text = chip.read(1), chip.tags().get(TAG)
    except RasterioError as error:
        raise InputError(f"{path}: cannot be read ({error}); name a target with --target") from error
    image = "/".join(part for part in ("images", layer, chip_filename(tile)) if part)
    return ObjectChip(tile, image, numbers, instances_from_text(text, path))
