"""Vector files of any format: their layers, and the features as the file holds them."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from segchips.arrays import Array, Ints
from segchips.errors import InputError
from segchips.vectors import parquet_source
from segchips.vectors.options import ReadOptions

T = TypeVar("T")


@dataclass(frozen=True)
class LayerInfo:
    """What a file says of a layer: its name, CRS as text (None if it names none), and attributes."""

    name: str
    crs: str | None
    fields: Sequence[str]
    fid_column: str


@dataclass(frozen=True)
class RawFeatures:
    """Features in the file's order: ids (n), WKB or None (n), and the values (n) of each column that was asked for."""

    fids: Ints
    wkb: npt.NDArray[np.object_]
    columns: Sequence[Array]


def layer_names(path: str) -> list[str]:
    """Returns the names of the spatial layers of a file, folder or other GDAL source.

    Raises:
        InputError: The source does not exist, cannot be read, or has no spatial layer.
    """
    if parquet_source.is_parquet(path):
        return [Path(path).stem]
    names = _readable_layers(path)
    if not names:
        raise InputError(f"'{path}' has no layer with geometries")
    return names


def _readable_layers(path: str) -> list[str]:
    import pyogrio

    try:
        return [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    except pyogrio.errors.DataSourceError as error:
        if not Path(path).exists() and ":" not in path and not path.startswith("/vsi"):
            raise InputError(f"'{path}' does not exist; correct the path, or put the file there") from error
        advice = "name a GeoPackage, shapefile or other vector file"
        raise InputError(f"'{path}' cannot be read as a vector layer ({_brief(error)}); {advice}") from error
    except pyogrio.errors.GeometryError:  # one layer of surfaces hides the names of all others
        return _geopackage_layers(path) or _layers_by_number(path)


def _geopackage_layers(path: str) -> list[str]:
    import pyogrio.raw

    try:
        names = pyogrio.raw.read(path, sql="SELECT table_name FROM gpkg_geometry_columns")[3][0]
    except RuntimeError:
        return []
    return [str(name) for name in names]


def _layers_by_number(path: str) -> list[str]:
    """The layers whose type of geometry pyogrio knows, and the one that is named after its file."""
    import pyogrio

    names, number = [], 0
    while True:
        try:
            info = pyogrio.read_info(path, layer=number)
        except pyogrio.errors.GeometryError:
            names += [Path(path).stem] if number == 0 else []
        except pyogrio.errors.DataLayerError:
            return list(dict.fromkeys(names))
        else:
            names += [str(info["layer_name"])] if info["geometry_type"] else []
        number += 1


def layer_name(path: str, layer: str | None) -> str:
    """Returns the name of the layer that is meant: the one that is named, or else the only one.

    Raises:
        InputError: The source cannot be read, has no such layer, or has several and none is named.
    """
    names = layer_names(path)
    if layer is None and len(names) > 1:
        raise InputError(
            f"'{path}' has several layers; name one with `layer` (for segchips init: --layer): {listed(names)}"
        )
    name = names[0] if layer is None else layer
    if name not in names:
        raise InputError(f"'{path}' has no layer '{name}'{suggestion(name, names)}; it has {listed(names)}")
    return name


def layer_info(path: str, name: str, options: ReadOptions) -> LayerInfo:
    """Returns what the file says of a layer.

    Raises:
        InputError: The layer cannot be read.
    """
    import pyogrio

    if parquet_source.is_parquet(path):
        crs, fields = parquet_source.read_schema(path)
        return LayerInfo(name, crs, fields, "")

    def read(source: str) -> dict[str, Any]:
        return pyogrio.read_info(source, layer=name, encoding=options.encoding)

    info = _reading(path, name, options, read)
    fields = [str(field) for field in info["fields"]]
    return LayerInfo(name, info["crs"], fields, str(info.get("fid_column") or ""))


def read_features(path: str, name: str, columns: Sequence[str], options: ReadOptions) -> RawFeatures:
    """Reads the geometries of a layer, flat, and the columns that are named.

    Raises:
        InputError: The layer cannot be read, or its texts are not in their encoding.
    """
    import pyogrio.raw

    if parquet_source.is_parquet(path):
        return RawFeatures(*parquet_source.read_rows(path, columns))

    def read(source: str) -> Any:
        return pyogrio.raw.read(
            source, layer=name, columns=columns, return_fids=True, force_2d=True, encoding=options.encoding
        )

    meta, fids, wkb, values = _reading(path, name, options, read)
    by_name = dict(zip(map(str, meta["fields"]), values, strict=True))
    wkb = np.full(len(fids), None, dtype=object) if wkb is None else wkb
    return RawFeatures(fids.astype(np.int64), wkb, [by_name[column] for column in columns])


def read_attributes(path: str, name: str) -> Any:
    """Reads all attributes of a layer as a data frame.

    Raises:
        InputError: The layer cannot be read, or its texts are not in their encoding.
    """
    import pyogrio

    if parquet_source.is_parquet(path):
        return parquet_source.read_frame(path)
    return _reading(
        path, name, ReadOptions(), lambda path: pyogrio.read_dataframe(path, layer=name, read_geometry=False)
    )


def _reading(path: str, name: str, options: ReadOptions, read: Callable[[str], T]) -> T:
    """Calls `read` with the source to open, which is a VRT where the layer has surfaces that pyogrio does not know."""
    import pyogrio

    try:
        try:
            return read(path)
        except pyogrio.errors.GeometryError:
            return read(_untyped(path, name))
    except UnicodeDecodeError as error:
        raise InputError(_encoding_problem(path, options)) from error
    except LookupError as error:
        raise InputError(f"'{path}': {error}; {options.remedy('encoding', 'name one')} such as cp1252") from error
    except RuntimeError as error:
        raise InputError(f"layer '{name}' of '{path}' cannot be read: {_brief(error)}") from error


def _untyped(path: str, name: str) -> str:
    """A VRT of the layer without a type of geometry."""
    place = str(Path(path).absolute()) if Path(path).exists() else path
    return (
        f'<OGRVRTDataSource><OGRVRTLayer name="{escape(name)}"><SrcDataSource>{escape(place)}</SrcDataSource>'
        f"<SrcLayer>{escape(name)}</SrcLayer><GeometryType>wkbUnknown</GeometryType></OGRVRTLayer></OGRVRTDataSource>"
    )


def _encoding_problem(path: str, options: ReadOptions) -> str:
    if options.encoding:
        key = f"{options.block}.encoding"
        return f"'{path}' holds texts that are not in the encoding '{options.encoding}'; set {key} to another"
    declaration = Path(path).with_suffix(".cpg")
    if Path(path).suffix.lower() == ".shp" and declaration.exists():
        declared = declaration.read_text(errors="replace").strip()
        remedy = options.remedy("encoding", "correct that file")
        return f"'{path}' holds texts that are not in the encoding {declared}, which '{declaration}' names; {remedy}"
    remedy = options.remedy("encoding", "write the file again in UTF-8")
    return f"'{path}' holds texts that are not in the encoding UTF-8; {remedy}"


def listed(names: Iterable[str]) -> str:
    """Returns names as messages list them."""
    return ", ".join(f"'{name}'" for name in names) or "none"


def suggestion(name: str, names: Sequence[str]) -> str:
    """Returns a hint at the most similar name, or ''."""
    near = difflib.get_close_matches(name, names, n=1) or [n for n in names if n.lower() == name.lower()]
    return f" (did you mean '{near[0]}'?)" if near else ""


def _brief(error: Exception) -> str:
    return str(error).split(";")[0].rstrip(".")
