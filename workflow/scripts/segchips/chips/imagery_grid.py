"""The pixel grid that the scenes of a layer share, read from the headers of their files."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import pyproj
import rasterio

from segchips.chips.open_rasters import GDAL_OPTIONS, horizontal_crs
from segchips.chips.readers import shared_raster_reader
from segchips.config.imagery import ImageryConfig
from segchips.errors import InputError
from segchips.grids.pixel_grid import MAX_SHIFT, PixelGrid
from segchips.grids.projected import projected_code
from segchips.grids.tile import Grid
from segchips.scenes.catalogue import open_catalogue
from segchips.scenes.model import Scene
from segchips.scenes.signing import with_signature
from segchips.scenes.usable import with_all_bands
from segchips.vectors.geometry import Geometries

_THREADS = 8
_SHOWN = 5
_RATIO_ERROR = 1e-9
"""The part of a pixel's side by which the sides of the pixels of two rasters may differ."""


@dataclass(frozen=True)
class _Header:
    """What the header of one file says of its pixels, or why they cannot be a grid of tiles."""

    name: str
    crs: str = ""
    corner: tuple[float, float] = (0.0, 0.0)
    resolution: float = 0.0
    pixels: int = 1
    problem: str = ""

    def grid(self) -> PixelGrid:
        return PixelGrid.through(self.crs, self.corner, self.resolution, self.pixels)

    def difference(self, grid: PixelGrid) -> str:
        """How the pixels lie off a grid; empty where they lie on it."""
        if self.problem:
            return self.problem
        if self.crs != grid.crs:
            return f"has the CRS {self.crs}"
        if abs(self.resolution / grid.resolution - 1) > _RATIO_ERROR:
            return f"has pixels of {self.resolution:.9g}"
        shift = grid.shift(self.corner)
        return f"lies {shift:.3g} pixels off the others" if shift > MAX_SHIFT else ""


def find_pixel_grid(imagery: ImageryConfig, area: Geometries) -> PixelGrid:
    """Finds the pixel grid of all scenes of a layer that meet an area.

    Args:
        imagery: The layer.
        area: Lon/lat polygons (n).

    Raises:
        InputError: There is no scene, or scenes differ in CRS, pixel size or position of their pixels.
        SceneError: A file cannot be read.
    """
    scenes = [scene for scene in open_catalogue(imagery).search(area) if scene.id not in imagery.exclude]
    if not scenes:
        raise InputError(
            "tiles.grid: no scene meets the area, so there are no pixels to follow; check area, dates, products"
        )
    headers = _headers(with_all_bands(imagery, scenes), scenes)
    usable = [header for header in headers if not header.problem]
    if not usable:
        raise InputError(f"tiles.grid: {headers[0].name} {headers[0].problem}; take 'dltile' or a crs")
    grid = _most_common(usable)
    _check(headers, grid)
    return grid


def _most_common(headers: Sequence[_Header]) -> PixelGrid:
    """The pixel grid on which most files lie."""
    counts: Counter[PixelGrid] = Counter()
    for header in headers:
        counts[next((grid for grid in counts if not header.difference(grid)), header.grid())] += 1
    return max(counts, key=lambda grid: (counts[grid], grid.crs, grid.origin))


def check_pixel_grid(imagery: ImageryConfig, scenes: Sequence[Scene], tiles: Grid) -> None:
    """Checks that scenes lie on the pixels of a tile grid that was cut from scenes before.

    Raises:
        InputError: A scene lies off the pixels; the message names it.
        SceneError: A file cannot be read.
    """
    headers = _headers(imagery, scenes)
    first = next((header for header in headers if not header.problem), None)
    resolution = tiles.resolution if first is None else first.resolution
    multiple = max(1, round(tiles.resolution / resolution))
    _check(headers, PixelGrid(tiles.crs(0), tiles.origin, tiles.resolution / multiple))


def _check(headers: Sequence[_Header], grid: PixelGrid) -> None:
    odd = [f"{header.name} {difference}" for header in headers if (difference := header.difference(grid))]
    if odd:
        more = f", and {len(odd) - _SHOWN} more" if len(odd) > _SHOWN else ""
        raise InputError(
            f"tiles.grid: 'imagery' needs scenes that share one pixel grid; of {len(headers)} files most have {grid}, "
            f"but {'; '.join(odd[:_SHOWN])}{more}; leave these out (imagery.exclude), or take 'dltile' or a crs"
        )


def _headers(imagery: ImageryConfig, scenes: Sequence[Scene]) -> list[_Header]:
    """The headers of the files that hold the layer's bands, each once."""
    files = dict(_files(imagery, scenes))
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda name: _header(imagery, *files[name], name), files))


def _files(imagery: ImageryConfig, scenes: Sequence[Scene]) -> Iterator[tuple[str, tuple[Scene, str]]]:
    for product in imagery.products:
        for scene in scenes:
            if scene.product == product.id:
                for band in (band for name in product.bands for band in scene.find_bands(name)):
                    key = next(key for key, bands in scene.assets.items() if bands and bands[0][1].href == band.href)
                    yield f"scene '{scene.id}' ({band.href.rpartition('/')[2]})", (scene, f"{key}:{band.index}")


def _header(imagery: ImageryConfig, scene: Scene, band: str, name: str) -> _Header:
    with rasterio.Env(**GDAL_OPTIONS):
        crs, transform, pixels = shared_raster_reader(imagery.sign, imagery.patience).layout(
            with_signature(imagery, scene, band)
        )
    if transform.b or transform.d:
        return _Header(name, problem="is rotated, so its pixels are no squares along the axes of its CRS")
    if abs(abs(transform.a) / abs(transform.e) - 1) > _RATIO_ERROR:
        return _Header(name, problem=f"has pixels of {abs(transform.a):g} x {abs(transform.e):g}, which are no squares")
    plane, epsg, compound = horizontal_crs(crs.to_wkt()), crs.to_epsg(), pyproj.CRS(crs.to_wkt()).is_compound
    if plane.is_geographic:
        return _Header(name, problem=f"has the geographic CRS '{plane.name}', whose pixels are degrees")
    try:
        code = _crs_code(plane.to_wkt() if compound or not epsg else f"EPSG:{epsg}")
    except InputError:
        return _Header(name, problem=f"has the CRS '{plane.name}', which has no EPSG or ESRI code")
    return _Header(name, code, (transform.c, transform.f), abs(transform.a), pixels)


@lru_cache(64)
def _crs_code(crs: str) -> str:
    return projected_code(crs)
