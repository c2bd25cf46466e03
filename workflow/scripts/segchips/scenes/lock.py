"""Scene lock files: GeoParquet that pins which scenes each tile is made from."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from segchips.errors import InputError
from segchips.files import atomic_path, digest, read_parquet
from segchips.scenes.model import Scene, assets_from_json, assets_to_json
from segchips.scenes.pinning import SceneLock

_UTC_ZONE = ZoneInfo("UTC")


def write_lock(path: Path, lock: SceneLock) -> None:
    """Write the lock as GeoParquet: one row for each scene in use, with the keys of its tiles."""
    tiles: dict[int, list[str]] = {}
    for key, indices in lock.tiles.items():
        for index in indices:
            tiles.setdefault(index, []).append(key)
    rows = [(lock.scenes[index], sorted(tiles[index])) for index in sorted(tiles)]
    table = pa.table(
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
    geometry = {"encoding": "WKB", "geometry_types": []}
    geo = {"version": "1.0.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
    without_scenes = sorted(key for key, indices in lock.tiles.items() if not indices)
    header = {"query": json.loads(lock.query), "tiles_without_scenes": without_scenes}
    header["digest"] = lock_digest(header, table.to_pydict())
    metadata = {"geo": json.dumps(geo), "segchips": json.dumps(header)}
    with atomic_path(path) as part:
        pq.write_table(table.replace_schema_metadata(metadata), part, compression="zstd")


def read_lock(path: Path) -> SceneLock:
    """Read a lock file.

    Raises:
        InputError: The file is not a scene lock, or its content has changed since it was written.
    """
    try:
        table = read_parquet(path)
        header = json.loads(table.schema.metadata[b"segchips"])
        columns = table.to_pydict()
        if header.pop("digest") != lock_digest(header, columns):
            raise ValueError("checksum")
        scenes = tuple(
            Scene(product, name, acquired.astimezone(UTC), cloud, assets_from_json(assets), footprint)
            for product, name, acquired, cloud, assets, footprint in zip(
                *(columns[key] for key in ("product", "scene", "acquired", "cloud", "assets", "geometry")), strict=True
            )
        )
        tiles: dict[str, list[int]] = {key: [] for key in header["tiles_without_scenes"]}
        for index, keys in enumerate(columns["tiles"]):
            for key in keys:
                tiles.setdefault(key, []).append(index)
        query = json.dumps(header["query"], sort_keys=True)
    except Exception as error:  # a damaged file can raise almost anything from Arrow or from the code above
        raise InputError(
            f"{path}: not a scene lock ({type(error).__name__}); delete it and run again to resolve the scenes"
        ) from error
    return SceneLock(query, scenes, {key: tuple(indices) for key, indices in tiles.items()})


def lock_digest(header: Mapping[str, object], columns: Mapping[str, Sequence[object]]) -> str:
    """Digest the whole content of a lock; the checksums of compressed Parquet miss flipped bits."""
    return digest(
        json.dumps(header, sort_keys=True),
        *([_plain_time(value) for value in columns[name]] for name in sorted(columns)),
    )


def _plain_time(value: object) -> object:
    """Give a time one text form: its time zone comes from pytz or zoneinfo, depending on pyarrow's release."""
    return value.astimezone(_UTC_ZONE) if isinstance(value, datetime) else value
