"""Scene readers: one interface for the pixels of raster files and of the platforms."""

import resource
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol, TypeVar

import numpy as np

from segchips.arrays import MaskedPixels
from segchips.chips.raster_reader import RasterReader
from segchips.config.imagery import ImageryConfig, Product
from segchips.errors import RefusedError, SceneError
from segchips.grids.tile import Tile
from segchips.scenes.known_nodata import is_known, known_nodata
from segchips.scenes.model import Band, Scene
from segchips.scenes.signing import with_signature

T = TypeVar("T")

_RENEWALS = 2
"""How often a read is tried with other signatures."""
_COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class SceneRead:
    """A read of some bands of a scene, with the name of a resampling method."""

    scene: Scene
    bands: Sequence[str]
    resampling: str


class SceneReader(Protocol):
    """Reads a scene's bands on a tile's grid; every method but `prefetch` raises SceneError where it cannot."""

    def prefetch(self, reads: Sequence[SceneRead], tile: Tile) -> None:
        """Fetch what several reads need at the same time, where that is possible."""

    def describe(self, scene: Scene, product: Product) -> tuple[np.dtype[Any], float | None]:
        """Return the common dtype of the product's bands, and a nodata value that the catalogue does not declare."""

    def read(self, scene: Scene, product: Product, tile: Tile) -> MaskedPixels:
        """Read the product's bands: pixels (band, row, column) in the scene's dtype and which are valid."""

    def read_mask(self, scene: Scene, name: str, tile: Tile) -> MaskedPixels:
        """Read a mask band, nearest: values (row, column) and which pixels the band covers."""

    def mosaic(self, scenes: Sequence[Scene], product: Product, tile: Tile) -> MaskedPixels | None:
        """Read the first valid value of each pixel and band among the scenes; None where one request cannot do that."""


class FileSceneReader:
    """Reads scenes whose bands are raster files; implements `SceneReader`."""

    def __init__(self, imagery: ImageryConfig) -> None:
        self._imagery, self._rasters = imagery, shared_raster_reader(imagery.sign, imagery.patience)

    def prefetch(self, reads: Sequence[SceneRead], tile: Tile) -> None:
        """Fetch the parts of remote files that several reads need, all at the same time."""
        wanted = []
        for read in reads:
            with suppress(SceneError):  # the read itself raises it
                bands = [with_signature(self._imagery, read.scene, name) for name in read.bands]
                wanted.append((bands, read.resampling))
        self._rasters.prefetch(wanted, tile, self._imagery.overviews)

    def describe(self, scene: Scene, product: Product) -> tuple[np.dtype[Any], float | None]:
        """Return the common dtype of the product's bands, and the nodata value that the files declare."""
        return self._with_signatures(scene, product.bands, self._rasters.describe)

    def read(self, scene: Scene, product: Product, tile: Tile) -> MaskedPixels:
        """Read the product's bands: pixels (band, row, column) in the files' dtype and which are valid."""
        overviews = self._imagery.overviews

        def read(bands: Sequence[Band]) -> MaskedPixels:
            return self._rasters.read(bands, tile, product.resampling, product.nodata_rule, overviews=overviews)

        return self._with_signatures(scene, product.bands, read)

    def colours(self, scene: Scene, product: Product) -> list[str]:
        """Return the colour of each band, such as `red`, as its name or else its file says; `undefined` for others."""

        def colours(bands: Sequence[Band]) -> list[str]:
            named = zip(product.bands, bands, strict=True)
            return [name if name in _COLOURS else self._rasters.colour(band) for name, band in named]

        return self._with_signatures(scene, product.bands, colours)

    def read_mask(self, scene: Scene, name: str, tile: Tile) -> MaskedPixels:
        """Read a mask band, nearest: values (row, column), and which pixels the file covers and does not mask."""
        mask = self._imagery.cloud_mask
        is_measured = mask is not None and (mask.min is not None or mask.max is not None)
        overviews = self._imagery.overviews

        def read(bands: Sequence[Band]) -> MaskedPixels:
            return self._rasters.read_mask(bands[0], tile, is_measured, overviews)

        return self._with_signatures(scene, [name], read)

    def _with_signatures(self, scene: Scene, names: Sequence[str], read: Callable[[Sequence[Band]], T]) -> T:
        """Read bands, and again with new signatures where a server refuses those that expired meanwhile."""
        bands = self._bands(scene, names)
        for _ in range(_RENEWALS if self._imagery.sign or any(band.signed for band in bands) else 0):
            with suppress(RefusedError):
                return read(bands)
            bands = self._bands(scene, names, [band.href for band in bands])
        return read(bands)

    def _bands(self, scene: Scene, names: Sequence[str], refused: Sequence[str] | None = None) -> list[Band]:
        """Bands with addresses that can be read now, none of those that a server has refused."""
        before: Sequence[str | None] = refused or [None] * len(names)
        return [self._band(scene, name, href) for name, href in zip(names, before, strict=True)]

    def _band(self, scene: Scene, name: str, refused: str | None) -> Band:
        """A band with an address that can be read now, and the nodata value of a known collection."""
        band = with_signature(self._imagery, scene, name, refused)
        if band.known_nodata is None and is_known(scene.product):
            return replace(band, known_nodata=known_nodata(scene.product, *scene.names_of(scene.band(name))))
        return band

    def mosaic(self, scenes: Sequence[Scene], product: Product, tile: Tile) -> MaskedPixels | None:
        """Return None: files are read one by one, each only where those before it leave gaps."""
        return None


def open_reader(imagery: ImageryConfig) -> SceneReader:
    """Return the reader of the config's source; all readers of a process share its open rasters."""
    if imagery.on_platform:
        from segchips.chips import platform_reader

        return platform_reader.PlatformSceneReader(imagery)
    return FileSceneReader(imagery)


@cache
def shared_raster_reader(sign: str | None, patience: float) -> RasterReader:
    """Return the reader of raster files that all scene readers of the process share."""
    signer = _sign_planetary_computer if sign == "planetary_computer" else None
    return RasterReader(_open_raster_limit(), signer, patience)


def _sign_planetary_computer(href: str) -> str:
    import planetary_computer
    import requests

    try:
        return str(planetary_computer.sign(href))
    except (requests.RequestException, ValueError) as error:
        raise SceneError(
            f"{href}: the Planetary Computer gave no signature for it ({type(error).__name__}); try again later"
        ) from error


def _open_raster_limit() -> int:
    """Half of the files that the process may open, from 4 to 512."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 512 if soft == resource.RLIM_INFINITY else max(4, min(512, soft // 2 - 16))
