"""The conflicts step: count the pixels of each tile that lie in features of different classes."""

from collections.abc import Mapping
from pathlib import Path

from segchips.files import read_parquet
from segchips.grids.outlines import core_outlines
from segchips.grids.tile import Tile
from segchips.labels.features import LabelFeatures
from segchips.labels.lock import LabelLock
from segchips.vectors.geoparquet import write_geoparquet


def write_conflicts(path: Path, features: LabelFeatures, lock: LabelLock) -> str:
    """Write GeoParquet with a row for each tile: key, label digest, pixels in conflict, core box in lon/lat.

    Counts that the file already holds are kept for tiles whose label digest is unchanged.

    Args:
        path: The file to write or update.
        features: The features of the dataset's label layers.
        lock: The label lock, which names the tiles.

    Returns:
        A sentence that says how many pixels of how many tiles are in conflict.
    """
    unchanged = _unchanged_counts(path, lock) if path.exists() else {}
    tiles = [Tile.from_key(key) for key in lock.digests]
    pixels = [
        unchanged[tile.key] if tile.key in unchanged else features.count_conflicts(tile, lock.feature_indices[tile.key])
        for tile in tiles
    ]
    columns = {"key": list(lock.digests), "label": list(lock.digests.values()), "pixels": pixels}
    write_geoparquet(path, columns, core_outlines(tiles))
    return f"{sum(pixels)} pixels of {sum(map(bool, pixels))} tiles lie in features of different classes"


def read_conflicts(path: Path) -> dict[str, int]:
    """Read how many pixels are in conflict, by tile key."""
    return {key: pixels for key, _, pixels in _read_rows(path)}


def _unchanged_counts(path: Path, lock: LabelLock) -> Mapping[str, int]:
    return {key: pixels for key, label, pixels in _read_rows(path) if lock.digests.get(key) == label}


def _read_rows(path: Path) -> list[tuple[str, str, int]]:
    names = ["key", "label", "pixels"]
    table = read_parquet(path, names)
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))
