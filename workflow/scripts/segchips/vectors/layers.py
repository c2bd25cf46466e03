"""Reads the polygons of any vector layer that GDAL reads."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyproj
import shapely

from segchips.arrays import Array, Ints, Mask
from segchips.errors import InputError
from segchips.vectors.geometry import Geometries, check_edges, extract_polygons


@dataclass(frozen=True)
class VectorLayer:
    """The polygonal features of one layer, in the file's order.

    Attributes:
        path: The file, folder or other GDAL source.
        name: The layer's name.
        crs: The CRS of the geometries.
        geometries: Valid polygons and multipolygons (n).
        fids: Feature ids (n).
        values: The attribute's values (n), None where no attribute was asked for.
        repaired: How many of the features were invalid.
        dropped: How many features of the file have no area and are left out.
    """

    path: str
    name: str
    crs: pyproj.CRS
    geometries: Geometries
    fids: Ints
    values: Array | None
    repaired: int
    dropped: int

    def __str__(self) -> str:
        """The layer as messages name it."""
        return f"layer '{self.name}' of '{self.path}'"


def layer_names(path: str) -> list[str]:
    """Returns the names of the spatial layers of a file, folder or other GDAL source.

    Raises:
        InputError: The source does not exist, cannot be read, or has no spatial layer.
    """
    import pyogrio

    try:
        layers = pyogrio.list_layers(path)
    except pyogrio.errors.DataSourceError as error:
        if not Path(path).exists() and ":" not in path and not path.startswith("/vsi"):
            raise InputError(f"'{path}' does not exist") from error
        advice = "name a GeoPackage, shapefile or other vector file"
        raise InputError(f"'{path}' cannot be read as a vector layer ({_brief(error)}); {advice}") from error
    names = [str(name) for name, kind in layers if kind is not None]
    if not names:
        raise InputError(f"'{path}' has no layer with geometries")
    return names


def find_layer(path: str, layer: str | None = None, attribute: str | None = None) -> tuple[str, pyproj.CRS]:
    """Returns a layer's name and CRS without reading its features.

    Args:
        path: The file, folder or other GDAL source.
        layer: The layer's name, None for the only one.
        attribute: An attribute that the layer must have.

    Raises:
        InputError: The source cannot be read, or the layer, the attribute or the CRS is missing.
    """
    import pyogrio

    name = _layer_name(path, layer)
    info = pyogrio.read_info(path, layer=name)
    if attribute is not None and attribute not in info["fields"]:
        fields = [str(field) for field in info["fields"]]
        hint = _suggestion(attribute, fields)
        raise InputError(f"layer '{name}' of '{path}' has no attribute '{attribute}'{hint}; it has {_listed(fields)}")
    return name, _crs(info["crs"], path, name)


def read_layer(path: str, layer: str | None = None, attribute: str | None = None) -> VectorLayer:
    """Reads a layer's polygons and, where it is named, one attribute.

    Args:
        path: The file, folder or other GDAL source.
        layer: The layer's name, None for the only one.
        attribute: The attribute whose values are read.

    Raises:
        InputError: The source cannot be read, the layer, the attribute or the CRS is missing, or there is no polygon.
    """
    import pyogrio.raw

    name = _layer_name(path, layer)
    columns = [] if attribute is None else [attribute]
    try:
        meta, fids, wkb, fields = pyogrio.raw.read(path, layer=name, columns=columns, return_fids=True, force_2d=True)
    except RuntimeError as error:
        raise InputError(f"layer '{name}' of '{path}' cannot be read: {error}") from error
    if len(fields) < len(columns):
        find_layer(path, name, attribute)
    crs = _crs(meta["crs"], path, name)
    decoded, unclosed = _decode(wkb)
    check_edges(decoded, fids, f"layer '{name}' of '{path}'")
    geometries, repaired = extract_polygons(decoded)
    kept = ~shapely.is_missing(geometries)
    if not kept.any():
        raise InputError(
            f"layer '{name}' of '{path}' has no polygon among its {len(kept)} features; name a layer of polygons"
        )
    return VectorLayer(
        path=path,
        name=name,
        crs=crs,
        geometries=geometries[kept],
        fids=fids[kept].astype(np.int64),
        values=fields[0][kept] if attribute is not None else None,
        repaired=int(((repaired | unclosed) & kept).sum()),
        dropped=int((~kept).sum()),
    )


def _layer_name(path: str, layer: str | None) -> str:
    names = layer_names(path)
    if layer is None and len(names) > 1:
        raise InputError(f"'{path}' has several layers; name one of them: {_listed(names)}")
    name = names[0] if layer is None else layer
    if name not in names:
        raise InputError(f"'{path}' has no layer '{name}'{_suggestion(name, names)}; it has {_listed(names)}")
    return name


def _decode(wkb: Geometries | None) -> tuple[Geometries, Mask]:
    """Returns geometries (n) from WKB (n), and which of them had rings that were not closed."""
    if wkb is None:
        return np.empty(0, dtype=object), np.empty(0, dtype=bool)
    with np.errstate(invalid="ignore"):
        geometries = shapely.from_wkb(wkb, on_invalid="ignore")
    broken = shapely.is_missing(geometries) & np.array([text is not None for text in wkb], dtype=bool)
    geometries[broken] = shapely.from_wkb(wkb[broken], on_invalid="fix")
    return geometries, broken


def _crs(text: str | None, path: str, name: str) -> pyproj.CRS:
    crs = pyproj.CRS(text) if text else None
    if crs is None or crs.is_engineering or crs.name.startswith("Undefined"):
        raise InputError(
            f"layer '{name}' of '{path}' has no CRS; assign the right one, "
            f"such as with: ogr2ogr -a_srs EPSG:4326 with_crs.gpkg '{path}' '{name}'"
        )
    return crs


def _brief(error: Exception) -> str:
    return str(error).split(";")[0].rstrip(".")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"


def _suggestion(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1) or [n for n in names if n.lower() == name.lower()]
    return f" (did you mean '{near[0]}'?)" if near else ""
