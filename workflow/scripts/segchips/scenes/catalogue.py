"""Where scenes come from: one interface for STAC catalogues and the platforms."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from segchips.config.model import ImageryConfig
from segchips.scenes.model import Scene


class SceneCatalogue(Protocol):
    """Whoever is asked for scenes; `left_out` names those that a search could not use, with the reasons."""

    left_out: list[str]

    def check(self, product: str, bands: Sequence[str], level: str | None, /) -> None:
        """InputError where there is no such product, band or processing level, as far as can be told."""

    def search(self, footprints: np.ndarray) -> list[Scene]:
        """All scenes of the configured products, dates and cloud limit that meet the footprints (lon/lat polygons)."""


def open_catalogue(imagery: ImageryConfig) -> SceneCatalogue:
    """The catalogue that the config names; InputError where it cannot be reached or used."""
    if imagery.on_platform:
        from segchips.scenes import platform_catalogue

        return platform_catalogue.PlatformCatalogue(imagery)
    from segchips.scenes.stac_catalogue import StacCatalogue

    return StacCatalogue(imagery)
