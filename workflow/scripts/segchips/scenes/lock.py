"""Scene lock files: GeoParquet that pins which scenes each tile is made from."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from segchips.config.layers import UNNAMED
from segchips.errors import InputError
from segchips.files import atomic_path, digest, read_parquet
from segchips.scenes.model import Scene, assets_from_json, assets_to_json
from segchips.scenes.pinning import SceneLock

_UTC_ZONE = ZoneInfo("UTC")


def write_locks(path: Path, locks: Mapping[str, SceneLock]) -> None:
    """Write the locks of a dataset's layers as GeoParquet: a row for each scene in use, with the keys of its tiles.

    Args:
        path: The file to write.
        locks: The lock of each layer. Those of named layers have a column `layer`.
    """
    parts, about = [], {}
    for layer, lock in locks.items():
        table = _table(lock)
        without_scenes = sorted(key for key, indices in lock.tiles.items() if not indices)
        about[layer] = {"query": json.loads(lock.query), "tiles_without_scenes": without_scenes}
        parts.append(table if layer == UNNAMED else table.add_column(0, "layer", [pa.array([layer] * len(table))]))
    table = pa.concat_tables(parts)
    header = dict(about.get(UNNAMED, {"layers": about}))
    header["digest"] = lock_digest(header, table.to_pydict())
    geometry = {"encoding": "WKB", "geometry_types": []}
    geo = {"version": "1.0.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
    metadata = {"geo": json.dumps(geo), "segchips": json.dumps(header)}
    with atomic_path(path) as part:
        pq.write_table(table.replace_schema_metadata(metadata).combine_chunks(), part, compression="zstd")


def _table(lock: SceneLock) -> pa.Table:
    tiles: dict[int, list[str]] = {}
    for key, indices in lock.tiles.items():
        for index in indices:
            tiles.setdefault(index, []).append(key)
    rows = [(lock.scenes[index], sorted(tiles[index])) for index in sorted(tiles)]
    return pa.table(
        {
            "product": pa.array([scene.product for scene, _ in rows], pa.string()),
            "scene": pa.array([scene.id for scene, _ in rows], pa.string()),
            "acquired": pa.array([scene.acquired for scene, _ in rows], pa.timestamp("us", "UTC")),
            "cloud": pa.array([scene.cloud for scene, _ in rows], pa.float64()),
            "assets": pa.array([assets_to_json(scene.assets) for scene, _ in rows], pa.string()),
            "tiles": pa.array([keys for _, keys in rows], pa.list_(pa.string())),
            "geometry": pa.array([scene.footprint for scene, _ in rows], pa.binary()),
        }
    )


def read_locks(path: Path) -> dict[str, SceneLock]:
    """Read the lock of each layer.

    Raises:
        InputError: The file is not a scene lock, or its content has changed since it was written.
    """
    try:
        table = read_parquet(path)
        header = json.loads(table.schema.metadata[b"segchips"])
        columns = table.to_pydict()
        if header.pop("digest") != lock_digest(header, columns):
            raise ValueError("checksum")
        rows: dict[str, list[int]] = {}
        for number, layer in enumerate(columns.get("layer") or [UNNAMED] * len(table)):
            rows.setdefault(layer, []).append(number)
        layers = header.get("layers", {UNNAMED: header})
        return {layer: _lock(about, columns, rows.get(layer, [])) for layer, about in layers.items()}
    except Exception as error:  # a damaged file can raise almost anything from Arrow or from the code above
        raise InputError(
            f"{path}: not a scene lock ({type(error).__name__}); delete it and run again to resolve the scenes"
        ) from error


def _lock(about: Mapping[str, Any], columns: Mapping[str, Sequence[Any]], rows: Sequence[int]) -> SceneLock:
    names = ("product", "scene", "acquired", "cloud", "assets", "geometry")
    scenes = []
    for product, name, acquired, cloud, assets, footprint in ([columns[key][row] for key in names] for row in rows):
        scenes.append(Scene(product, name, acquired.astimezone(UTC), cloud, assets_from_json(assets), footprint))
    tiles: dict[str, list[int]] = {key: [] for key in about["tiles_without_scenes"]}
    for index, row in enumerate(rows):
        for key in columns["tiles"][row]:
            tiles.setdefault(key, []).append(index)
    query = json.dumps(about["query"], sort_keys=True)
    return SceneLock(query, tuple(scenes), {key: tuple(indices) for key, indices in tiles.items()})


def lock_digest(header: Mapping[str, object], columns: Mapping[str, Sequence[object]]) -> str:
    """Digest the whole content of a lock; the checksums of compressed Parquet miss flipped bits."""
    return digest(
        json.dumps(header, sort_keys=True),
        *([_plain_time(value) for value in columns[name]] for name in sorted(columns)),
    )


def _plain_time(value: object) -> object:
    """Give a time one text form: its time zone comes from pytz or zoneinfo, depending on pyarrow's release."""
    return value.astimezone(_UTC_ZONE) if isinstance(value, datetime) else value
