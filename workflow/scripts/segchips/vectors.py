"""Polygons from any vector layer GDAL reads: found, repaired, counted, and moved between CRSs."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from segchips.errors import InputError

Geometries = npt.NDArray[np.object_]

EARTH_RADIUS = 6_378_137.0
FARTHEST = 1e8
"""Metres from a CRS's origin beyond which coordinates are no place on earth."""
MAX_EDGE = 1000.0
"""Metres on the ground beyond which an edge is densified before it moves to another CRS."""

MAX_CROSSINGS = 1e9
"""Pairs of edges of a feature with overlapping boxes that may be looked at: minutes; usual are a few million."""


@dataclass(frozen=True)
class Layer:
    """The valid polygonal features of one layer, in the order GDAL reads them, which is the file's."""

    path: str
    name: str
    crs: pyproj.CRS
    geometries: Geometries
    fids: npt.NDArray[np.int64]
    values: npt.NDArray[Any] | None
    repaired: int
    dropped: int

    def __str__(self) -> str:
        """The layer as messages name it."""
        return f"layer '{self.name}' of '{self.path}'"


def layer_names(path: str) -> list[str]:
    """The names of the spatial layers of a file, folder or other GDAL source; InputError where there is none."""
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
    """The layer's name and CRS without reading its features; InputError where layer, attribute or CRS is missing."""
    import pyogrio

    name = _chosen(path, layer)
    info = pyogrio.read_info(path, layer=name)
    if attribute is not None and attribute not in info["fields"]:
        fields = [str(field) for field in info["fields"]]
        hint = _nearest(attribute, fields)
        raise InputError(f"layer '{name}' of '{path}' has no attribute '{attribute}'{hint}; it has {_listed(fields)}")
    return name, _crs(info["crs"], path, name)


def read_layer(path: str, layer: str | None = None, attribute: str | None = None) -> Layer:
    """Read a layer's polygons and, where named, one attribute; InputError where nothing can be used."""
    import pyogrio.raw

    name = _chosen(path, layer)
    columns = [] if attribute is None else [attribute]
    try:
        meta, fids, wkb, fields = pyogrio.raw.read(path, layer=name, columns=columns, return_fids=True, force_2d=True)
    except RuntimeError as error:
        raise InputError(f"layer '{name}' of '{path}' cannot be read: {error}") from error
    if len(fields) < len(columns):
        find_layer(path, name, attribute)
    crs = _crs(meta["crs"], path, name)
    read, closed = _decoded(wkb)
    _check_edges(read, fids, f"layer '{name}' of '{path}'")
    geometries, repaired = polygonal(read)
    kept = ~shapely.is_missing(geometries)
    if not kept.any():
        found = f"no polygon among its {len(kept)} features"
        raise InputError(f"layer '{name}' of '{path}' has {found}; name a layer of polygons")
    return Layer(
        path=path,
        name=name,
        crs=crs,
        geometries=geometries[kept],
        fids=fids[kept].astype(np.int64),
        values=fields[0][kept] if attribute is not None else None,
        repaired=int(((repaired | closed) & kept).sum()),
        dropped=int((~kept).sum()),
    )


def polygonal(geometries: Geometries) -> tuple[Geometries, npt.NDArray[np.bool_]]:
    """Each geometry's polygonal part, valid, or None; and which of them were invalid.

    Rings that overlap count as one area ("structure"), where "linework" would cut holes into it.
    """
    result = np.array(geometries, dtype=object)
    mixed = shapely.get_type_id(result) == shapely.GeometryType.GEOMETRYCOLLECTION
    if mixed.any():
        parts, owners = polygon_parts(result[mixed])
        joined = np.full(mixed.sum(), None, dtype=object)
        shapely.multipolygons(parts, indices=owners, out=joined)
        result[mixed] = joined
    areal = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
    result[~np.isin(shapely.get_type_id(result), areal)] = None
    invalid = ~shapely.is_valid(result) & ~shapely.is_missing(result)
    result[invalid] = shapely.make_valid(_finite(result[invalid]), method="structure", keep_collapsed=False)
    result[shapely.is_empty(result)] = None
    return result, invalid


