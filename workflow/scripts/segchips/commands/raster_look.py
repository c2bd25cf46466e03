"""The header of a raster file, as far as a starting config depends on it."""

from dataclasses import dataclass
from typing import Any

from segchips.errors import InputError
from segchips.scenes.georeference import georeference_problem

_COLOURS = {"red", "green", "blue"}


@dataclass(frozen=True)
class RasterLook:
    """What the header of a file says.

    Attributes:
        pixel_size: Metres along a pixel of a row, on the ground at the raster's centre.
        count: The number of bands.
        dtype: The dtype of the first band.
        nodata: The nodata value of the first band.
        alpha: The numbers of alpha bands, from 1.
        is_picture: Whether bands of 8 bits are marked as red, green and blue.
        off_utm: Whether the CRS is projected, but no UTM zone, and the pixels are squares that are not rotated.
        crs: The CRS as text.
    """

    pixel_size: float
    count: int
    dtype: str
    nodata: float | None
    alpha: tuple[int, ...]
    is_picture: bool
    off_utm: bool
    crs: str


def look_at(href: str) -> RasterLook:
    """Read the header of a file.

    Raises:
        InputError: It cannot be read, or cannot be placed on the earth.
    """
    import rasterio

    try:
        with rasterio.open(href) as file:
            if problem := georeference_problem(file):
                raise InputError(f"'{href}' {problem}")
            colours = [str(colour.name) for colour in file.colorinterp]
            return RasterLook(
                _pixel_size(file),
                file.count,
                str(file.dtypes[0]),
                file.nodata,
                tuple(number for number, colour in enumerate(colours, 1) if colour == "alpha"),
                file.dtypes[0] == "uint8" and set(colours) >= _COLOURS,
                _is_off_utm(file),
                str(file.crs.to_string()),
            )
    except rasterio.errors.RasterioError as error:
        raise InputError(f"'{href}' cannot be read ({error}); repair it or move it elsewhere") from error


def _is_off_utm(file: Any) -> bool:
    import pyproj

    squares = file.transform.is_rectilinear and file.res[0] == file.res[1]
    return squares and bool(file.crs.is_projected) and pyproj.CRS(file.crs.to_wkt()).utm_zone is None


def _pixel_size(file: Any) -> float:
    """The length of a raster's pixel along its rows in metres: as the CRS says, or on the ground at its centre."""
    import pyproj

    if file.crs.is_projected and file.crs.linear_units_factor[1] == 1:
        return float(file.res[0])
    middle = file.width / 2, file.height / 2
    points = [file.transform @ middle, file.transform @ (middle[0] + 1, middle[1])]
    to_lonlat = pyproj.Transformer.from_crs(pyproj.CRS(file.crs.to_wkt()), 4326, always_xy=True)
    xs, ys = (list(axis) for axis in zip(*points, strict=True))
    lon, lat = to_lonlat.transform(xs, ys)
    return float(pyproj.Geod(ellps="WGS84").line_length(lon, lat))
