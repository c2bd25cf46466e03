"""Reads the features of any vector layer as polygons, lines and points that can be burned."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyproj
import shapely

from segchips.arrays import Array, Ints, Mask
from segchips.errors import InputError
from segchips.vectors.geometry import Geometries, check_edges, extract_shapes, repair_polygons
from segchips.vectors.ground_buffer import buffer_on_ground
from segchips.vectors.longitudes import unwrap_longitudes, within_globe, within_web_mercator
from segchips.vectors.options import ReadOptions
from segchips.vectors.sources import LayerInfo, layer_info, layer_name, layer_names, listed, read_features, suggestion
from segchips.vectors.surfaces import as_polygons

__all__ = ["ReadOptions", "VectorLayer", "find_layer", "layer_names", "read_layer"]

_WEB_MERCATOR = 3857
_MAX_LONGITUDE, _MAX_LATITUDE = 720, 90
_ASSIGN = "assign the right one"


@dataclass(frozen=True)
class VectorLayer:
    """The features of one layer that have a shape, in the file's order.

    Attributes:
        path: The file, folder or other GDAL source.
        name: The layer's name.
        crs: The CRS of the geometries.
        geometries: Valid polygons, lines and points, or several in one (n); longitudes are in -180..180.
        fids: Feature ids (n).
        values: The attribute's values (n), None where no attribute was asked for.
        repaired: How many of the features were invalid.
        dropped: How many features of the file have a geometry, but no shape that was asked for, and are left out.
        absent: How many features of the file have no geometry, and are left out.
        counts: How many points, lines and polygons the file has, before any of them got a buffer.
        unwrapped: How many features had edges of more than 180 degrees, taken across the antimeridian.
        is_buffered: Whether points and lines got a buffer.
    """

    path: str
    name: str
    crs: pyproj.CRS
    geometries: Geometries
    fids: Ints
    values: Array | None
    repaired: int
    dropped: int
    absent: int = 0
    counts: Sequence[int] = (0, 0, 0)
    unwrapped: int = 0
    is_buffered: bool = False

    def __str__(self) -> str:
        """The layer as messages name it."""
        return f"layer '{self.name}' of '{self.path}'"

    def repairs(self) -> str:
        """How many features were repaired or left out, and why."""
        absent = f", {self.absent} features without geometry left out" if self.absent else ""
        left_out = f"{self.dropped} features without polygon left out{absent}"
        return f"{self}: {self.repaired} invalid polygons repaired, {left_out}"

    def notes(self) -> list[str]:
        """What was made of features that are not plain polygons."""
        lines, counts = [], self.counts
        if self.repaired or self.dropped or self.absent:
            lines.append(self.repairs())
        if sum(map(bool, counts)) > 1:
            kinds = ", ".join(f"{counts[kind]} {name}" for kind, name in ((2, "polygons"), (1, "lines"), (0, "points")))
            how = "with their buffer" if self.is_buffered else "by every pixel that they touch"
            lines.append(f"{self} mixes {kinds}; all are burned, lines and points {how}")
        elif self.is_buffered and counts[2]:
            lines.append(f"{self} has only polygons, and labels.buffer is for lines and points; remove the key")
        if self.unwrapped:
            count = f"{self.unwrapped} feature{'s have' if self.unwrapped > 1 else ' has'} edges"
            lines.append(f"{self}: {count} of more than 180 degrees, taken to cross the antimeridian by the short way")
        return lines


def find_layer(
    path: str, layer: str | None = None, attribute: str | None = None, options: ReadOptions | None = None
) -> tuple[str, pyproj.CRS]:
    """Returns a layer's name and CRS without reading its features.

    Args:
        path: The file, folder or other GDAL source.
        layer: The layer's name, None for the only one.
        attribute: An attribute that the layer must have.
        options: What replaces the layer's own declarations.

    Raises:
        InputError: The source cannot be read, or the layer, an attribute or the CRS is missing.
    """
    options = options or ReadOptions()
    info = layer_info(path, layer_name(path, layer), options)
    for column in _columns(attribute, options):
        _check_attribute(path, info, column)
    return info.name, _crs(info.crs, path, info.name, options)


def read_layer(
    path: str, layer: str | None = None, attribute: str | None = None, options: ReadOptions | None = None
) -> VectorLayer:
    """Reads a layer's shapes and, where it is named, one attribute.

    Args:
        path: The file, folder or other GDAL source.
        layer: The layer's name, None for the only one.
        attribute: The attribute whose values are read; without one of this name, `fid` stands for the feature ids.
        options: What replaces the layer's own declarations, and what becomes of points and lines.

    Raises:
        InputError: The source cannot be read, the layer, an attribute or the CRS is missing, or there is no shape.
    """
    options = options or ReadOptions()
    name = layer_name(path, layer)
    info = layer_info(path, name, options)
    wanted = _columns(attribute, options)
    for column in wanted:
        _check_attribute(path, info, column)
    stored = list(dict.fromkeys(column for column in wanted if column in info.fields))
    features = read_features(path, name, stored, options)
    values = dict(zip(stored, features.columns, strict=True))
    title, crs = f"layer '{name}' of '{path}'", _crs(info.crs, path, name, options)
    geometries, repaired, unwrapped = _shapes(features.wkb, features.fids, crs, title, options)
    if options.only_polygons and options.buffer is None:
        geometries[shapely.get_dimensions(geometries) < 2] = None
    counts = np.bincount(shapely.get_dimensions(geometries) + 1, minlength=4)[1:].tolist()
    if isinstance(options.buffer, str):
        metres = values.get(options.buffer, features.fids)
        geometries = buffer_on_ground(geometries, crs, _lengths(metres, geometries, features.fids, title, options))
    elif options.buffer is not None:
        geometries = buffer_on_ground(geometries, crs, np.full(len(geometries), float(options.buffer)))
    kept = ~shapely.is_missing(geometries)
    absent = np.array([wkb is None for wkb in features.wkb], dtype=bool)
    if not kept.any():
        wanted_kind = "polygon" if options.only_polygons else "shape"
        raise InputError(f"{title} has no {wanted_kind} among its {len(kept)} features; name a layer of polygons")
    return VectorLayer(
        path=path,
        name=name,
        crs=crs,
        geometries=geometries[kept],
        fids=features.fids[kept],
        values=None if attribute is None else values.get(attribute, features.fids)[kept],
        repaired=int((repaired & kept).sum()),
        dropped=int((~kept & ~absent).sum()),
        absent=int(absent.sum()),
        counts=counts,
        unwrapped=unwrapped,
        is_buffered=options.buffer is not None,
    )


def _shapes(
    wkb: Geometries, fids: Ints, crs: pyproj.CRS, title: str, options: ReadOptions
) -> tuple[Geometries, Mask, int]:
    """Returns valid shapes (n), which were invalid (n), and how many had edges across the antimeridian."""
    decoded, unclosed, surfaces = _decode(wkb)
    check_edges(decoded, fids, title)
    shapes, unwrapped = extract_shapes(decoded), 0
    if crs.is_geographic:
        _check_longitudes(shapes, crs, title, options)
        shapes, crossing = unwrap_longitudes(shapes)
        unwrapped = len(crossing)
    shapes, invalid = repair_polygons(shapes)
    present = ~shapely.is_missing(shapes)
    if crs.is_geographic:
        shapes[present] = within_globe(shapes[present])
    elif crs.to_epsg() == _WEB_MERCATOR:
        shapes[present] = within_web_mercator(shapes[present])
    shapes[shapely.is_empty(shapes)] = None
    # The triangles of a surface share edges, which polygons of one geometry must not; that is no fault of the file.
    return shapes, (invalid & ~surfaces) | unclosed, unwrapped


def _check_longitudes(shapes: Geometries, crs: pyproj.CRS, title: str, options: ReadOptions) -> None:
    bounds = shapely.bounds(shapes[~shapely.is_missing(shapes)])
    if not len(bounds):
        return
    west, south = np.nanmin(bounds[:, :2], axis=0).tolist()
    east, north = np.nanmax(bounds[:, 2:], axis=0).tolist()
    if np.mean(np.abs(bounds[:, 1] + bounds[:, 3]) / 2 > _MAX_LATITUDE) > 0.5 and max(-west, east) <= _MAX_LONGITUDE:
        extent = f"latitudes from {south:g} to {north:g}"
        raise InputError(f"{title} has {extent}: its axes seem to be swapped; write longitude before latitude")
    if max(-west, east) > _MAX_LONGITUDE:
        extent = f"longitudes from {west:g} to {east:g}"
        raise InputError(f"{title} has {extent}: {crs.name} cannot be its CRS; {options.remedy('crs', _ASSIGN)}")


def _columns(attribute: str | None, options: ReadOptions) -> list[str]:
    buffer = options.buffer if isinstance(options.buffer, str) else None
    return [column for column in (attribute, buffer) if column is not None]


def _check_attribute(path: str, info: LayerInfo, attribute: str) -> None:
    if attribute in info.fields or attribute.lower() in ("fid", info.fid_column.lower()):
        return
    hint = suggestion(attribute, info.fields)
    have = listed(info.fields)
    raise InputError(f"layer '{info.name}' of '{path}' has no attribute '{attribute}'{hint}; it has {have}")


def _lengths(metres: Array, geometries: Geometries, fids: Ints, title: str, options: ReadOptions) -> Array:
    """Returns the attribute's values as metres (n); raises InputError where a point or line has none above 0."""
    try:
        lengths = np.array([np.nan if value is None else float(value) for value in metres.tolist()])
    except (TypeError, ValueError) as error:
        raise InputError(f"attribute '{options.buffer}' of {title} holds text; labels.buffer needs metres") from error
    wrong = ~(np.isfinite(lengths) & (lengths > 0)) & (shapely.get_dimensions(geometries) < 2)
    wrong &= ~shapely.is_missing(geometries)
    if wrong.any():
        examples = ", ".join(
            f"{fid}: {'no value' if np.isnan(length) else f'{length:g}'}"
            for fid, length in zip(fids[wrong][:5], lengths[wrong][:5], strict=True)
        )
        raise InputError(
            f"attribute '{options.buffer}' of {title} has no metres above 0 for {int(wrong.sum())} points or lines "
            f"(FID {examples}); give it a value there, or labels.buffer a number for all"
        )
    return lengths


