"""Recognises folders of chips that another tool exported, and writes their starting config."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segchips.config.chips import ChipsConfig
from segchips.errors import InputError
from segchips.records.chip_folders import find_pairs

_IMAGES = ("images", "image", "imgs", "img")
_LABELS = ("labels", "label", "masks", "mask", "annotations", "gt")
_ARCGIS_MODEL = "esri_model_definition.emd"
_ARCGIS = (_ARCGIS_MODEL, "map.txt", "stats.txt", "esri_accumulated_stats.json")


@dataclass(frozen=True)
class ChipsSurvey:
    """A folder of image chips and one of label chips.

    Attributes:
        images: The folder of images.
        labels: The folder of labels.
        count: How many pairs there are.
        is_arcgis: Whether ArcGIS exported them, with 0 for background.
        classes: The names of classes by value, where the export tells them.
    """

    images: str
    labels: str
    count: int
    is_arcgis: bool
    classes: Mapping[int, str]


def find_chips(folder: Path) -> ChipsSurvey | None:
    """Return the chips of a folder that has one folder of images and one of labels; None where it has not.

    Raises:
        InputError: It has both, and no image has a label.
    """
    images = [path for name in _IMAGES if (path := folder / name).is_dir()]
    labels = [path for name in _LABELS if (path := folder / name).is_dir()]
    if not images or not labels:
        return None
    chips = ChipsConfig(images[0].as_posix(), labels[0].as_posix())
    pairs = find_pairs(chips).pairs
    is_arcgis = any((folder / name).exists() for name in _ARCGIS)
    return ChipsSurvey(str(chips.images), str(chips.labels), len(pairs), is_arcgis, _classes(folder / _ARCGIS_MODEL))


def _classes(path: Path) -> dict[int, str]:
    try:
        listed = json.loads(path.read_text(encoding="utf-8")).get("Classes") if path.exists() else None
        return {int(entry["Value"]): str(entry["Name"]) for entry in listed or ()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"'{path}' cannot be read as JSON ({error}); remove it or export again") from error


def chips_config(name: str, chips: ChipsSurvey) -> dict[str, Any]:
    """Returns the config of a dataset of chips."""
    block: dict[str, Any] = {"images": chips.images, "labels": chips.labels}
    if chips.is_arcgis:
        block["background"] = 0
    splits = {"train": 0.8, "val": 0.1, "test": 0.1}
    return {"results": "results", "datasets": {name: {"chips": block, "tfrecords": {"splits": splits}}}}


def chips_notes(chips: ChipsSurvey) -> Sequence[str]:
    """Returns what the user should check, as comments for the config."""
    notes = ["Written by segchips init; docs/chips.md explains how chips are read."]
    if chips.classes:
        named = ", ".join(f"{value} {text}" for value, text in sorted(chips.classes.items()))
        notes.append(f"chips: the export names the classes {named}.")
    return [
        *notes,
        "chips: classes: {VALUE: NUMBER} gives label values or colours other class numbers.",
        "splitting: {by: block, block: 2000} keeps chips that share ground in one split; the run counts them.",
    ]
