"""Reads what the headers of raster files say: extent, bands, and acquisition time."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from segchips.errors import InputError

Json = dict[str, Any]
Bounds = tuple[float, float, float, float]

MEDIA_TYPES = {
    ".tif": "image/tiff; application=geotiff",
    ".tiff": "image/tiff; application=geotiff",
    ".jp2": "image/jp2",
}
_DATE_PATTERN = r"(?<!\d)(19\d\d|20\d\d)[-_.:]?(0[1-9]|1[0-2])[-_.:]?(0[1-9]|[12]\d|3[01])"
DATE = re.compile(_DATE_PATTERN + r"(?!\d)")
_DATE_AND_TIME = re.compile(_DATE_PATTERN + r"[T_ -]([01]\d|2[0-3])[-_.:]?([0-5]\d)[-_.:]?([0-5]\d)(?!\d)")


@dataclass(frozen=True)
class Raster:
    """The header of one file.

    `outline` is a GeoJSON polygon in longitude and latitude; `bounds` are in the units of `crs`.
    """

    path: Path
    crs: str
    bounds: Bounds
    outline: Json
    names: tuple[str, ...]
    dtype: str
    nodata: float | None
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    acquired: datetime


def read_raster(path: Path, day: datetime | None = None) -> Raster:
    """Reads the header of a file.

    Args:
        path: The file.
        day: The acquisition time; None reads it from the file's name, its tags, or its folder's name.

    Raises:
        InputError: The file is not a raster, or has no georeference or no acquisition time.
    """
    import rasterio
    from rasterio.warp import transform_geom

    try:
        with rasterio.open(path) as file:
            if file.crs is None or file.transform.is_identity:
                raise InputError(
                    f"'{path}' has no CRS or no geotransform; add them, "
                    f"such as with: gdal_edit.py -a_srs EPSG:32633 -a_ullr WEST NORTH EAST SOUTH '{path}'"
                )
            ring = _ring(file.transform, file.width, file.height)
            outline = transform_geom(file.crs, "EPSG:4326", {"type": "Polygon", "coordinates": [ring]}, precision=7)
            names = tuple(_band_name(file, number) for number in file.indexes)
            acquired = day or _acquisition_time(path, {**file.tags(), **file.tags(ns="IMAGERY")})
            return Raster(
                path=path,
                crs=file.crs.to_string(),
                bounds=tuple(file.bounds),
                outline=outline,
                names=names,
                dtype=file.dtypes[0],
                nodata=file.nodata,
                scales=file.scales,
                offsets=file.offsets,
                acquired=acquired,
            )
    except rasterio.errors.RasterioIOError as error:
        raise InputError(f"'{path}' cannot be read as a raster ({error}); repair it or move it elsewhere") from error


def _ring(transform: Any, width: int, height: int) -> list[tuple[float, float]]:
    """The outline, counter-clockwise, with seven points along each edge because edges bend in lon/lat."""
    parts = [part / 8 for part in range(8)]
    down = [(0, part * height) for part in parts] + [(part * width, height) for part in parts]
    up = [(width, (1 - part) * height) for part in parts] + [((1 - part) * width, 0) for part in parts]
    return [transform @ corner for corner in (*down, *up, (0, 0))]


def _band_name(file: Any, number: int) -> str:
    """The band's description, else its colour, else an empty text."""
    colour = str(file.colorinterp[number - 1].name)
    name = file.descriptions[number - 1] or (colour if colour in ("red", "green", "blue", "alpha", "nir") else "")
    return str(name)


def _acquisition_time(path: Path, tags: Json) -> datetime:
    """The time in the file's name, its tags, or its folder's name; noon if only the day is given."""
    dates = (tags.get(key, "") for key in ("ACQUISITIONDATETIME", "TIFFTAG_DATETIME"))
    for text in (path.name, *dates, path.parent.name):
        if match := _DATE_AND_TIME.search(text):
            return _time(path, [int(part) for part in match.groups()])
        if match := DATE.search(text):
            return _time(path, [*map(int, match.groups()), 12])
    raise InputError(
        f"'{path}': no acquisition date in its name, tags or folder; put the date into its name "
        f"({path.stem}_20230630{path.suffix}) or give one for all such files with --day 2023-06-30"
    )


def _time(path: Path, parts: Sequence[int]) -> datetime:
    try:
        return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]
    except ValueError as error:
        raise InputError(f"'{path}': its name has an invalid date ({error}); give one with --day") from error


def find_rasters(folder: Path) -> list[Path]:
    """Returns all GeoTIFF and JPEG 2000 files below a folder, sorted.

    Raises:
        InputError: The folder does not exist or has no such file.
    """
    if not folder.is_dir():
        raise InputError(f"'{folder}' is not a folder; name the folder of the GeoTIFFs")
    rasters = sorted(path for path in folder.rglob("*") if path.suffix.lower() in MEDIA_TYPES and path.is_file())
    if not rasters:
        raise InputError(f"'{folder}' holds no {', '.join(MEDIA_TYPES)} file; name the folder of the rasters")
    return rasters
