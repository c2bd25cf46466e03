"""Writes GeoParquet."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import shapely

from segchips.files import atomic_path
from segchips.vectors.antimeridian import WGS84
from segchips.vectors.geometry import Geometries


def write_geoparquet(
    path: str | Path, columns: Mapping[str, Any], geometry: Geometries, about: Mapping[str, str] | None = None
) -> None:
    """Writes a GeoParquet 1.1 file, the same bytes for the same content.

    Args:
        path: The file.
        columns: Lists or Arrow arrays, by name.
        geometry: Lon/lat geometries of the same length, at least one; the last column.
        about: Further metadata of the file, as text by key.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({**columns, "geometry": pa.array(shapely.to_wkb(geometry, byte_order=1), pa.binary())})
    table = table.replace_schema_metadata({"geo": json.dumps(_geo_metadata(geometry)), **(about or {})})
    with atomic_path(path) as part:
        pq.write_table(table, part, compression="zstd")


def _geo_metadata(geometry: Geometries) -> dict[str, Any]:
    column = {
        "encoding": "WKB",
        "geometry_types": sorted({shape.geom_type for shape in geometry}),
        "crs": WGS84.to_json_dict(),
        "bbox": shapely.total_bounds(geometry).tolist(),
    }
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
