"""What keeps a raster from being placed on the earth, and what to do about it."""

from functools import lru_cache
from typing import Any

import pyproj
from pyproj.exceptions import CRSError, ProjError

from segchips.scenes.placement import Placement


def georeference_problem(dataset: Any) -> str | None:
    """Return why a rasterio dataset cannot be read on a grid, and what to do; None where it can."""
    if dataset.crs and not dataset.transform.is_identity:
        return crs_problem(dataset.crs.to_wkt())
    points, _ = dataset.gcps
    if points:
        return (
            "has ground control points in place of a geotransform; warp it to a grid, such as with: "
            "gdalwarp -t_srs EPSG:4326 IN.tif OUT.tif"
        )
    if dataset.rpcs:
        return (
            "has rational polynomial coefficients (RPC) in place of a geotransform; orthorectify it, such as with: "
            "gdalwarp -rpc -to RPC_DEM=dem.tif -t_srs EPSG:4326 IN.tif OUT.tif"
        )
    missing = {"CRS": "-a_srs EPSG:32633"} if not dataset.crs else {}
    if dataset.transform.is_identity:
        missing["geotransform"] = "-a_ullr WEST NORTH EAST SOUTH"
    what, how = " and no ".join(missing), " ".join(missing.values())
    return f"has no georeference: no {what}; add it, such as with: gdal_edit.py {how} FILE"


def placed_grid(dataset: Any, placement: Placement) -> tuple[Any, Any] | None:
    """Return CRS and geotransform of a rasterio dataset that lacks one of them or both, by what its catalogue declares.

    None where the dataset has both, or control points or RPC in their place, or where its catalogue says too little.
    """
    from rasterio import errors
    from rasterio.crs import CRS
    from rasterio.transform import Affine

    crs, transform = dataset.crs, dataset.transform
    if (crs and not transform.is_identity) or dataset.gcps[0] or dataset.rpcs:
        return None
    try:
        declared = CRS.from_user_input(placement.crs)
    except errors.CRSError:
        return None
    if transform.is_identity and placement.transform and (not crs or crs == declared):
        transform = Affine(*placement.transform)
        if placement.shape:
            rows, columns = placement.shape
            transform @= Affine.scale(columns / dataset.width, rows / dataset.height)
    return None if transform.is_identity else (crs or declared, transform)


@lru_cache
def crs_problem(wkt: str) -> str | None:
    """Return why a CRS is not one of the earth, and what to do; None where it is."""
    try:
        crs = pyproj.CRS(wkt)
        pyproj.Transformer.from_crs(crs, 4326, always_xy=True)
    except (CRSError, ProjError):
        return (
            f"has the CRS {_name(wkt)}, which cannot be transformed to longitude and latitude of the earth; "
            "assign the right CRS, such as with: gdal_edit.py -a_srs EPSG:32633 FILE.tif"
        )
    return None


def _name(wkt: str) -> str:
    """The name of a CRS; where it has none, the radius of the body that it belongs to."""
    name = wkt.partition('"')[2].partition('"')[0]
    if name.lower() not in ("unknown", "unnamed", ""):
        return f"'{name}'"
    ellipsoid = pyproj.CRS(wkt).ellipsoid
    return f"'{name}' of a body with a radius of {ellipsoid.semi_major_metre / 1000:g} km" if ellipsoid else f"'{name}'"
