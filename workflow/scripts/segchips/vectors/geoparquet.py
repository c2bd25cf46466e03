"""Writes GeoParquet."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from segchips.arrays import Floats
from segchips.files import atomic_path
from segchips.vectors.antimeridian import WGS84
from segchips.vectors.geometry import Geometries


def write_geoparquet(
    path: str | Path,
    columns: Mapping[str, Any],
    geometry: Geometries | Iterable[Geometries],
    about: Mapping[str, str] | None = None,
) -> None:
    """Writes a GeoParquet 1.1 file, the same bytes for the same content.

    Args:
        path: The file.
        columns: Lists or Arrow arrays, by name.
        geometry: Lon/lat geometries of the same length, at least one; the last column. They may come in parts.
        about: Further metadata of the file, as text by key.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types, boxes, chunks = set[str](), list[Floats](), list[pa.Array]()
    for part in [geometry] if isinstance(geometry, np.ndarray) else geometry:
        types.update(geometry_types(part))
        boxes.append(shapely.total_bounds(part))
        chunks.append(pa.array(shapely.to_wkb(part, byte_order=1), pa.binary()))
    table = pa.table({**columns, "geometry": pa.chunked_array(chunks)}).combine_chunks()
    bounds = [*np.min(boxes, axis=0)[:2].tolist(), *np.max(boxes, axis=0)[2:].tolist()]
    table = table.replace_schema_metadata({"geo": json.dumps(_geo_metadata(types, bounds)), **(about or {})})
    with atomic_path(path) as file:
        pq.write_table(table, file, compression="zstd")


def geometry_types(geometry: Geometries) -> set[str]:
    """Returns the types of geometries as GeoParquet names them, such as `Polygon`."""
    _, first = np.unique(shapely.get_type_id(geometry), return_index=True)
    return {geometry[index].geom_type for index in first.tolist()}


def _geo_metadata(types: Iterable[str], bounds: Sequence[float]) -> dict[str, Any]:
    column = {"encoding": "WKB", "geometry_types": sorted(types), "crs": WGS84.to_json_dict(), "bbox": bounds}
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
