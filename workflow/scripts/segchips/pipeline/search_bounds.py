"""Where scenes are searched before a run, when no tile is known yet."""

import math

import numpy as np
import pyogrio
import pyproj
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj.exceptions import CRSError, ProjError

from segchips.config.model import Dataset
from segchips.vectors.geometry import Geometries


def search_bounds(dataset: Dataset) -> Geometries | None:
    """Return a box around all tiles, from what files say of their extent without reading features.

    Returns:
        One polygon in longitude and latitude; None where the files do not say, or the box crosses 180 degrees.
    """
    tiles = dataset.tiles
    if tiles.keys is not None:
        return None
    own = tiles.aoi or tiles.centers
    places = (
        [(own, tiles.layer, None)]
        if own
        else [(one.path, one.layer, one.crs) for target in dataset.labels.targets.values() for one in target.layers]
    )
    boxes = []
    for path, layer, crs in places:
        try:
            about = pyogrio.read_info(path, layer=layer, force_total_bounds=True)
            to_lonlat = pyproj.Transformer.from_crs(crs or about["crs"], 4326, always_xy=True)
            boxes.append(to_lonlat.transform_bounds(*about["total_bounds"]))
        except (DataSourceError, DataLayerError, CRSError, ProjError, TypeError, ValueError):
            return None
    west, south = (min(box[side] for box in boxes) for side in (0, 1))
    east, north = (max(box[side] for box in boxes) for side in (2, 3))
    if not np.isfinite([west, south, east, north]).all() or any(box[0] > box[2] for box in boxes):
        return None
    margin = 3 * tiles.size * (tiles.resolution or 10) / 111_000
    wide = margin / max(0.01, math.cos(math.radians(min(89.0, max(abs(south), abs(north))))))
    if west - wide < -180 or east + wide > 180:
        return None
    return np.array([shapely.box(west - wide, max(-90, south - margin), east + wide, min(90, north + margin))])
