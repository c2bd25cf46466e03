"""Where rasters lie, as STAC items declare it with the projection extension, for files that do not say it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from segchips.files import Json


@dataclass(frozen=True)
class Placement:
    """The CRS and grid of a raster.

    Attributes:
        crs: An authority and a code, or WKT.
        transform: a, b, c, d, e, f of an affine transformation from columns and rows to the CRS; None where only the
            CRS is declared.
        shape: Rows and columns of the grid, whose extent is that of the raster; None where the transformation is that
            of the raster's own pixels.
    """

    crs: str
    transform: tuple[float, ...] | None = None
    shape: tuple[int, int] | None = None


def declared_placement(item: Json, asset: Json) -> Placement | None:
    """Return where an asset's file lies, as the asset or else the item declares it.

    None where neither does, or not in a way that can be used: few files need it, and the others can be read without.
    """
    levels = (asset, item["properties"])
    with suppress(ValueError, TypeError, IndexError, KeyError, AttributeError):
        if crs := next((text for level in levels if (text := _crs(level))), None):
            return next((Placement(crs, *grid) for level in levels if (grid := _grid(level))), Placement(crs))
    return None


def _crs(level: Mapping[str, Any]) -> str | None:
    code, wkt, projjson = (level.get(f"proj:{name}") for name in ("code", "wkt2", "projjson"))
    if code is None and level.get("proj:epsg"):
        code = f"EPSG:{level['proj:epsg']}"
    if code or wkt:
        return str(code or wkt)
    if not projjson:
        return None
    import pyproj

    try:
        return pyproj.CRS.from_json_dict(projjson).to_wkt()
    except pyproj.exceptions.CRSError:
        return None


def _grid(level: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[int, int] | None] | None:
    """Transformation and shape; a box is a grid of one pixel."""
    transform, shape, box = (level.get(f"proj:{name}") for name in ("transform", "shape", "bbox"))
    if transform and (shape or not box):
        rows_columns = (int(shape[0]), int(shape[1])) if shape else None
        a, b, c, d, e, f = (float(value) for value in transform[:6])
        return (a, b, c, d, e, f), rows_columns
    if not box:
        return None
    west, south, east, north = _corners(box)
    return (east - west, 0.0, west, 0.0, south - north, north), (1, 1)


def _corners(box: Sequence[float]) -> tuple[float, float, float, float]:
    """West, south, east and north of a box that may have heights."""
    half = len(box) // 2
    return float(box[0]), float(box[1]), float(box[half]), float(box[half + 1])
