"""Label layers of pixels: class rasters and rasters of continuous values, read onto tile grids."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError

from segchips.arrays import Mask, Pixels
from segchips.chips.raster_reader import RasterReader
from segchips.config.class_keys import ClassKeys, example_map, value_text
from segchips.config.imagery import Nodata
from segchips.config.labels import LabelLayer
from segchips.errors import InputError, SceneError
from segchips.grids.outlines import footprints
from segchips.grids.tile import Tile
from segchips.labels.value_names import read_value_names
from segchips.scenes.georeference import georeference_problem
from segchips.scenes.model import Band
from segchips.tiles.label_rasters import raster_extents, raster_files
from segchips.vectors.longitudes import within_globe

_OPEN_FILES = 16
_MARGIN = 0.001
"""Degrees around a tile in which rasters are looked for, as their sides are curved."""
_LEFT_OUT, _UNSEEN = -1, -2
"""Mark values that `classes` maps to null, and those that were not looked up yet."""


@dataclass(frozen=True)
class RasterPixels:
    """What a raster layer says of a tile's pixels; each array is row x column.

    Attributes:
        values: Label values: uint8 classes or float32.
        valid: Which pixels have data.
        burned: Which of these have a label value: all but those whose value `classes` maps to null.
    """

    values: Pixels
    valid: Mask
    burned: Mask


class RasterLayer:
    """The rasters of one label layer; of several that overlap, the last in the order of names wins.

    Args:
        config: The layer.
        continuous: Whether pixels hold measurements instead of classes.

    Attributes:
        name: The layer as messages name it.

    Raises:
        InputError: A file cannot be read, has no such band, or holds colours in place of classes.
    """

    def __init__(self, config: LabelLayer, continuous: bool) -> None:
        self.name = f"raster '{config.path}'"
        self._config, self._continuous = config, continuous
        self._files = raster_files(config.path)
        for file in self._files:
            _check_file(file, config, continuous)
        outlines = raster_extents(config.path).geometries
        self._tree = shapely.STRtree(within_globe(outlines))
        self._reader = RasterReader(_OPEN_FILES)
        self._nodata = None if config.nodata is None else Nodata(config.nodata)
        self._keys = None if config.classes is None else ClassKeys(config.classes)
        self._classes: dict[Any, int] = {}
        self._table = np.full(1 << 16, _UNSEEN, np.int16)
        self._names: dict[str, dict[int, str]] = {}

    def read(self, tile: Tile) -> RasterPixels:
        """Reads the layer on a tile's grid, padding included.

        Raises:
            InputError: A file cannot be read, or a value is no class; the message names file and value.
        """
        shape = (tile.grid.size, tile.grid.size)
        result = np.zeros(shape, np.float32 if self._continuous else np.uint8)
        valid, burned = np.zeros(shape, bool), np.zeros(shape, bool)
        for number in self._files_under(tile):
            values, known = self._read_file(self._files[number], tile)
            if self._continuous:
                result[known] = values[known]
                burned |= known
            elif known.any():
                classes = self._to_classes(values[known], self._files[number])
                result[known] = np.maximum(classes, 0)
                burned[known] = classes != _LEFT_OUT
            valid |= known
        return RasterPixels(result, valid, burned)

    def _files_under(self, tile: Tile) -> list[int]:
        if len(self._files) == 1:
            return [0]
        (outline,) = shapely.buffer(footprints([tile]), _MARGIN)
        return sorted(self._tree.query(outline).tolist())

    def _read_file(self, file: str, tile: Tile) -> tuple[Pixels, Mask]:
        band = Band(file, self._config.band, None, 1.0, 0.0)
        try:
            pixels, valid = self._reader.read([band], tile, self._config.resampling, self._nodata)
        except SceneError as error:
            raise InputError(str(error)) from error
        return pixels[0], valid[0]

    def _to_classes(self, values: Pixels, file: str) -> npt.NDArray[np.int16]:
        if values.dtype in (np.uint8, np.uint16):
            classes = self._table[values]
            for value in np.unique(values[classes == _UNSEEN]).tolist():
                self._table[value] = self._class_of(value, file)
            return self._table[values] if _UNSEEN in classes else classes
        found, places = np.unique(values, return_inverse=True)
        return np.array([self._class_of(value, file) for value in found.tolist()], np.int16)[places]

    def _class_of(self, value: float, file: str) -> int:
        if value not in self._classes:
            self._classes[value] = self._look_up(value, file)
        return self._classes[value]

    def _look_up(self, value: float, file: str) -> int:
        text = value_text(value)
        if self._keys is None:
            if value == int(value) and 0 <= value <= 255:
                return int(value)
            raise InputError(
                f"'{file}' holds the value {text}, and label values are whole numbers from 0 to 255; "
                f"map its values with labels.classes, such as {{{text}: 1}}"
            )
        key = self._keys.find(value)
        if key is None:
            name = self._value_names(file).get(int(value)) if value == int(value) else None
            key = self._keys.find(name) if name else None
            if key is None:
                named = f" ({name})" if name else ""
                example = example_map([value], [1])
                raise InputError(
                    f"'{file}' holds the value {text}{named}, which labels.classes does not map; "
                    f"add it, such as {example}, or map it to null to leave it out"
                )
        mapped = self._keys[key]
        return _LEFT_OUT if mapped is None else mapped

    def _value_names(self, file: str) -> dict[int, str]:
        if file not in self._names:
            self._names[file] = read_value_names(file, self._config.band)
        return self._names[file]


def _check_file(file: str, config: LabelLayer, continuous: bool) -> None:
    try:
        with rasterio.open(file) as source:
            problem, count = georeference_problem(source), source.count
            colours = [source.colorinterp[index] for index in range(count)]
            dtype = source.dtypes[min(config.band, count) - 1]
    except RasterioError as error:
        raise InputError(f"'{file}' cannot be read as a raster: {error}") from error
    if problem:
        raise InputError(f"'{file}' {problem}")
    if not 1 <= config.band <= count:
        raise InputError(f"'{file}' has {count} bands; labels.band {config.band} is none of them")
    if not continuous and colours[config.band - 1] in (ColorInterp.red, ColorInterp.green, ColorInterp.blue):
        raise InputError(f"'{file}' holds colours, of which no class follows; name a raster of class numbers")
    if "complex" in dtype:
        raise InputError(f"'{file}' holds complex pixels ({dtype}), which are no labels")


def check_raster_keys(layer: LabelLayer) -> None:
    """Checks that a raster layer has no key of vector layers; raises InputError that names it."""
    for key in ("layer", "attribute", "buffer", "crs", "encoding"):
        if getattr(layer, key) is not None:
            advice = "assign it with: gdal_edit.py -a_srs" if key == "crs" else "remove the key"
            raise InputError(f"'{layer.path}' is a raster, and labels.{key} is for vector layers; {advice}")