def _decode(wkb: Geometries) -> tuple[Geometries, Mask, Mask]:
    """Returns geometries (n) from WKB (n), which of them had rings that were not closed, and which were surfaces."""
    with np.errstate(invalid="ignore"):
        geometries = shapely.from_wkb(wkb, on_invalid="ignore")
    broken = shapely.is_missing(geometries) & np.array([text is not None for text in wkb], dtype=bool)
    surfaces = np.zeros_like(broken)
    for index in np.flatnonzero(broken):
        polygons = as_polygons(wkb[index])
        if polygons is not None and polygons != wkb[index]:
            geometries[index], broken[index] = shapely.from_wkb(polygons, on_invalid="fix"), False
            surfaces[index] = True
    geometries[broken] = shapely.from_wkb(wkb[broken], on_invalid="fix")
    return geometries, broken, surfaces


def _crs(text: str | None, path: str, name: str, options: ReadOptions) -> pyproj.CRS:
    try:
        crs = pyproj.CRS(options.crs or text) if options.crs or text else None
    except pyproj.exceptions.CRSError as error:
        what = f"'{options.crs}' is not a CRS that PROJ knows" if options.crs else "its CRS is none that PROJ knows"
        raise InputError(
            f"layer '{name}' of '{path}': {what}; {options.remedy('crs', _ASSIGN)}, such as EPSG:4326"
        ) from error
    if crs is None or crs.is_engineering or crs.name.startswith("Undefined"):
        raise InputError(
            f"layer '{name}' of '{path}' has no CRS; {options.remedy('crs', _ASSIGN)}, "
            f"such as with: ogr2ogr -a_srs EPSG:4326 with_crs.gpkg '{path}' '{name}'"
        )
    if not (crs.is_geographic or crs.is_projected):
        raise InputError(f"layer '{name}' of '{path}' has the CRS {crs.name}, which is not one of places on a map")
    return crs
