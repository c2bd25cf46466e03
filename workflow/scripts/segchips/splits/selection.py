"""Which tiles the config selects by the pixels of their labels, before any image is retrieved."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from segchips.arrays import Ints
from segchips.config.labels import LabelsConfig
from segchips.config.splitting import SelectConfig
from segchips.files import digest, read_parquet
from segchips.grids.tile import Tile
from segchips.grids.tile_array import TileKeys
from segchips.labels.features import LabelFeatures
from segchips.labels.lock import LabelLock

Counts = Mapping[str, Ints]
"""The number of pixels (256) of each label value, by tile key."""
_COLUMNS = {"label": pa.string(), "values": pa.list_(pa.uint8()), "pixels": pa.list_(pa.int32())}
"""The columns of a file of splits that hold counts: the label chip's digest, its values and their pixels."""


@dataclass(frozen=True, eq=False)
class StoredCounts(Mapping[str, Ints]):
    """Counts in columns.

    Attributes:
        keys_counted: The tiles (n).
        values: The label values of each (n).
        pixels: The pixels of each of these values (n).
    """

    keys_counted: TileKeys
    values_counted: pa.ListArray
    pixels: pa.ListArray

    @classmethod
    def of(cls, keys: Sequence[str], counts: Iterator[Ints]) -> "StoredCounts":
        """Stores the counts of tiles."""
        values, pixels = list[bytes](), list[bytes]()
        for some in counts:
            present = np.flatnonzero(some)
            values.append(present.astype(np.uint8).tobytes())
            pixels.append(some[present].astype(np.int32).tobytes())
        ends = pa.array(np.cumsum([0, *map(len, values)]), pa.int32())
        flat = np.frombuffer(b"".join(values), np.uint8), np.frombuffer(b"".join(pixels), np.int32)
        return cls(TileKeys(keys), *(pa.ListArray.from_arrays(ends, pa.array(part)) for part in flat))

    def __getitem__(self, key: str) -> Ints:
        row, counts = self.keys_counted.row(key), np.zeros(256, np.int64)
        counts[self.values_counted[row].values.to_numpy()] = self.pixels[row].values.to_numpy()
        return counts

    def __len__(self) -> int:
        return len(self.keys_counted)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys_counted)


def count_classes(labels: LabelsConfig, lock: LabelLock, keys: Sequence[str], former: Counts) -> Counts:
    """Counts the pixels of each value in the label chips of tiles.

    Args:
        labels: How labels are burned.
        lock: The features of each tile.
        keys: The tiles.
        former: Counts that still hold, whose tiles are not burned again.
    """
    if labels.kind != "classes":
        return StoredCounts.of(keys, (np.zeros(256, np.int64) for _ in keys))
    features = None if all(key in former for key in keys) else LabelFeatures(labels)

    def count(key: str) -> Ints:
        if features is None or key in former:
            return former[key]
        return np.bincount(features.burn(Tile.from_key(key), lock.feature_indices[key]).ravel(), minlength=256)

    return StoredCounts.of(keys, map(count, keys))


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
    table = read_parquet(path, ["key", *_COLUMNS])
    if len(table.column_names) <= len(_COLUMNS):
        return {}
    keys = TileKeys(table["key"])
    place = lock.keys.rows(keys)
    now = lock.digests.column.take(pa.array(place, pa.int64(), mask=place < 0))
    same = pc.fill_null(pc.equal(table["label"], now), False)
    kept = table.filter(same).combine_chunks()
    columns = (kept[name].combine_chunks() for name in ("values", "pixels"))
    return StoredCounts(TileKeys(kept["key"]), *columns)


def count_columns(keys: Sequence[str], lock: LabelLock, counts: Counts) -> dict[str, pa.Array]:
    """Returns the columns that `read_counts` reads, null where nothing was counted."""
    if not isinstance(counts, StoredCounts):
        return {name: pa.nulls(len(keys), kind) for name, kind in _COLUMNS.items()}
    labels = lock.digests.column.take(pa.array(lock.keys.rows(counts.keys_counted)))
    return dict(zip(_COLUMNS, (labels, counts.values_counted, counts.pixels), strict=True))
