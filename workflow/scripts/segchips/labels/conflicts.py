"""The conflicts step: how many pixels of each tile features of different classes claim, and where these tiles are."""

from collections.abc import Mapping
from pathlib import Path

from segchips.files import read_parquet
from segchips.grids.outlines import outlines
from segchips.grids.tile import Tile
from segchips.labels.features import LabelFeatures
from segchips.labels.lock import LabelLock
from segchips.vectors.geoparquet import write_geoparquet


def write_conflicts(path: Path, features: LabelFeatures, lock: LabelLock) -> str:
    """Write GeoParquet of all tiles with the pixels in conflict, counting anew where labels changed; tells the sum."""
    known = _known(path, lock) if path.exists() else {}
    tiles = [Tile.from_key(key) for key in lock.digests]
    pixels = [
        known[tile.key] if tile.key in known else features.conflicts(tile, lock.features[tile.key]) for tile in tiles
    ]
    columns = {"key": list(lock.digests), "label": list(lock.digests.values()), "pixels": pixels}
    write_geoparquet(path, columns, outlines(tiles))
    return f"{sum(pixels)} pixels of {sum(map(bool, pixels))} tiles lie in features of different classes"


def read_conflicts(path: Path) -> dict[str, int]:
    """The pixels in conflict by tile key."""
    return {key: pixels for key, _, pixels in _rows(path)}


def _known(path: Path, lock: LabelLock) -> Mapping[str, int]:
    return {key: pixels for key, label, pixels in _rows(path) if lock.digests.get(key) == label}


def _rows(path: Path) -> list[tuple[str, str, int]]:
    names = ["key", "label", "pixels"]
    table = read_parquet(path, names)
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))
