"""Reads the points of a vector layer."""

from dataclasses import dataclass

import numpy as np
import pyproj
import shapely

from segchips.arrays import Floats, Ints
from segchips.errors import InputError
from segchips.vectors.layers import find_layer


@dataclass(frozen=True)
class PointLayer:
    """The points of one layer, in the file's order.

    Attributes:
        path: The file, folder or other GDAL source.
        name: The layer's name.
        crs: The CRS of the points.
        xy: Coordinates (n, 2), x or longitude first.
        fids: The feature id (n) of each point.
        empty: How many features of the file have no point.
    """

    path: str
    name: str
    crs: pyproj.CRS
    xy: Floats
    fids: Ints
    empty: int

    def __str__(self) -> str:
        """The layer as messages name it."""
        return f"layer '{self.name}' of '{self.path}'"


def read_points(path: str, layer: str | None = None) -> PointLayer:
    """Reads a layer of points; the points of a multipoint count one by one.

    Args:
        path: The file, folder or other GDAL source.
        layer: The layer's name, None for the only one.

    Raises:
        InputError: The source cannot be read, the layer or the CRS is missing, a feature is not a point, or there is
            no point.
    """
    import pyogrio.raw

    name, crs = find_layer(path, layer)
    _, fids, wkb, _ = pyogrio.raw.read(path, layer=name, columns=[], return_fids=True, force_2d=True)
    geometries = shapely.from_wkb(np.empty(0, object) if wkb is None else wkb)
    kinds = shapely.get_type_id(geometries)
    empty = shapely.is_empty(geometries) | shapely.is_missing(geometries)
    other = ~np.isin(kinds, (shapely.GeometryType.POINT, shapely.GeometryType.MULTIPOINT)) & ~empty
    where = f"layer '{name}' of '{path}'"
    if other.any():
        first = int(np.flatnonzero(other)[0])
        raise InputError(
            f"{where}: feature FID {fids[first]} is a {geometries[first].geom_type}, not a point; "
            "give points such as centroids, or name the layer as tiles.aoi"
        )
    xy, owners = shapely.get_coordinates(geometries, return_index=True)
    if not len(xy):
        raise InputError(f"{where} has no point")
    finite = np.isfinite(xy).all(axis=1)
    if not finite.all():
        raise InputError(f"{where}: feature FID {fids[owners[~finite][0]]} has coordinates that are not finite")
    return PointLayer(path, name, crs, xy, np.asarray(fids)[owners].astype(np.int64), int(empty.sum()))
