"""TODO: describe."""

import math
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
_DATE = r"(?<!\d)(19\d\d|20\d\d)[-_.:]?(0[1-9]|1[0-2])[-_.:]?(0[1-9]|[12]\d|3[01])"
ONE_DAY = re.compile(_DATE + r"(?!\d)")
_DAY_AND_TIME = re.compile(_DATE + r"[T_ -]([01]\d|2[0-3])[-_.:]?([0-5]\d)[-_.:]?([0-5]\d)(?!\d)")


@dataclass(frozen=True)
class Raster:
    """What the header of one file tells."""

    path: Path
    crs: str
    bounds: Bounds
    outline: Json
    names: tuple[str, ...]
    dtype: str
    nodata: float | None
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    step: float
    acquired: datetime


def read_raster(path: Path, day: datetime | None = None) -> Raster:
    """Look at a file; InputError where it is no raster, has no place on the ground, or nothing tells its day."""
    import rasterio
    from rasterio.warp import transform_geom

    try:
        with rasterio.open(path) as file:
            if file.crs is None or file.transform.is_identity:
                raise InputError(
                    f"'{path}' has no CRS or no geotransform; give it its place, "
                    f"such as with: gdal_edit.py -a_srs EPSG:32633 -a_ullr WEST NORTH EAST SOUTH '{path}'"
                )
            ring = _ring(file.transform, file.width, file.height)
            outline = transform_geom(file.crs, "EPSG:4326", {"type": "Polygon", "coordinates": [ring]}, precision=7)
            names = tuple(_band_name(file, number) for number in file.indexes)
            told = day or _acquired(path, {**file.tags(), **file.tags(ns="IMAGERY")})
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
                step=math.hypot(file.transform.a, file.transform.d),
                acquired=told,
            )
    except rasterio.errors.RasterioIOError as error:
        raise InputError(f"'{path}' cannot be read as a raster ({error}); mend it or move it elsewhere") from error


def _ring(transform: Any, width: int, height: int) -> list[tuple[float, float]]:
    """The file's outline with points between its corners, for edges that bend in lon/lat; counter-clockwise."""
    parts = [step / 8 for step in range(8)]
    down = [(0, part * height) for part in parts] + [(part * width, height) for part in parts]
    up = [(width, (1 - part) * height) for part in parts] + [((1 - part) * width, 0) for part in parts]
    return [transform @ corner for corner in (*down, *up, (0, 0))]


def _band_name(file: Any, number: int) -> str:
    """The band's description, else its colour, else nothing."""
    colour = str(file.colorinterp[number - 1].name)
    said = file.descriptions[number - 1] or (colour if colour in ("red", "green", "blue", "alpha", "nir") else "")
    return str(said)


def _acquired(path: Path, tags: Json) -> datetime:
    """The time in the file's name, its tags, or its folder's name, midday where only the day is told."""
    said = (tags.get(key, "") for key in ("ACQUISITIONDATETIME", "TIFFTAG_DATETIME"))
    for text in (path.name, *said, path.parent.name):
        if found := _DAY_AND_TIME.search(text):
            return _time(path, [int(part) for part in found.groups()])
        if found := ONE_DAY.search(text):
            return _time(path, [*map(int, found.groups()), 12])
    raise InputError(
        f"'{path}': neither its name, tags nor folder tell when it was taken; put the day into its name "
        f"({path.stem}_20230630{path.suffix}) or give one for all such files with --day 2023-06-30"
    )


def _time(path: Path, parts: Sequence[int]) -> datetime:
    try:
        return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]
    except ValueError as error:
        raise InputError(f"'{path}': its name tells no day of the calendar ({error}); give one with --day") from error


def find_rasters(folder: Path) -> list[Path]:
    """All GeoTIFF and JPEG 2000 files below a folder; InputError where there is none."""
    if not folder.is_dir():
        raise InputError(f"'{folder}' is no folder; name the one that holds the GeoTIFFs")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in MEDIA_TYPES and path.is_file())
    if not found:
        raise InputError(f"'{folder}' holds no {', '.join(MEDIA_TYPES)} file; name the folder of the rasters")
    return found
