"""Reads what the headers of raster files say: extent, bands, and acquisition time."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from segchips.commands.conventions import KnownFile, known_file
from segchips.commands.name_pattern import Naming
from segchips.errors import InputError
from segchips.files import Json
from segchips.scenes.georeference import georeference_problem
from segchips.scenes.raster_outlines import raster_outline

Bounds = tuple[float, float, float, float]

_DATE_PATTERN = r"(?<!\d)(19\d\d|20\d\d)[-_.:]?(0[1-9]|1[0-2])[-_.:]?(0[1-9]|[12]\d|3[01])"
DATE = re.compile(_DATE_PATTERN + r"(?!\d)")
_DATE_AND_TIME = re.compile(_DATE_PATTERN + r"[T_ -]([01]\d|2[0-3])[-_.:]?([0-5]\d)[-_.:]?([0-5]\d)(?!\d)")


class UndatedError(InputError):
    """Neither name, tags nor folder of a file tell when it was acquired."""


@dataclass(frozen=True)
class Raster:
    """The header of one file.

    `outline` is a GeoJSON geometry in longitude and latitude; `bounds` are in the units of `crs`; `pixels` are those of
    one band; `known` is what its name tells by the convention of a product.
    """

    path: Path
    crs: str
    bounds: Bounds
    pixels: int
    outline: Json
    names: tuple[str, ...]
    dtype: str
    nodata: float | None
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    acquired: datetime
    known: KnownFile | None = None


def read_raster(path: Path, day: datetime | None = None, naming: Naming = known_file) -> Raster:
    """Reads the header of a file.

    Args:
        path: The file.
        day: The acquisition time; None reads it from the file's name, its tags, or its folder's name.
        naming: What names of files tell.

    Raises:
        InputError: The file is not a raster, or has no georeference or no acquisition time.
    """
    import rasterio

    known = naming(path)
    try:
        with rasterio.open(path) as file:
            if file.subdatasets:
                raise InputError(f"'{path}' holds several variables ({_variables(file)}); {_ONE_VARIABLE}")
            if problem := georeference_problem(file):
                raise InputError(f"'{path}' {problem}")
            names = tuple(_band_name(file, number) for number in file.indexes)
            if day is None and known:
                day = known.acquired
            acquired = day or _acquisition_time(path, {**file.tags(), **file.tags(ns="IMAGERY")})
            unscaled = set(zip(file.scales, file.offsets, strict=True)) == {(1.0, 0.0)}
            scaling = [known.scaling] * file.count if known and known.scaling and unscaled else None
            return Raster(
                path=path,
                crs=file.crs.to_string(),
                bounds=tuple(file.bounds),
                pixels=file.width * file.height,
                outline=raster_outline(file, path),
                names=names,
                dtype=file.dtypes[0],
                nodata=known.nodata if known and file.nodata is None else file.nodata,
                scales=tuple(scale for scale, _ in scaling) if scaling else file.scales,
                offsets=tuple(offset for _, offset in scaling) if scaling else file.offsets,
                acquired=acquired,
                known=known,
            )
    except rasterio.errors.RasterioIOError as error:
        raise InputError(f"'{path}' cannot be read as a raster ({error}); repair it or move it elsewhere") from error


_ONE_VARIABLE = "write the one to use into a GeoTIFF, such as with: gdal_translate VARIABLE OUT.tif"


def _variables(file: Any) -> str:
    return ", ".join(name.rpartition("/")[2].rpartition(":")[2] for name in file.subdatasets[:5])


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
    raise UndatedError(
        f"'{path}': no acquisition date in its name, tags or folder; put the date into its name "
        f"({path.stem}_20230630{path.suffix}), give one for all such files with --day 2023-06-30, or write a config "
        "with imagery.source: files, which needs no dates"
    )


def _time(path: Path, parts: Sequence[int]) -> datetime:
    try:
        return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]
    except ValueError as error:
        raise InputError(f"'{path}': its name has an invalid date ({error}); give one with --day") from error
