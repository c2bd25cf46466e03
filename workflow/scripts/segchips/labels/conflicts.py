"""The conflicts step: count the pixels of each tile that lie in features of different classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from segchips.files import digest, read_parquet
from segchips.grids.outlines import core_outlines
from segchips.grids.tile import Tile
from segchips.labels.features import LabelFeatures
from segchips.labels.lock import LabelLock
from segchips.vectors.geoparquet import write_geoparquet


def write_conflicts(path: Path, targets: Sequence[tuple[LabelFeatures, LabelLock]]) -> str:
    """Write GeoParquet with a row for each tile: key, label digest, pixels in conflict, core box in lon/lat.

    Pixels of several targets are added up. Counts that the file already holds are kept for tiles whose label digest is
    unchanged.

    Args:
        path: The file to write or update.
        targets: The features and the label lock of each target.

    Returns:
        A sentence that says how many pixels of how many tiles are in conflict.
    """
    digests = _digests([lock for _, lock in targets])
    unchanged = _unchanged_counts(path, digests) if path.exists() else {}
    tiles = [Tile.from_key(key) for key in digests]
    pixels = [unchanged[tile.key] if tile.key in unchanged else _count(tile, targets) for tile in tiles]
    columns = {"key": list(digests), "label": list(digests.values()), "pixels": pixels}
    write_geoparquet(path, columns, core_outlines(tiles))
    return f"{sum(pixels)} pixels of {sum(map(bool, pixels))} tiles lie in features of different classes"


def read_conflicts(path: Path) -> dict[str, int]:
    """Read how many pixels are in conflict, by tile key."""
    return {key: pixels for key, _, pixels in _read_rows(path)}


def _digests(locks: Sequence[LabelLock]) -> Mapping[str, str]:
    """A digest of the labels of each tile."""
    first, *others = locks
    if not others:
        return first.digests
    return {key: digest(text, *(lock.digests[key] for lock in others)) for key, text in first.digests.items()}


def _count(tile: Tile, targets: Sequence[tuple[LabelFeatures, LabelLock]]) -> int:
    return sum(features.count_conflicts(tile, lock.feature_indices[tile.key]) for features, lock in targets)


def _unchanged_counts(path: Path, digests: Mapping[str, str]) -> Mapping[str, int]:
    return {key: pixels for key, label, pixels in _read_rows(path) if digests.get(key) == label}


def _read_rows(path: Path) -> list[tuple[str, str, int]]:
    names = ["key", "label", "pixels"]
    table = read_parquet(path, names)
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))
