"""Reads from class rasters and rasters of measurements what a starting config needs to know about them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from segchips.commands.labels_block import LabelsSurvey
from segchips.config.class_keys import ClassKeys, is_number_key
from segchips.config.labels import LabelLayer
from segchips.errors import InputError
from segchips.labels.raster_layer import check_raster
from segchips.labels.value_entries import read_value_entries

MAX_VALUES = 255
"""Distinct values above which a raster holds measurements."""
_PIXELS = 400_000_000
"""Pixels that are read of all rasters; of the rest only the header."""
_STRIP = 16_000_000
"""Pixels that are read at once."""


@dataclass
class _Found:
    """What the rasters hold: distinct valid values, and whether some pixels have none."""

    values: set[float] = field(default_factory=set)
    has_gaps: bool = False
    is_measured: bool = False
    is_complete: bool = True


def survey_rasters(path: str, files: Sequence[str]) -> LabelsSurvey:
    """Looks at the values of rasters, and at the names that they have.

    Args:
        path: The path of the labels as the config names it.
        files: The rasters that it stands for.

    Raises:
        InputError: A file cannot be read, or holds no labels.
    """
    found, names, pixels = _Found(), dict[int, str](), 0
    for file in files:
        scaling = check_raster(file, LabelLayer(path), continuous=False)
        found.is_measured |= scaling != (1.0, 0.0)
        names |= {value: entry.name for value, entry in read_value_entries(file, 1).items() if entry.name}
        try:
            with rasterio.open(file) as source:
                pixels += source.width * source.height
                if pixels <= _PIXELS and not found.is_measured:
                    _add_values(source, found)
                else:
                    found.is_complete = False
        except RasterioError as error:
            raise InputError(f"'{file}' cannot be read as a raster: {error}") from error
    if found.is_measured or any(value != int(value) for value in found.values):
        return LabelsSurvey(path, is_raster=True, kind="continuous", background=None)
    return _survey_classes(path, found, names)


def _add_values(source: DatasetReader, found: _Found) -> None:
    for window in _strips(source):
        pixels = source.read(1, window=window)
        valid = source.read_masks(1, window=window) != 0
        if pixels.dtype.kind == "f":
            valid &= np.isfinite(pixels)
        found.has_gaps |= not bool(valid.all())
        found.values.update(_distinct(pixels[valid]))
        if len(found.values) > MAX_VALUES:
            found.is_measured = True
            return


def _strips(source: DatasetReader) -> Iterator[Window]:
    height = max(source.block_shapes[0][0], _STRIP // source.width)
    for top in range(0, source.height, height):
        yield Window(0, top, source.width, min(height, source.height - top))


def _distinct(values: np.ndarray[Any, Any]) -> list[float]:
    if values.dtype == np.uint8:
        return [float(value) for value in np.flatnonzero(np.bincount(values, minlength=256))]
    distinct: list[float] = np.unique(values).tolist()
    return distinct


def _survey_classes(path: str, found: _Found, names: Mapping[int, str]) -> LabelsSurvey:
    present = {int(value) for value in found.values} | (set() if found.is_complete else set(names))
    values, notes = sorted(present), []
    named = {value: names[value] for value in values if value in names and not is_number_key(names[value])}
    fits = all(0 <= value <= 255 for value in values)
    numbers = {value: value if fits else place for place, value in enumerate(values, 0 if 0 in present else 1)}
    classes: dict[str, int | None] = {_key(value, named): number for value, number in numbers.items()}
    free = [number for number in (255, 0, *range(254, 0, -1)) if number not in numbers.values()]
    background = free[0] if free else 0
    unknown = next((number for number in range(254, -1, -1) if number in free[1:]), None) if found.has_gaps else None
    if 255 in present:
        notes.append("255 is a value of the raster; if it means no data, add nodata: 255.")
    if not found.is_complete:
        notes.append("the rasters are large, so that their values were not all read; check classes.")
    return LabelsSurvey(
        path,
        classes=classes if named or not fits else None,
        values=values,
        is_raster=True,
        background=background,
        unknown=unknown,
        notes=notes,
    )


def _key(value: int, named: Mapping[int, str]) -> str:
    """The key of a value in `classes`: its name where no other value has one like it, else the value."""
    name = named.get(value)
    if name is None or any(ClassKeys({name: 0}).find(other) for key, other in named.items() if key != value):
        return str(value)
    return name
