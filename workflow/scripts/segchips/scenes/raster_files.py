"""Raster files as the scenes of a layer, without a catalogue: one file, a folder, or a pattern."""

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely

from segchips.config.imagery import ImageryConfig
from segchips.errors import InputError
from segchips.files import content_digest
from segchips.scenes.georeference import georeference_problem
from segchips.scenes.model import ALPHA, UNDATED, Band, Scene, file_scaling
from segchips.scenes.raster_outlines import raster_outline
from segchips.vectors.geometry import Geometries

ASSET = "file"
"""The key of a scene's only asset."""
_SUFFIXES = (".tif", ".tiff", ".jp2", ".img", ".vrt")


class RasterFiles:
    """The raster files of a layer; implements `SceneCatalogue`.

    Each file is a scene of every product of the layer. Its id is its path below the folder, so that scenes are in the
    order of these paths.

    Raises:
        InputError: There is no such file.
    """

    def __init__(self, imagery: ImageryConfig) -> None:
        self._imagery, self._paths = imagery, find_files(str(imagery.path))
        self.skipped_items: list[str] = []

    def check(self, product: str, bands: Sequence[str], _: str | None, area: Geometries | None) -> bool:
        """Check that the first file can be read and has these bands.

        Returns:
            Whether it, or one of several files, may meet the area.

        Raises:
            InputError: The file cannot be read, or has no such band.
        """
        scene = _read_scene(product, *self._named(self._paths[0]), version=None)
        for band in bands:
            if not scene.find_bands(band):
                raise InputError(f"'{self._paths[0]}' {scene.lacking(band)}")
        if area is None or len(self._paths) > 1:
            return True
        return bool(shapely.intersects(area, shapely.from_wkb(scene.footprint)).any())

    def search(self, footprints: np.ndarray) -> list[Scene]:
        """Find the files that meet any footprint, as scenes of each product.

        Args:
            footprints: Polygons in longitude and latitude.

        Raises:
            InputError: A file cannot be read or placed on the earth.
        """
        tree, scenes = shapely.STRtree(footprints), []
        first, *others = [product.id for product in self._imagery.products]
        for path in self._paths:
            scene = _read_scene(first, *self._named(path), version=None)
            if tree.query(shapely.from_wkb(scene.footprint), predicate="intersects").size:
                version = content_digest(path)
                bands = [(name, replace(band, version=version)) for name, band in scene.assets[ASSET]]
                scene = replace(scene, assets={ASSET: bands})
                scenes += [scene, *(replace(scene, product=product) for product in others)]
        return scenes

    def _named(self, path: str) -> tuple[str, str]:
        """The file and its id: the path below the folder that the config names."""
        place = str(self._imagery.path)
        folder = place if os.path.isdir(place) else os.path.dirname(re.split(r"[*?\[]", place)[0])
        return path, Path(os.path.relpath(path, folder or ".")).as_posix()


def find_files(place: str) -> list[str]:
    """Return the raster files at a path, in a folder and those below it, or of a pattern, sorted by path.

    Raises:
        InputError: There is none.
    """
    if os.path.isfile(place):
        return [place]
    if os.path.isdir(place):
        inside = (path.relative_to(place) for path in Path(place).rglob("*") if path.suffix.lower() in _SUFFIXES)
        visible = (path for path in inside if not any(part.startswith(".") for part in path.parts))
        files = sorted(f"{place.rstrip('/')}/{path.as_posix()}" for path in visible)
    else:
        files = sorted(path for path in glob.glob(place, recursive=True) if os.path.isfile(path))
    if not files:
        kinds = f" that ends in {', '.join(_SUFFIXES)}" if os.path.isdir(place) else ""
        raise InputError(f"'{place}' holds no raster file{kinds}; name a raster, a folder of rasters, or a pattern")
    return files


def file_states(imagery: ImageryConfig) -> list[tuple[str, int, int]]:
    """Return path, size and time of change (nanoseconds) of the files of a layer; none where they are missing."""
    try:
        files = find_files(str(imagery.path))
    except InputError:
        return []
    return [(path, (status := os.stat(path)).st_size, status.st_mtime_ns) for path in files]


def _read_scene(product: str, path: str, name: str, version: str | None) -> Scene:
    import rasterio
    from rasterio.enums import ColorInterp

    try:
        with rasterio.open(path) as file:
            if problem := georeference_problem(file):
                raise InputError(f"'{path}' {problem}")
            descriptions = [text or "" for text in file.descriptions]
            if len({*descriptions, ""}) <= len(descriptions):
                descriptions = [str(number) for number in file.indexes]
            kinds = [ALPHA if colour == ColorInterp.alpha else None for colour in file.colorinterp]
            bands = [
                (description, Band(path, number, nodata, scale, offset, dtype, common_name=kind, version=version))
                for description, number, nodata, (scale, offset), dtype, kind in zip(
                    descriptions,
                    file.indexes,
                    file.nodatavals,
                    map(file_scaling, file.scales, file.offsets),
                    file.dtypes,
                    kinds,
                    strict=True,
                )
            ]
            outline = shapely.from_geojson(shapely.to_geojson(shapely.geometry.shape(raster_outline(file, Path(path)))))
            return Scene(product, name, UNDATED, None, {ASSET: bands}, shapely.to_wkb(shapely.make_valid(outline)))
    except rasterio.errors.RasterioIOError as error:
        raise InputError(f"'{path}' cannot be read as a raster ({error}); repair it or move it elsewhere") from error
