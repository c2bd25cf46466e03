"""The plan: what a run would read and make, computed before any image is read."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from segchips.chips.image_plan import ImagePlan
from segchips.config.model import Dataset
from segchips.files import atomic_write
from segchips.labels.lock import LabelLock, read_label_lock
from segchips.scenes.lock import read_lock
from segchips.scenes.model import Scene
from segchips.splits.selection import count_classes, read_counts
from segchips.splits.splits import read_splits
from segchips.tiles.assignment import PLANNED, TileAssignment

VALUE_BYTES = 2
"""The assumed size of a pixel of a band: most have 16 bits, and catalogues do not say so reliably."""


def write_plan(dataset: Dataset, folder: Path) -> list[str]:
    """Write plan.json.

    Args:
        dataset: The config of the dataset.
        folder: The dataset's folder of results with scene lock, label lock and splits.

    Returns:
        The content of plan.json as lines to print.
    """
    scene_lock, label_lock = read_lock(folder / "scenes.parquet"), read_label_lock(folder / "labels.parquet")
    plan = ImagePlan(dataset.imagery, scene_lock, code_version="", config_key=f"datasets.{dataset.name}.imagery")
    assignments = read_splits(folder / "splits.parquet")
    planned = [row for row in assignments if row.state == PLANNED and not plan.missing_scenes(row.key)]
    content = _content(dataset, plan, assignments, planned)
    content |= {"class_pixels": _class_pixels(dataset, planned, label_lock, folder / "splits.parquet")}
    atomic_write(folder / "plan.json", json.dumps(content, indent=2) + "\n")
    return [*_lines(content)]


def _content(
    dataset: Dataset, plan: ImagePlan, assignments: Sequence[TileAssignment], planned: Sequence[TileAssignment]
) -> dict[str, Any]:
    without_scenes = [row for row in assignments if row.state == PLANNED and plan.missing_scenes(row.key)]
    pixels, bands = dataset.tiles.size**2, sum(len(product.bands) for product in dataset.imagery.products)
    scenes = {index for row in planned for index in plan.lock.tiles[row.key]}
    least, most = _band_reads(plan, [row.key for row in planned])
    return {
        "tiles": len(assignments),
        "made": {split: sum(row.split == split for row in planned) for split in dataset.tfrecords.splits},
        "no_scenes": len(without_scenes),
        "dropped": dict(Counter(row.reason.partition(":")[0] for row in assignments if row.state != PLANNED)),
        "scenes": dict(sorted(Counter(plan.lock.scenes[index].product for index in scenes).items())),
        "band_reads": {"at_least": least, "at_most": most},
        "bytes_read": {"at_least": least * pixels * VALUE_BYTES, "at_most": most * pixels * VALUE_BYTES},
        "bytes_of_images": len(planned) * pixels * bands * VALUE_BYTES,
    }


def _band_reads(plan: ImagePlan, keys: Sequence[str]) -> tuple[int, int]:
    """How many bands of scenes are read at least and at most; some composites read until every pixel is valid."""
    imagery = plan.imagery
    mask_bands = 1 if imagery.cloud_mask else 0
    least = most = 0
    for key in keys:
        for product in imagery.products:
            scenes: list[Scene] = plan.scenes(key, product.id)
            scene_bands = len(product.bands) + mask_bands
            most += len(scenes) * scene_bands
            least += scene_bands if imagery.takes_first else len(scenes) * scene_bands
    return least, most


def _class_pixels(
    dataset: Dataset, planned: Sequence[TileAssignment], lock: LabelLock, splits_path: Path
) -> dict[str, dict[str, int]]:
    """The pixels of each label value in the label chips to be made, by split."""
    counts = count_classes(dataset.labels, lock, [row.key for row in planned], read_counts(splits_path, lock))
    totals: dict[str, Counter[int]] = {split: Counter() for split in dataset.tfrecords.splits}
    for row in planned:
        pixels = counts[row.key]
        totals[row.split].update({int(value): int(pixels[value]) for value in pixels.nonzero()[0]})
    return {split: {str(value): n for value, n in sorted(total.items())} for split, total in totals.items()}


def _lines(content: Mapping[str, Any]) -> Iterator[str]:
    by_split = ", ".join(f"{count} {split}" for split, count in content["made"].items())
    yield f"{content['tiles']} tiles: {sum(content['made'].values())} to be made ({by_split})"
    if content["no_scenes"]:
        yield f"{content['no_scenes']} tiles have no scenes"
    yield from (f"{count} tiles are dropped: {reason}" for reason, count in content["dropped"].items())
    yield "scenes: " + (", ".join(f"{count} of {product}" for product, count in content["scenes"].items()) or "none")
    reads, size = _format_range(content["band_reads"], 1, ""), _format_range(content["bytes_read"], 1e6, " MB")
    yield f"{reads} reads of a band, {size} at {VALUE_BYTES} bytes a pixel"
    yield f"image chips of {content['bytes_of_images'] / 1e6:,.1f} MB before compression"
    for split, pixels in content["class_pixels"].items():
        yield f"label pixels of {split}: " + ", ".join(f"{count:,} of {value}" for value, count in pixels.items())


def _format_range(limits: Mapping[str, int], unit: float, suffix: str) -> str:
    low, high = (f"{limits[end] / unit:,.{0 if unit == 1 else 1}f}" for end in ("at_least", "at_most"))
    return f"{low}{suffix}" if low == high else f"{low} to {high}{suffix}"
