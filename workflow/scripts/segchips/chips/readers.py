"""Where pixels come from: one interface for raster files and the platforms."""

import resource
from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np

from segchips.chips.composite import Layer
from segchips.chips.raster_reader import RasterReader
from segchips.config.model import ImageryConfig, Product
from segchips.errors import SceneError
from segchips.grids.tile import Tile
from segchips.scenes.model import Scene
from segchips.scenes.signing import signed


class SceneReader(Protocol):
    """Whoever gives a scene's bands on a tile's grid; SceneError where they cannot be had."""

    def describe(self, scene: Scene, product: Product) -> tuple[np.dtype[Any], float | None]:
        """The common dtype of the product's bands, and a nodata value that the catalogue does not tell."""

    def read(self, scene: Scene, product: Product, tile: Tile) -> Layer:
        """Pixels (band, row, column) in the scene's dtype and which are valid."""

    def read_mask(self, scene: Scene, name: str, tile: Tile) -> Layer:
        """A mask band's values (row, column), nearest, and which pixels it covers."""

    def mosaic(self, scenes: Sequence[Scene], product: Product, tile: Tile) -> Layer | None:
        """The first valid value of each pixel and band among the scenes, where that can be had at once."""


class FileSceneReader:
    """Scenes whose bands are raster files."""

    def __init__(self, imagery: ImageryConfig) -> None:
        self._imagery, self._reader = imagery, _files(imagery.sign)

    def describe(self, scene: Scene, product: Product) -> tuple[np.dtype[Any], float | None]:
        """As the files declare them."""
        return self._reader.describe([signed(self._imagery, scene, name) for name in product.bands])

    def read(self, scene: Scene, product: Product, tile: Tile) -> Layer:
        """From the open files."""
        bands = [signed(self._imagery, scene, name) for name in product.bands]
        return self._reader.read(bands, tile, product.resampling, product.nodata)

    def read_mask(self, scene: Scene, name: str, tile: Tile) -> Layer:
        """Nodata or not."""
        return self._reader.read_raw(signed(self._imagery, scene, name), tile)

    def mosaic(self, scenes: Sequence[Scene], product: Product, tile: Tile) -> Layer | None:
        """Never: further files are opened only where the first leave gaps."""
        return None


def open_reader(imagery: ImageryConfig) -> SceneReader:
    """The reader of what the config names; a process keeps its rasters open whoever reads them."""
    if imagery.on_platform:
        return _platform(imagery)
    return FileSceneReader(imagery)


@cache
def _files(sign: str | None) -> RasterReader:
    """The process's open rasters; at most half of the files that the process may open."""
    return RasterReader(_handle_limit(), _planetary_computer if sign == "planetary_computer" else None)


def _platform(imagery: ImageryConfig) -> SceneReader:
    from segchips.chips import platform_reader

    return platform_reader.PlatformReader(imagery)


def _planetary_computer(href: str) -> str:
    import planetary_computer
    import requests

    try:
        return str(planetary_computer.sign(href))
    except (requests.RequestException, ValueError) as error:
        raise SceneError(
            f"{href}: the Planetary Computer gave no signature for it ({type(error).__name__}); try again later"
        ) from error


def _handle_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 512 if soft == resource.RLIM_INFINITY else max(4, min(512, soft // 2 - 16))
