"""Label layers of pixels: class rasters and rasters of continuous values, read onto tile grids."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyproj
import rasterio
import shapely
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError

from segchips.arrays import Floats, Mask, Pixels
from segchips.chips.raster_reader import RasterReader
from segchips.config.imagery import Nodata
from segchips.config.labels import LabelLayer
from segchips.errors import InputError, SceneError
from segchips.grids.outlines import footprints
from segchips.grids.tile import Tile
from segchips.labels.raster_classes import LEFT_OUT, RasterClasses
from segchips.scenes.georeference import georeference_problem
from segchips.scenes.model import Band
from segchips.tiles.label_rasters import raster_files, raster_outline
from segchips.vectors.geometry import Geometries
from segchips.vectors.longitudes import within_globe

_OPEN_FILES = 16
_GLOBE = shapely.box(-180, -90, 180, 90)
_MARGIN = 0.001
"""Degrees around a tile in which rasters are looked for, as their sides are curved."""


@dataclass(frozen=True)
class RasterPixels:
    """What a raster layer says of a tile's pixels; each array is row x column.

    Attributes:
        values: Label values: uint8 classes or float32; any where nothing is burned.
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
        background: The label value of the background.

    Attributes:
        name: The layer as messages name it.

    Raises:
        InputError: A file cannot be read, has no such band, or holds colours in place of classes.
    """

    def __init__(self, config: LabelLayer, continuous: bool, background: int | None) -> None:
        self.name = f"raster '{config.path}'"
        self._config, self._continuous = config, continuous
        self._files = raster_files(config.path, config.asset)
        self._scalings: list[tuple[float, float]] = []
        for file in self._files:
            self._scalings.append(check_raster(file, config, continuous))
        self._tree = shapely.STRtree(self.outlines if len(self._files) > 1 else [])
        self._reader = RasterReader(_OPEN_FILES)
        self._nodata = None if config.nodata is None else Nodata(config.nodata)
        self._classes = RasterClasses(config, background)

    @cached_property
    def outlines(self) -> Geometries:
        """The outline of each file in lon/lat; the globe for one that reaches beyond the earth or around a pole."""
        return within_globe(np.array([raster_outline(file) or _GLOBE for file in self._files], dtype=object))

    def sample_points(self) -> tuple[Floats, pyproj.CRS]:
        """Returns points (n, 2) spread over the first file, and the CRS of their coordinates."""
        with rasterio.open(self._files[0]) as source:
            columns, rows = np.meshgrid(
                (np.arange(5) + 0.5) * source.width / 5, (np.arange(5) + 0.5) * source.height / 5
            )
            x, y = source.transform @ (columns.ravel(), rows.ravel())
            return np.column_stack([x, y]), pyproj.CRS(source.crs.to_wkt())

    def read(self, tile: Tile) -> RasterPixels:
        """Reads the layer on a tile's grid, padding included.

        Raises:
            InputError: A file cannot be read, or a value is no class; the message names file and value.
        """
        dtype = np.dtype(np.float32 if self._continuous else np.uint8)
        merged = None
        for number in self._files_under(tile):
            codes, known = self._read_file(number, tile)
            here = known
            if not self._continuous:
                self._classes.check(codes, known, self._files[number])
                here = known if codes.dtype == np.uint8 else known & (codes != LEFT_OUT)
            values = codes.astype(dtype, copy=False)
            if merged is None:
                merged = RasterPixels(values, known, here)
            else:
                valid, burned = merged.valid | known, (merged.burned & ~known) | here
                merged = RasterPixels(np.where(here, values, merged.values), valid, burned)
        if merged is None:
            nothing = np.zeros((tile.grid.size, tile.grid.size), bool)
            merged = RasterPixels(nothing.astype(dtype), nothing, nothing)
        return merged

    def _files_under(self, tile: Tile) -> list[int]:
        if len(self._files) == 1:
            return [0]
        (outline,) = shapely.buffer(footprints([tile]), _MARGIN)
        return sorted(self._tree.query(outline).tolist())

    def _read_file(self, number: int, tile: Tile) -> tuple[Pixels, Mask]:
        """Class codes, or measurements as float32, and which pixels have data."""
        file = self._files[number]
        band = Band(file, self._config.band, None, 1.0, 0.0)

        def convert(values: Pixels, valid: Mask) -> Pixels:
            if self._continuous:
                return _measure(values, valid, self._scalings[number], file)
            return self._classes.encode(values, valid, file)

        try:
            pixels, valid = self._reader.read([band], tile, self._config.resampling, self._nodata, convert)
        except SceneError as error:
            raise InputError(str(error)) from error
        return pixels[0], valid[0]


def _measure(values: Pixels, valid: Mask, scaling: tuple[float, float], file: str) -> npt.NDArray[np.float32]:
    """Stored values as the measurements that they stand for."""
    if scaling == (1.0, 0.0) and values.dtype == np.float32:
        return values
    scale, offset = scaling
    measured = np.where(valid, values, 0) * scale + offset
    if (beyond := np.abs(measured) > np.finfo(np.float32).max).any():
        raise InputError(f"'{file}' holds the value {measured[beyond][0]}, which is no 32-bit number")
    return measured.astype(np.float32)


def check_raster(file: str, config: LabelLayer, continuous: bool) -> tuple[float, float]:
    """Checks that a file holds labels; returns scale and offset of its values, 1 and 0 where it declares none."""
    try:
        with rasterio.open(file) as source:
            problem, count = georeference_problem(source), source.count
            colours = [source.colorinterp[index] for index in range(count)]
            place = min(config.band, count) - 1
            dtype, scale, offset = source.dtypes[place], source.scales[place], source.offsets[place]
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
    return (scale, offset) if math.isfinite(scale) and scale and math.isfinite(offset) else (1.0, 0.0)


def check_raster_keys(layer: LabelLayer) -> None:
    """Checks that a raster layer has no key of vector layers; raises InputError that names it."""
    for key in ("layer", "attribute", "buffer", "crs", "encoding"):
        if getattr(layer, key) is not None:
            advice = "assign it with: gdal_edit.py -a_srs" if key == "crs" else "remove the key"
            raise InputError(f"'{layer.path}' is a raster, and labels.{key} is for vector layers; {advice}")
