"""Scene lock files: GeoParquet that pins which scenes each tile is made from."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from segchips.config.layers import UNNAMED
from segchips.errors import InputError
from segchips.files import atomic_path, digest
from segchips.grids.tile_array import TileKeys
from segchips.scenes.model import Scene, assets_from_json, assets_to_json
from segchips.scenes.pinning import PinnedTiles, SceneLock

_KEYS = "tiles.list.element"
"""The Parquet column of the keys in the lists of tiles, which are read as numbers of distinct keys."""
_MAX_DICTIONARY = 1 << 30
"""Bytes of distinct keys that Parquet stores once, instead of in every list."""


def write_locks(path: Path, locks: Mapping[str, SceneLock]) -> None:
    """Write the locks of a dataset's layers as GeoParquet: a row for each scene in use, with the keys of its tiles.

    Args:
        path: The file to write.
        locks: The lock of each layer. Those of named layers have a column `layer`.
    """
    parts, about = [], {}
    for layer, lock in locks.items():
        table = _table(lock)
        empty = np.array([not indices for indices in lock.tiles.sets])
        without_scenes = sorted(lock.tiles.tiles.column.filter(pa.array(empty[lock.tiles.numbers])).to_pylist())
        about[layer] = {"query": json.loads(lock.query), "tiles_without_scenes": without_scenes}
        parts.append(table if layer == UNNAMED else table.add_column(0, "layer", [pa.array([layer] * len(table))]))
    table = pa.concat_tables(parts).unify_dictionaries().combine_chunks()
    header = dict(about.get(UNNAMED, {"layers": about}))
    header["digest"] = lock_digest(header, table)
    geometry = {"encoding": "WKB", "geometry_types": []}
    geo = {"version": "1.0.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
    # Without Arrow's own schema, readers get the keys as texts and not as numbers of distinct texts.
    how = {"compression": "zstd", "dictionary_pagesize_limit": _MAX_DICTIONARY, "store_schema": False}
    with atomic_path(path) as part, pq.ParquetWriter(part, table.schema, **how) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"geo": json.dumps(geo), "segchips": json.dumps(header)})


def _table(lock: SceneLock) -> pa.Table:
    order = pc.sort_indices(lock.tiles.tiles.column).to_numpy()
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    rows_by_scene = lock.tiles.rows_by_scene()
    scenes = [lock.scenes[index] for index in rows_by_scene]
    ranks = [np.sort(rank[rows]) for rows in rows_by_scene.values()]
    ends = pa.array(np.cumsum([0, *map(len, ranks)]), pa.int32())
    numbers = pa.array(np.concatenate([np.empty(0, np.int32), *ranks]))
    keys = pa.DictionaryArray.from_arrays(numbers, lock.tiles.tiles.column.take(pa.array(order)))
    return pa.table(
        {
            "product": pa.array([scene.product for scene in scenes], pa.string()),
            "scene": pa.array([scene.id for scene in scenes], pa.string()),
            "acquired": pa.array([scene.acquired for scene in scenes], pa.timestamp("us", "UTC")),
            "cloud": pa.array([scene.cloud for scene in scenes], pa.float64()),
            "assets": pa.array([assets_to_json(scene.assets) for scene in scenes], pa.string()),
            "tiles": pa.ListArray.from_arrays(ends, keys),
            "geometry": pa.array([scene.footprint for scene in scenes], pa.binary()),
        }
    )


def read_locks(path: Path) -> dict[str, SceneLock]:
    """Read the lock of each layer.

    Raises:
        InputError: The file is not a scene lock, or its content has changed since it was written.
    """
    try:
        with pq.ParquetFile(path, read_dictionary=[_KEYS]) as file:
            table = file.read().unify_dictionaries().combine_chunks()
        header = json.loads(table.schema.metadata[b"segchips"])
        if header.pop("digest") != lock_digest(header, table):
            raise ValueError("checksum")
        layers = header.get("layers", {UNNAMED: header})
        return {layer: _lock(about, _rows_of(table, layer)) for layer, about in layers.items()}
    except Exception as error:  # a damaged file can raise almost anything from Arrow or from the code above
        raise InputError(
            f"{path}: not a scene lock ({type(error).__name__}); delete it and run again to resolve the scenes"
        ) from error


def _rows_of(table: pa.Table, layer: str) -> pa.Table:
    return table if layer == UNNAMED else table.filter(pc.equal(table["layer"], layer)).combine_chunks()


def _lock(about: Mapping[str, Any], table: pa.Table) -> SceneLock:
    names = ("product", "scene", "acquired", "cloud", "assets", "geometry")
    scenes = []
    for product, name, acquired, cloud, assets, footprint in zip(
        *(table[key].to_pylist() for key in names), strict=True
    ):
        scenes.append(Scene(product, name, acquired.astimezone(UTC), cloud, assets_from_json(assets), footprint))
    lists: pa.ListArray = (
        table["tiles"].chunk(0) if len(table) else pa.array([], pa.list_(pa.dictionary(pa.int32(), pa.string())))
    )
    keys: pa.DictionaryArray = lists.flatten()
    used, numbers = np.unique(keys.indices.to_numpy(), return_inverse=True)
    tiles = pa.concat_arrays(
        [pa.array(about["tiles_without_scenes"], pa.string()), keys.dictionary.take(pa.array(used))]
    )
    numbers += len(about["tiles_without_scenes"])
    ends = np.cumsum(lists.value_lengths().to_numpy(zero_copy_only=False)).tolist()
    pinned = PinnedTiles.from_scenes(TileKeys(tiles), np.split(numbers, ends[:-1]) if ends else ())
    return SceneLock(json.dumps(about["query"], sort_keys=True), tuple(scenes), pinned)


def lock_digest(header: Mapping[str, object], table: pa.Table) -> str:
    """Digest the whole content of a lock; the checksums of compressed Parquet miss flipped bits."""
    columns = (part for name in sorted(table.column_names) for part in (name, *_content(table[name])))
    return digest(json.dumps(header, sort_keys=True), *columns)


def _content(column: pa.ChunkedArray) -> Iterator[bytes]:
    """The type and values of a column as bytes, the same however Arrow stores them: each list and text by itself."""
    kind = column.type.value_type if pa.types.is_list(column.type) else column.type
    yield str(kind.value_type if pa.types.is_dictionary(kind) else kind).encode()
    for chunk in column.chunks:
        yield pc.is_valid(chunk).cast(pa.uint8()).to_numpy().tobytes()
        if pa.types.is_list(chunk.type):
            yield from (part for values in chunk for part in _texts(values.values))
        elif pa.types.is_string(chunk.type) or pa.types.is_binary(chunk.type):
            yield from _texts(chunk)
        else:
            numbers = chunk.cast(pa.int64()) if pa.types.is_timestamp(chunk.type) else chunk
            yield numbers.fill_null(0).to_numpy(zero_copy_only=False).astype(numbers.type.to_pandas_dtype()).tobytes()


def _texts(values: pa.Array) -> Iterator[bytes]:
    """The lengths of texts, and all their bytes."""
    plain = values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values
    yield pc.fill_null(pc.binary_length(plain), 0).to_numpy().astype("<i8").tobytes()
    yield b"".join(plain.cast(pa.binary()).drop_null().to_pylist())