def polygon_parts(geometries: Geometries) -> tuple[Geometries, npt.NDArray[np.int64]]:
    """The single polygons in the geometries, however deep, and the index of the geometry each came from."""
    parts, owners = shapely.get_parts(geometries, return_index=True)
    while (shapely.get_type_id(parts) > shapely.GeometryType.POLYGON).any():
        parts, inner = shapely.get_parts(parts, return_index=True)
        owners = owners[inner]
    keep = (shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & ~shapely.is_empty(parts)
    return parts[keep], owners[keep]


def transform(geometries: Geometries, source: pyproj.CRS, target: pyproj.CRS, name: object) -> Geometries:
    """Move geometries to another CRS, edges where they were on the ground; InputError names the layer by `name`."""
    if source.equals(target, ignore_axis_order=True):
        return geometries
    astray = InputError(f"{name} has coordinates that do not exist in {target.name}; is {source.name} its CRS?")
    if np.abs(shapely.total_bounds(geometries)).max() > FARTHEST / _ground_unit(source):
        raise astray
    project = pyproj.Transformer.from_crs(source, target, always_xy=True).transform
    dense = shapely.segmentize(geometries, max_segment_length=MAX_EDGE / _ground_unit(source))
    moved: Geometries = shapely.transform(dense, project, interleaved=False)
    if not np.isfinite(shapely.get_coordinates(moved)).all():
        raise astray
    return moved


def _chosen(path: str, layer: str | None) -> str:
    names = layer_names(path)
    if layer is None and len(names) > 1:
        raise InputError(f"'{path}' has several layers; name one of them: {_listed(names)}")
    name = names[0] if layer is None else layer
    if name not in names:
        raise InputError(f"'{path}' has no layer '{name}'{_nearest(name, names)}; it has {_listed(names)}")
    return name


def _ground_unit(crs: pyproj.CRS) -> float:
    """Metres on the ground, at most, in one unit of the CRS's coordinates."""
    unit = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0
    return float(unit * (EARTH_RADIUS if crs.is_geographic else 1.0))


def _decoded(wkb: Geometries | None) -> tuple[Geometries, npt.NDArray[np.bool_]]:
    """Geometries from WKB, and which of them had rings that were not closed."""
    if wkb is None:
        return np.empty(0, dtype=object), np.empty(0, dtype=bool)
    with np.errstate(invalid="ignore"):
        geometries = shapely.from_wkb(wkb, on_invalid="ignore")
    broken = shapely.is_missing(geometries) & np.array([text is not None for text in wkb], dtype=bool)
    geometries[broken] = shapely.from_wkb(wkb[broken], on_invalid="fix")
    return geometries, broken


def _check_edges(geometries: Geometries, fids: npt.NDArray[np.int64], layer: str) -> None:
    """InputError names a feature whose edges lie across one another so often that hardly anything can be told of it."""
    for index in np.flatnonzero(shapely.get_num_coordinates(geometries) > np.sqrt(2 * MAX_CROSSINGS)):
        if _crossings(geometries[index]) > MAX_CROSSINGS:
            count = f"{shapely.get_num_coordinates(geometries[index]):,}"
            raise InputError(
                f"{layer}: feature FID {fids[index]} has {count} vertices on long edges side by side, as of a star, "
                "and would take hours; simplify it or cut it into parts"
            )


def _crossings(geometry: Any) -> float:
    """How many pairs of edges have overlapping boxes, estimated from 64 of the edges."""
    parts, _ = polygon_parts(np.array([geometry], dtype=object))
    points, ring = shapely.get_coordinates(shapely.get_rings(parts), return_index=True)
    inner = ring[1:] == ring[:-1]
    low, high = np.minimum(points[1:], points[:-1])[inner], np.maximum(points[1:], points[:-1])[inner]
    some: Any = np.linspace(0, len(low) - 1, 64).astype(int) if len(low) else []
    met = [((low <= high[one]) & (high >= low[one])).all(axis=1).sum() for one in some]
    return sum(met) / 64 * len(low) / 2


def _finite(geometries: Geometries) -> Geometries:
    coordinates, owners = shapely.get_coordinates(geometries, return_index=True)
    lost = owners[~np.isfinite(coordinates).all(axis=1)]
    geometries[lost] = None
    return geometries


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


def _nearest(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1) or [n for n in names if n.lower() == name.lower()]
    return f" (did you mean '{near[0]}'?)" if near else ""
