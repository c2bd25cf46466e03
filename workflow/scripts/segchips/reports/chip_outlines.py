"""The bounds of chips made elsewhere in lon/lat."""

from collections.abc import Mapping

import numpy as np
import shapely
from rasterio.errors import CRSError
from rasterio.warp import transform

from segchips.arrays import Array
from segchips.records.chip_ground import Ground
from segchips.vectors.geometry import Geometries
from segchips.vectors.longitudes import unwrap_longitudes, within_globe

_PARTS = 4
"""Parts into which each side is divided, for straight sides curve in lon/lat."""


def chip_outlines(grounds: Mapping[str, Ground]) -> Geometries:
    """Find the bounds of chips.

    Args:
        grounds: The ground of each chip.

    Returns:
        A polygon in lon/lat for each chip (n), split at the antimeridian; None where the CRS has no place on the earth.
    """
    outlines = np.full(len(grounds), None, object)
    crs = np.array([ground.crs for ground in grounds.values()], object)
    boxes = np.array([ground.box for ground in grounds.values()], float).reshape(-1, 4)
    for one in dict.fromkeys(crs.tolist()):
        members = np.flatnonzero(crs == one)
        rings = _rings(boxes[members])
        try:
            x, y = transform(one, "EPSG:4326", *rings.reshape(-1, 2).T)
        except CRSError:
            continue
        lonlat = np.column_stack([x, y]).reshape(rings.shape)
        finite = np.isfinite(lonlat).all(axis=(1, 2))
        if finite.any():
            outlines[members[finite]] = within_globe(unwrap_longitudes(shapely.polygons(lonlat[finite]))[0])
    return outlines


def _rings(boxes: Array) -> Array:
    """Closed rings (n x points x 2) along the sides of boxes (n x 4), counter-clockwise."""
    west, south, east, north = boxes.T
    corners = np.stack([(west, south), (east, south), (east, north), (west, north), (west, south)]).transpose(2, 0, 1)
    shares = np.arange(_PARTS)[:, None] / _PARTS
    sides = corners[:, :-1, None] + (corners[:, 1:] - corners[:, :-1])[:, :, None] * shares
    return np.concatenate([sides.reshape(len(boxes), -1, 2), corners[:, :1]], axis=1)
