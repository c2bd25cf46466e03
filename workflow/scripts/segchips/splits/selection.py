"""Which tiles the config selects by the pixels of their labels, before any image is retrieved."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from segchips.arrays import Ints
from segchips.config.labels import LabelsConfig
from segchips.config.splitting import SelectConfig
from segchips.files import digest, read_parquet
from segchips.grids.tile import Tile
from segchips.labels.features import LabelFeatures
from segchips.labels.lock import LabelLock

Counts = Mapping[str, Ints]
"""The number of pixels (256) of each label value, by tile key."""


def count_classes(labels: LabelsConfig, lock: LabelLock, keys: Sequence[str], former: Counts) -> Counts:
    """Counts the pixels of each value in the label chips of tiles.

    Args:
        labels: How labels are burned.
        lock: The features of each tile.
        keys: The tiles.
        former: Counts that still hold, whose tiles are not burned again.
    """
    if labels.kind != "classes":
        return {key: np.zeros(256, np.int64) for key in keys}
    if all(key in former for key in keys):
        return {key: former[key] for key in keys}
    features = LabelFeatures(labels)

    def count(key: str) -> Ints:
        return np.bincount(features.burn(Tile.from_key(key), lock.feature_indices[key]).ravel(), minlength=256)

    return {key: former[key] if key in former else count(key) for key in keys}


def deselect(config: SelectConfig, labels: LabelsConfig, counts: Counts, seed: int) -> dict[str, str]:
    """Returns the reason, by key, for each tile that the config does not select.

    Args:
        config: The limits.
        labels: How labels are burned: the background and unknown values are not labelled.
        counts: The pixels of all tiles.
        seed: Changes which empty tiles are kept.
    """
    reasons = ((key, _reason(config, labels, key, pixels, seed)) for key, pixels in counts.items())
    return {key: reason for key, reason in reasons if reason}


def _reason(config: SelectConfig, labels: LabelsConfig, key: str, pixels: Ints, seed: int) -> str:
    total = int(pixels.sum())
    labelled = total - sum(int(pixels[value]) for value in {labels.background, labels.unknown} if value is not None)
    if labelled == 0 and config.empty is not None:
        kept = int(digest("empty", seed, key), 16) / 2**64 < config.empty
        return "" if kept else f"select: no pixel is labelled, and select.empty keeps {config.empty:g} of such tiles"
    limits = {"labelled": (labelled, config.labelled)}
    limits |= {f"classes.{value}": (int(pixels[value]), span) for value, span in config.class_ranges.items()}
    for name, (count, span) in limits.items():
        if not span.min <= count / total <= span.max:
            end, limit = ("min", span.min) if count / total < span.min else ("max", span.max)
            return f"select: {count} of {total} pixels are {name}, select.{name}.{end} is {limit:g}"
    return ""


def read_counts(path: Path, lock: LabelLock) -> Counts:
    """Returns the counts in a file of splits for tiles whose labels are still the same."""
    names, counts = ["key", "label", "values", "pixels"], {}
    table = read_parquet(path, names)
    if len(table.column_names) < len(names):
        return {}
    for key, label, values, pixels in zip(*(table[name].to_pylist() for name in names), strict=True):
        if label and lock.digests.get(key) == label:
            counts[key] = np.zeros(256, np.int64)
            counts[key][values] = pixels
    return counts


def count_columns(keys: Sequence[str], lock: LabelLock, counts: Counts) -> dict[str, object]:
    """Returns columns for `read_counts`: the label chip's digest, its values and their pixels, null if not counted."""
    import pyarrow as pa

    values = [np.flatnonzero(counts[key]) if key in counts else None for key in keys]
    pixels = [None if some is None else counts[key][some] for key, some in zip(keys, values, strict=True)]
    labels = [lock.digests[key] if key in counts else None for key in keys]
    return {
        "label": pa.array(labels, pa.string()),
        "values": pa.array(values, pa.list_(pa.uint8())),
        "pixels": pa.array(pixels, pa.list_(pa.int32())),
    }
