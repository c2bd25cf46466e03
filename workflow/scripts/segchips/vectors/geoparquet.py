"""TODO: describe."""

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
    """Write columns (lists or Arrow arrays) and lon/lat geometries as GeoParquet 1.1; `about` is further metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({**columns, "geometry": pa.array(shapely.to_wkb(geometry, byte_order=1), pa.binary())})
    table = table.replace_schema_metadata({"geo": json.dumps(_geo_metadata(geometry)), **(about or {})})
    with atomic_path(path) as part:
        pq.write_table(table, part, compression="zstd")


def _geo_metadata(geometry: Geometries) -> dict[str, Any]:
    column = {
        "encoding": "WKB",
        "geometry_types": sorted({polygon.geom_type for polygon in geometry}),
        "crs": WGS84.to_json_dict(),
        "bbox": shapely.total_bounds(geometry).tolist(),
    }
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
