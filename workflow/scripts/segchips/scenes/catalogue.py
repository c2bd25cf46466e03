"""Scene catalogues: one interface for STAC catalogues and the platforms."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from segchips.config.imagery import ImageryConfig
from segchips.scenes.model import Scene
from segchips.vectors.geometry import Geometries


class SceneCatalogue(Protocol):
    """Scene catalogue interface.

    Attributes:
        skipped_items: One line for each catalogue item that a search could not use, with the reason.
    """

    skipped_items: list[str]

    def check(self, product: str, bands: Sequence[str], level: str | None, area: Geometries | None, /) -> bool:
        """Check that the catalogue has the product with these bands and this processing level.

        Args:
            product: Its id.
            bands: Names of bands, that of a mask too.
            level: The processing level of a platform.
            area: Polygons in longitude and latitude that scenes have to meet; None for any place.

        Returns:
            Whether there is a scene, as far as the catalogue is asked.

        Raises:
            InputError: The product, a band or the level does not exist, as far as the catalogue describes them.
        """

    def search(self, footprints: np.ndarray) -> list[Scene]:
        """Find the scenes of the configured products, dates and cloud limit that meet any footprint.

        Args:
            footprints: Polygons in longitude and latitude.
        """


def open_catalogue(imagery: ImageryConfig) -> SceneCatalogue:
    """Open the catalogue that the config names.

    Raises:
        InputError: The catalogue cannot be reached or read.
    """
    if imagery.on_platform:
        from segchips.scenes import platform_catalogue

        return platform_catalogue.PlatformCatalogue(imagery)
    if imagery.source == "files":
        from segchips.scenes.raster_files import RasterFiles

        return RasterFiles(imagery)
    from segchips.scenes.stac_catalogue import StacCatalogue

    return StacCatalogue(imagery)
