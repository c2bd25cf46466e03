"""A raster as overlapping windows, which are predicted like chips."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window

from segchips.arrays import Mask, Pixels
from segchips.errors import InputError
from segchips.training.blended_mosaic import BlendedMosaic
from segchips.training.prediction_sources import SourceChip

PIXELS = "pixels"
"""Stands for a CRS in the identifiers of windows, whose coordinates are columns and negative rows of the raster."""


@dataclass(frozen=True)
class RasterWindows:
    """Square windows that cover a raster; those at its right and lower edges are moved back into it.

    Attributes:
        raster: The open raster.
        size: Pixels along a side of a window.
        stride: Pixels between the corners of neighbouring windows.
        area: Polygons in the CRS of the raster outside of which nothing is predicted; None for everywhere.
    """

    raster: Any
    size: int
    stride: int
    area: tuple[Any, ...] | None = None

    @classmethod
    @contextmanager
    def open(cls, path: Path, size: int, overlap: int, area: str | Path | None = None) -> "Iterator[RasterWindows]":
        """Open a raster.

        Args:
            path: The raster.
            size: Pixels along a side of a window.
            overlap: Pixels by which windows overlap.
            area: A file of polygons outside of which nothing is predicted.

        Raises:
            InputError: A file cannot be read, the windows do not fit, or the area does not meet the raster.
        """
        if not 0 <= overlap < size:
            raise InputError(f"overlap {overlap} does not fit windows of {size} pixels; give 0 to {size - 1}")
        try:
            raster = rasterio.open(path)
        except RasterioError as error:
            raise InputError(f"{path} cannot be read as a raster: {error.__cause__ or error}") from error
        with raster:
            if raster.height < size or raster.width < size:
                raise InputError(
                    f"{path} has {raster.width} x {raster.height} pixels, fewer than a window; lower size {size}"
                )
            windows = cls(raster, size, size - overlap, _read_area(area, raster) if area is not None else None)
            if not windows.corners:
                raise InputError(f"{area} has no polygon on {path}; check both")
            yield windows

    def _starts(self, length: int) -> list[int]:
        """The first pixels of the windows along a side of so many pixels."""
        last = length - self.size
        return sorted({*range(0, last, self.stride), last})

    @cached_property
    def corners(self) -> list[tuple[int, int]]:
        """First row and first column of each window that meets the area."""
        tops, lefts = (self._starts(length) for length in (self.raster.height, self.raster.width))
        corners = [(top, left) for top in tops for left in lefts]
        return corners if self.area is None else [corner for corner in corners if self._inside(*corner).any()]

    def __len__(self) -> int:
        return len(self.corners)

    def read(self, number: int) -> SourceChip:
        """Read a window."""
        top, left = self.corners[number]
        window = Window(left, top, self.size, self.size)
        pixels: Pixels = self.raster.read(window=window).transpose(1, 2, 0)
        valid: Mask = np.all(self.raster.read_masks(window=window) != 0, axis=0)
        identifier = f"{number}|{json.dumps([left, 1, 0, -top, 0, -1])}|{PIXELS}"
        return SourceChip(identifier, pixels, valid & self._inside(top, left))

    def _inside(self, top: int, left: int) -> Mask:
        """Which pixels of a window have their centre in the area."""
        from rasterio.features import geometry_mask

        shape = self.size, self.size
        if self.area is None:
            return np.ones(shape, bool)
        mask: Mask = geometry_mask(self.area, shape, self.raster.transform * Affine.translation(left, top), invert=True)
        return mask

    def placed(self, mosaic: BlendedMosaic) -> BlendedMosaic:
        """The mosaic of the windows' predictions, in the CRS of the raster."""
        return replace(mosaic, raster=(self.raster.crs, self.raster.transform))


def _read_area(path: str | Path, raster: Any) -> tuple[Any, ...]:
    """The polygons of a file in the CRS of a raster."""
    import pyproj

    from segchips.vectors.geometry import reproject_geometries
    from segchips.vectors.layers import read_layer

    if raster.crs is None:
        raise InputError(f"{raster.name} has no CRS, so area cannot be placed on it")
    layer = read_layer(str(path), None)
    shapes = reproject_geometries(layer.geometries, layer.crs, pyproj.CRS(raster.crs.to_wkt()), layer)
    return tuple(shape for shape in shapes if shape is not None and not shape.is_empty)
