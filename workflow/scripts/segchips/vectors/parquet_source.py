"""GeoParquet, read by pyarrow, as many builds of GDAL lack the driver."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import shapely

from segchips.arrays import Array, Ints
from segchips.errors import InputError

T = TypeVar("T")
_SUFFIXES = (".parquet", ".geoparquet", ".pq")
_LONLAT = "OGC:CRS84"
"""The CRS of GeoParquet that names none."""


def is_parquet(path: str) -> bool:
    """Whether a file, or a folder of parts, is Parquet, whatever its content."""
    place = Path(path)
    if place.is_dir():
        return any(part.suffix.lower() in _SUFFIXES for part in place.iterdir())
    return place.suffix.lower() in _SUFFIXES and place.exists()


def read_schema(path: str) -> tuple[str | None, list[str]]:
    """Returns the CRS of the primary geometry, None where it is undefined, and the names of the other columns.

    Raises:
        InputError: The file is not GeoParquet.
    """
    import pyarrow.dataset as ds

    schema = _reading(path, lambda: ds.dataset(path, format="parquet").schema)
    geo = _geo_metadata(path, schema.metadata)
    crs = geo["columns"][geo["primary_column"]].get("crs", _LONLAT)
    fields = [name for name in schema.names if name not in geo["columns"]]
    return crs if crs is None or isinstance(crs, str) else json.dumps(crs), fields


def read_rows(path: str, columns: Sequence[str]) -> tuple[Ints, npt.NDArray[np.object_], list[Array]]:
    """Returns row numbers (n), geometries as WKB (n) and the values (n) of each of the columns.

    Raises:
        InputError: The file cannot be read, or its geometries are broken.
    """
    import geopandas

    geometry = _geo_metadata(path, _metadata(path))["primary_column"]
    wanted = list(dict.fromkeys([*columns, geometry]))
    frame = _reading(path, lambda: geopandas.read_parquet(path, columns=wanted))
    shapes = shapely.force_2d(np.asarray(frame[geometry].array, dtype=object))
    return np.arange(len(frame)), shapely.to_wkb(shapes), [_values(frame[column]) for column in columns]


def read_frame(path: str) -> Any:
    """Returns the columns other than geometries as a data frame; raises InputError as `read_rows` does."""
    import pandas

    _, fields = read_schema(path)
    return _reading(path, lambda: pandas.read_parquet(path, columns=fields))


def _metadata(path: str) -> dict[bytes, bytes] | None:
    import pyarrow.dataset as ds

    metadata: dict[bytes, bytes] | None = _reading(path, lambda: ds.dataset(path, format="parquet").schema.metadata)
    return metadata


def _geo_metadata(path: str, metadata: dict[bytes, bytes] | None) -> dict[str, Any]:
    try:
        geo: dict[str, Any] = json.loads((metadata or {})[b"geo"])
        geo["columns"][geo["primary_column"]]
    except (KeyError, TypeError, ValueError) as error:
        advice = "write it with GeoPandas or GDAL, or name a GeoPackage"
        raise InputError(f"'{path}' is Parquet without the metadata of GeoParquet; {advice}") from error
    return geo


def _reading(path: str, read: Callable[[], T]) -> T:
    import pyarrow as pa

    try:
        return read()
    except (OSError, ValueError, TypeError, pa.ArrowException, shapely.GEOSException) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"'{path}' cannot be read as GeoParquet: {reason}") from error


def _values(column: Any) -> Array:
    """Values as NumPy has them; texts, and what may be missing, as objects."""
    if column.dtype.kind in "iufb" and isinstance(column.dtype, np.dtype):
        return np.asarray(column)
    return np.array([None if missing else value for value, missing in zip(column, column.isna(), strict=True)], object)
