"""The plan: what a run would read and make, computed before any image is read."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from segchips.chips.image_plan import ImagePlan, ImagePlans
from segchips.config.model import Dataset
from segchips.files import atomic_write
from segchips.grids.tile import Tile
from segchips.labels.lock import LabelLock, read_label_locks
from segchips.scenes.lock import read_locks
from segchips.scenes.model import Scene
from segchips.splits.selection import count_classes, read_counts
from segchips.splits.splits import read_splits
from segchips.tiles.assignment import PLANNED, TileAssignment

VALUE_BYTES = 2
"""The assumed size of a pixel of a band: most have 16 bits, and catalogues do not say so reliably."""


def write_plan(dataset: Dataset, folder: Path) -> None:
    """Write plan.json.

    Args:
        dataset: The config of the dataset.
        folder: The dataset's folder of results with scene lock, label lock and splits.
    """
    locks, label_locks = read_locks(folder / "scenes.parquet"), read_label_locks(folder / "labels.parquet")
    layers = dataset.imagery.layers.items()
    plan = ImagePlans({name: ImagePlan(imagery, locks[name], "", "") for name, imagery in layers})
    assignments = read_splits(folder / "splits.parquet")
    planned = [row for row in assignments if row.state == PLANNED and not plan.missing_scenes(row.key)]
    content = _content(dataset, plan, assignments, planned)
    first = next(iter(label_locks.values()))
    content |= {"class_pixels": _class_pixels(dataset, planned, first, folder / "splits.parquet")}
    atomic_write(folder / "plan.json", json.dumps(content, indent=2) + "\n")


def _content(
    dataset: Dataset, plan: ImagePlans, assignments: Sequence[TileAssignment], planned: Sequence[TileAssignment]
) -> dict[str, Any]:
    without_scenes = [row for row in assignments if row.state == PLANNED and plan.missing_scenes(row.key)]
    layers = [_layer_content(dataset, one, [row.key for row in planned]) for one in plan.layers.values()]
    return {
        "tiles": len(assignments),
        "made": {split: sum(row.split == split for row in planned) for split in dataset.tfrecords.splits},
        "no_scenes": len(without_scenes),
        "dropped": dict(Counter(row.reason.partition(":")[0] for row in assignments if row.state != PLANNED)),
        **(layers[0] if len(layers) == 1 else _sum_layers(layers)),
        **({"layers": dict(zip(plan.layers, layers, strict=True))} if len(layers) > 1 else {}),
    }


def _layer_content(dataset: Dataset, plan: ImagePlan, keys: Sequence[str]) -> dict[str, Any]:
    """What a layer needs: its scenes, what is read of them, and the size of its chips."""
    imagery = plan.imagery
    factor = Tile.from_key(keys[0]).coarsened(imagery.resolution).coarseness if keys else 1
    pixels = round((dataset.tiles.size / factor) ** 2)
    bands = sum(len(product.bands) for product in imagery.products) * (imagery.scenes or len(imagery.steps) or 1)
    scenes = {index for key in keys for index in plan.lock.tiles[key]}
    least, most = _band_reads(plan, keys)
    return {
        "scenes": dict(sorted(Counter(plan.lock.scenes[index].product for index in scenes).items())),
        "band_reads": {"at_least": least, "at_most": most},
        "bytes_read": {"at_least": least * pixels * VALUE_BYTES, "at_most": most * pixels * VALUE_BYTES},
        "bytes_of_images": len(keys) * pixels * bands * VALUE_BYTES,
    }


def _sum_layers(layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    scenes: Counter[str] = Counter()
    for layer in layers:
        scenes.update(layer["scenes"])
    ends = ("at_least", "at_most")
    reads = {
        key: {end: sum(layer[key][end] for layer in layers) for end in ends} for key in ("band_reads", "bytes_read")
    }
    size = sum(layer["bytes_of_images"] for layer in layers)
    return {"scenes": dict(sorted(scenes.items())), **reads, "bytes_of_images": size}


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
    counts = count_classes(dataset.labels.first, lock, [row.key for row in planned], read_counts(splits_path, lock))
    totals: dict[str, Counter[int]] = {split: Counter() for split in dataset.tfrecords.splits}
    for row in planned:
        pixels = counts[row.key]
        totals[row.split].update({int(value): int(pixels[value]) for value in pixels.nonzero()[0]})
    return {split: {str(value): n for value, n in sorted(total.items())} for split, total in totals.items()}


def plan_lines(content: Mapping[str, Any]) -> Iterator[str]:
    """The content of plan.json as lines to show."""
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
