"""Writes COCO and panoptic annotations of a dataset whose labels are objects."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from segchips.commands.object_chips import ObjectChip, read_class_names, read_object_chip, tiles_by_split
from segchips.files import atomic_path, write_json
from segchips.grids.tile import chip_filename

Json = dict[str, Any]


def write_coco(folder: Path, target: str = "", layer: str = "") -> list[Path]:
    """Writes `coco/<split>.json`, `coco/panoptic_<split>.json` and the images of the latter into a dataset's folder.

    Args:
        folder: The dataset's folder of results.
        target: The target of kind `instances`; empty where targets have no names.
        layer: The image layer that annotations refer to; empty where layers have no names.

    Returns:
        The JSON files.

    Raises:
        InputError: The folder has no ledger, or its labels are no objects.
    """
    written, names = [], read_class_names(folder, target)
    chips_by_split = {
        split: [read_object_chip(folder, target, layer, tile) for tile in tiles]
        for split, tiles in tiles_by_split(folder).items()
    }
    values = {one.value for chips in chips_by_split.values() for chip in chips for one in chip.instances}
    categories = [
        {"id": value, "name": names.get(value, f"class {value}"), "supercategory": target or "label"}
        for value in sorted(values | names.keys())
    ]
    for split, chips in chips_by_split.items():
        images = [
            {"id": number, "file_name": chip.file_name, "height": chip.numbers.shape[0], "width": chip.numbers.shape[1]}
            for number, chip in enumerate(chips, 1)
        ]
        annotations = [{"id": number, **annotation} for number, annotation in enumerate(_all_annotations(chips), 1)]
        path = folder / "coco" / f"{target}{'_' if target else ''}{split}.json"
        content = {"info": {"description": folder.name}, "licenses": [], "images": images, "categories": categories}
        write_json(path, content | {"annotations": annotations})
        panoptic = path.with_name(f"panoptic_{path.name}")
        things = [category | {"isthing": 1} for category in categories]
        segments = [_panoptic(panoptic.with_suffix(""), number, chip) for number, chip in enumerate(chips, 1)]
        write_json(panoptic, content | {"categories": things, "annotations": segments})
        written += [path, panoptic]
    return written


def _all_annotations(chips: list[ObjectChip]) -> Iterator[Json]:
    for number, chip in enumerate(chips, 1):
        for one in chip.instances:
            mask = chip.numbers == one.number
            yield {
                "image_id": number,
                "category_id": one.value,
                "segmentation": {"size": list(mask.shape), "counts": run_lengths(mask)},
                "area": int(mask.sum()),
                "bbox": _box(mask),
                "iscrowd": 0,
                "feature": [one.layer, one.fid],
            }


def run_lengths(mask: np.ndarray) -> list[int]:
    """Returns the lengths of runs of pixels outside and inside, in turn, down the columns, as COCO has them."""
    flat = np.concatenate([[False], mask.ravel(order="F"), [False]])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    ends = np.concatenate([[0], changes, [mask.size]])
    lengths: list[int] = np.diff(ends).tolist()
    return lengths[:-1] if lengths[-1] == 0 else lengths


def _box(mask: np.ndarray) -> list[int]:
    """Returns left, top, width and height."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1]


def _panoptic(folder: Path, number: int, chip: ObjectChip) -> Json:
    """Writes the image of a chip whose colours are numbers of objects, and returns its annotation."""
    path = folder / f"{Path(chip_filename(chip.tile)).stem}.png"
    ids = chip.numbers.astype(np.uint32)
    colours = np.stack([ids & 255, ids >> 8 & 255, ids >> 16 & 255]).astype(np.uint8)
    height, width = ids.shape
    with (
        atomic_path(path) as part,
        rasterio.open(part, "w", driver="PNG", width=width, height=height, count=3, dtype="uint8") as file,
    ):
        file.write(colours)
    part.with_name(f"{part.name}.aux.xml").unlink(missing_ok=True)
    segments = []
    for one in chip.instances:
        mask = chip.numbers == one.number
        box, area = _box(mask), int(mask.sum())
        segments.append({"id": one.number, "category_id": one.value, "area": area, "bbox": box, "iscrowd": 0})
    return {"image_id": number, "file_name": path.name, "segments_info": segments}
