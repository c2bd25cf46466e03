"""The plan: what a run would retrieve and make, said before any image is retrieved."""

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
"""What a pixel of a band is taken to need; catalogues do not tell it reliably, and 16 bits are what most have."""


def write_plan(dataset: Dataset, folder: Path) -> list[str]:
    """Write plan.json from the scene lock, the label lock and the splits in `folder`; returns the same as lines."""
    plan = ImagePlan(dataset, read_lock(folder / "scenes.parquet"))
    rows, lock = read_splits(folder / "splits.parquet"), read_label_lock(folder / "labels.parquet")
    content = _content(plan, rows) | _classes(dataset, plan, rows, lock, folder / "splits.parquet")
    atomic_write(folder / "plan.json", json.dumps(content, indent=2) + "\n")
    return [*_lines(content)]


def _content(plan: ImagePlan, rows: Sequence[TileAssignment]) -> dict[str, Any]:
    made = _made(plan, rows)
    bare = [row for row in rows if row.state == PLANNED and plan.missing(row.key)]
    area, bands = plan.dataset.tiles.size**2, sum(len(product.bands) for product in plan.dataset.imagery.products)
    used = {index for row in made for index in plan.lock.tiles[row.key]}
    least, most = _reads(plan, [row.key for row in made])
    return {
        "tiles": len(rows),
        "made": {split: sum(row.split == split for row in made) for split in plan.dataset.tfrecords.splits},
        "no_scenes": len(bare),
        "dropped": dict(Counter(row.reason.partition(":")[0] for row in rows if row.state != PLANNED)),
        "scenes": dict(sorted(Counter(plan.lock.scenes[index].product for index in used).items())),
        "band_reads": {"at_least": least, "at_most": most},
        "bytes_read": {"at_least": least * area * VALUE_BYTES, "at_most": most * area * VALUE_BYTES},
        "bytes_of_images": len(made) * area * bands * VALUE_BYTES,
    }


def _made(plan: ImagePlan, rows: Sequence[TileAssignment]) -> list[TileAssignment]:
    return [row for row in rows if row.state == PLANNED and not plan.missing(row.key)]


def _reads(plan: ImagePlan, keys: Sequence[str]) -> tuple[int, int]:
    """How many bands of scenes are read at least and at most: `closest` stops where a tile is full."""
    imagery = plan.dataset.imagery
    mask = 1 if imagery.cloud_mask else 0
    least = most = 0
    for key in keys:
        for product in imagery.products:
            scenes: list[Scene] = plan.scenes(key, product.id)
            each, count = len(product.bands) + mask, len(scenes)
            most += count * each
            least += each if imagery.composite == "closest" else count * each
    return least, most


def _classes(
    dataset: Dataset, plan: ImagePlan, rows: Sequence[TileAssignment], lock: LabelLock, path: Path
) -> dict[str, Mapping[str, Mapping[str, int]]]:
    """The pixels of each label value in the label chips to be made, by split."""
    made = _made(plan, rows)
    counts = count_classes(dataset.labels, lock, [row.key for row in made], read_counts(path, lock))
    pixels: dict[str, Counter[int]] = {split: Counter() for split in dataset.tfrecords.splits}
    for row in made:
        found = counts[row.key]
        pixels[row.split].update({int(value): int(found[value]) for value in found.nonzero()[0]})
    return {"class_pixels": {split: {str(v): n for v, n in sorted(found.items())} for split, found in pixels.items()}}


def _lines(content: Mapping[str, Any]) -> Iterator[str]:
    made = ", ".join(f"{count} {split}" for split, count in content["made"].items())
    yield f"{content['tiles']} tiles: {sum(content['made'].values())} to be made ({made})"
    if content["no_scenes"]:
        yield f"{content['no_scenes']} tiles have no scenes"
    yield from (f"{count} tiles are dropped: {reason}" for reason, count in content["dropped"].items())
    yield "scenes: " + (", ".join(f"{count} of {product}" for product, count in content["scenes"].items()) or "none")
    reads, size = content["band_reads"], content["bytes_read"]
    yield f"{_span(reads, 1, '')} reads of a band, {_span(size, 1e6, ' MB')} at {VALUE_BYTES} bytes a pixel"
    yield f"image chips of {content['bytes_of_images'] / 1e6:,.1f} MB before compression"
    for split, pixels in content["class_pixels"].items():
        yield f"label pixels of {split}: " + ", ".join(f"{count:,} of {value}" for value, count in pixels.items())


def _span(span: Mapping[str, int], unit: float, name: str) -> str:
    low, high = (f"{span[end] / unit:,.{0 if unit == 1 else 1}f}" for end in ("at_least", "at_most"))
    return f"{low}{name}" if low == high else f"{low} to {high}{name}"
