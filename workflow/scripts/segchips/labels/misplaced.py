"""Layers whose features meet no tile, or hardly any, and the likely cause."""

from collections.abc import Iterator

import numpy as np
import pyproj
import shapely

from segchips.arrays import Floats, Ints
from segchips.errors import InputError
from segchips.grids.outlines import outline_batches
from segchips.grids.tile_array import TileArray
from segchips.labels.features import LabelFeatures
from segchips.vectors.geometry import reproject_geometries

FEW = 0.01
"""The share of a layer's features below which those that meet a tile are few."""
_SAMPLE = 1000
_WGS84 = pyproj.CRS(4326)


def describe_misplaced(features: LabelFeatures, tiles: TileArray, met: Ints) -> list[str]:
    """Describes each layer of which no feature meets a tile, or less than 1 % do, and each of rasters that meet none.

    Args:
        features: The features of all layers.
        tiles: All tiles of the dataset.
        met: The features that meet a tile.
    """
    lines, start = [], 0
    for layer in features.layers:
        count = len(layer.geometries)
        hits = int(((met >= start) & (met < start + count)).sum())
        start += count
        if count and hits < FEW * count:
            found = f"only {hits} of its {count:,} features meet" if hits else "no feature meets"
            step = -(-count // _SAMPLE)
            points = shapely.get_coordinates(shapely.centroid(layer.geometries[::step]))
            cause = _likely_cause(points, layer.crs, tiles, "its features lie", "set labels.crs")
            lines.append(f"{layer.name}: {found} a tile; {cause}")
    for raster in features.rasters:
        grounds = map(shapely.STRtree, outline_batches(tiles))
        if not any(ground.query(raster.outlines, predicate="intersects").size for ground in grounds):
            remedy = "assign it with: gdal_edit.py -a_srs"
            cause = _likely_cause(*raster.sample_points(), tiles, "it lies", remedy)
            lines.append(f"{raster.name} meets no tile; {cause}")
    return lines


def _likely_cause(points: Floats, crs: pyproj.CRS, tiles: TileArray, lies: str, remedy: str) -> str:
    boxes = np.array([shapely.total_bounds(outlines) for outlines in outline_batches(tiles)])
    area = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
    if _share_inside(points[:, ::-1], crs, area) > 0.5:
        return "its axes seem to be swapped: write x (longitude, easting) before y (latitude, northing)"
    for other in _other_crss(tiles):
        if not crs.equals(other, ignore_axis_order=True) and _share_inside(points, other, area) > 0.5:
            code = ":".join(other.to_authority() or ())
            return f"its coordinates fit the CRS {code} ({other.name}) instead of {crs.name}: {remedy}"
    extent = shapely.total_bounds(shapely.points(_to_lonlat(points, crs)))
    return f"{lies} in {_describe(extent)}, the tiles in {_describe(area)}; is its CRS {crs.name}?"


def _other_crss(tiles: TileArray) -> Iterator[pyproj.CRS]:
    """CRSs that a layer over the tiles may have: lon/lat, UTM north and south, Web Mercator."""
    yield _WGS84
    for crs in sorted(map(tiles.grid.crs, np.unique(tiles.indices[:, 0]).tolist())):
        yield pyproj.CRS(crs)
        if crs.startswith("EPSG:326"):
            yield pyproj.CRS(crs.replace("EPSG:326", "EPSG:327"))
    yield pyproj.CRS(3857)


def _share_inside(points: Floats, crs: pyproj.CRS, area: Floats) -> float:
    """The share of points (n, 2) in a CRS that lie in a lon/lat box."""
    west, south, east, north = area
    lon, lat = _to_lonlat(points, crs).T
    return float(((lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)).mean())


def _to_lonlat(points: Floats, crs: pyproj.CRS) -> Floats:
    """Points (n, 2) in lon/lat; infinite where they do not exist in the CRS."""
    if crs.is_geographic and (np.abs(points) > [720, 90]).any():
        return np.full_like(points, np.inf)
    try:
        moved = reproject_geometries(shapely.points(points), crs, _WGS84, "a layer")
    except InputError:
        return np.full_like(points, np.inf)
    return shapely.get_coordinates(moved)


def _describe(bounds: Floats) -> str:
    west, south, east, north = bounds.tolist()
    return f"longitudes {west:.4g} to {east:.4g}, latitudes {south:.4g} to {north:.4g}"
