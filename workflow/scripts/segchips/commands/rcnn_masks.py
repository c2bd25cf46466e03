"""Writes objects as ArcGIS's "RCNN Masks": a folder of images, and for each class a folder of numbered objects.

arcgis.learn's `prepare_data` opens such a folder for Mask R-CNN. It looks for a label of the image's name in the folder
of each class, where 0 is no object, and takes any other value for one object.
"""

import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioError

from segchips.commands.object_chips import ObjectChip, read_class_names, read_object_chip, tiles_by_split
from segchips.errors import InputError
from segchips.files import atomic_path, atomic_write, write_json
from segchips.reports.arcgis import class_colour

MODE = "RCNN_Masks"


def write_rcnn_masks(folder: Path, target: str = "", layer: str = "") -> Path:
    """Writes `rcnn_masks/` into a dataset's folder: chips of all splits that have objects, and ArcGIS's descriptions.

    Args:
        folder: The dataset's folder of results.
        target: The target of kind `instances`; empty where targets have no names.
        layer: The image layer; empty where layers have no names.

    Returns:
        The folder that was written. A former one is replaced.

    Raises:
        InputError: The folder has no ledger, its labels are no objects, or there is no object.
    """
    out = folder / "rcnn_masks"
    shutil.rmtree(out, ignore_errors=True)
    keys = [key for tiles in tiles_by_split(folder).values() for key in tiles]
    lines, objects, chips, shape = [], Counter[int](), Counter[int](), (0, 0)
    per_image = []
    for key in keys:
        chip = read_object_chip(folder, target, layer, key)
        if not chip.instances:
            continue
        name, shape = Path(chip.file_name).name, chip.numbers.shape
        with atomic_path(out / "images" / name) as part:
            shutil.copyfile(folder / chip.file_name, part)
        classes = Counter(one.value for one in chip.instances)
        for value in sorted(classes):
            _write_masks(folder / chip.file_name, out / "labels" / str(value) / name, chip, value)
            lines.append(f"images/{name}\tlabels/{value}/{name}\n")
        objects.update(classes)
        chips.update(classes.keys())
        per_image.append(len(chip.instances))
    if not lines:
        raise InputError(f"'{folder}' has no object in any chip, so there are no masks to write")
    atomic_write(out / "map.txt", "".join(lines))
    _write_descriptions(out, objects, chips, per_image, shape, read_class_names(folder, target))
    return out


def _write_masks(image: Path, path: Path, chip: ObjectChip, value: int) -> None:
    """Writes the objects of one class, numbered from 1, on the ground of an image."""
    numbers = np.zeros(int(chip.numbers.max()) + 1, np.uint16)
    chosen = [one.number for one in chip.instances if one.value == value]
    numbers[chosen] = np.arange(1, len(chosen) + 1)
    masks = numbers[chip.numbers]
    masks = masks.astype(np.uint8) if len(chosen) <= np.iinfo(np.uint8).max else masks
    try:
        with rasterio.open(image) as source:
            place = {"crs": source.crs, "transform": source.transform}
    except RasterioError as error:
        raise InputError(f"{image}: cannot be read ({error}); name a layer with --layer") from error
    shape = {"height": masks.shape[0], "width": masks.shape[1], "count": 1, "dtype": masks.dtype}
    with atomic_path(path) as part, rasterio.open(part, "w", driver="GTiff", compress="lzw", **shape, **place) as file:
        file.write(masks, 1)


def _write_descriptions(
    out: Path,
    objects: Counter[int],
    chips: Counter[int],
    per_image: list[int],
    shape: tuple[int, ...],
    names: Mapping[int, str],
) -> None:
    common: dict[str, Any] = {
        "MetaDataMode": MODE,
        "ImageSpaceUsed": "MAP_SPACE",
        "ImageHeight": shape[0],
        "ImageWidth": shape[1],
    }
    classes = sorted(objects)
    described = [
        {"Value": value, "Name": names.get(value, str(value)), "Color": class_colour(value)} for value in classes
    ]
    write_json(out / "esri_model_definition.emd", {**common, "Classes": described})
    features = {
        "NumImagesTotal": len(per_image),
        "NumFeaturesPerImage": {"Min": min(per_image), "Max": max(per_image), "Mean": sum(per_image) / len(per_image)},
        "NumImagesPerClass": [chips[value] for value in classes],
        "NumFeaturesPerClass": [objects[value] for value in classes],
    }
    counts = {"NumTiles": len(per_image), "NumClasses": len(classes), "FeatureStats": features}
    write_json(out / "esri_accumulated_stats.json", {"Version": "3.0", **common, **counts})
    lines = [f"images = {len(per_image)} *{shape[1]}*{shape[0]}", f"classes = {len(classes)}"]
    lines += [
        f"cls name={value}, cls value={value}, images={chips[value]}, features={objects[value]}" for value in classes
    ]
    atomic_write(out / "stats.txt", "\n".join(lines) + "\n")
