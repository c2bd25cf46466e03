"""Descartes Labs and EarthOne as sources: scenes from their catalogues.

A scene's id is its image's name, which its companions in other products share; the image's id is `product:name`.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, TypeVar

import numpy as np
import shapely

from segchips.config.model import ImageryConfig
from segchips.errors import InputError, ServiceError
from segchips.scenes.model import Band, Scene, parse_time
from segchips.scenes.platform_service import DTYPES, service
from segchips.scenes.query import filter_by_cloud, search_area

T = TypeVar("T")


class PlatformCatalogue:
    """The platform's catalogue, as far as a config needs it."""

    def __init__(self, imagery: ImageryConfig) -> None:
        self._imagery, self._service = imagery, service(imagery.source, imagery.requests)
        self.left_out: list[str] = []

    def check(self, product: str, bands: Sequence[str], level: str | None) -> None:
        """InputError where the account sees no such product, or it has no such bands or processing level."""
        known = self._bands(product, level)
        for band in bands:
            if band not in known:
                has = ", ".join(sorted(known)) or "none"
                raise InputError(f"{self._title}: product '{product}' has no band '{band}'; it has {has}")

    def search(self, footprints: np.ndarray) -> list[Scene]:
        """All scenes of the configured products in the date window that meet the footprints (lon/lat polygons).

        The cloud limit is applied, strictly below, to image products; a mask product is taken whole.
        """
        imagery = self._imagery
        levels = {product.id: product.processing_level for product in imagery.products}
        wanted: dict[str, float | None] = dict.fromkeys(levels, imagery.max_cloud)
        if imagery.cloud_mask and imagery.cloud_mask.product:
            wanted.setdefault(imagery.cloud_mask.product, None)
        near = shapely.STRtree(footprints)
        scenes: list[Scene] = []
        for product, limit in sorted(wanted.items()):
            bands = self._bands(product, levels.get(product))
            found = [_scene(image, bands) for image in self._images(product, limit, search_area(footprints))]
            meeting = [
                scene for scene in found if near.query(shapely.from_wkb(scene.footprint), predicate="intersects").size
            ]
            scenes += filter_by_cloud(product, [scene for scene in meeting if self._in_time(scene)], limit)
        return scenes

    @property
    def _title(self) -> str:
        return self._service.client.title

    def _ask(self, what: str, request: Callable[[], T]) -> T:
        try:
            return self._service.ask(what, self._imagery.patience, request)
        except ServiceError as error:
            raise InputError(str(error)) from error

    def _in_time(self, scene: Scene) -> bool:
        return self._imagery.start <= scene.acquired.date() <= self._imagery.end

    def _images(self, product: str, limit: float | None, area: shapely.Geometry) -> list[Any]:
        """The images that have pixels, all pages of them; the end of the window is the next day, exclusive."""
        catalog, known = self._service.catalog, self._service.catalog.properties
        start, end = (datetime.combine(day, time.min) for day in (self._imagery.start, self._imagery.end))
        search = catalog.Image.search(client=self._service.records).intersects(area).sort("acquired")
        search = search.filter(known.product_id == product)
        search = search.filter(known.acquired >= start).filter(known.acquired < end + timedelta(days=1))
        if limit is not None:
            search = search.filter(known.cloud_fraction < limit)
        images = self._ask(f"searching product '{product}'", lambda: list(search))
        return [image for image in images if image.geometry and image.storage_state != "remote"]

    def _bands(self, product: str, level: str | None) -> dict[str, Band]:
        """A product's bands with the dtypes that they have at a processing level."""
        catalog, client = self._service.catalog, self._service.records
        if self._ask(f"product '{product}'", lambda: catalog.Product.get(product, client=client)) is None:
            raise InputError(f"{self._title} has no product '{product}' that the account sees; check imagery.products")
        search = catalog.Band.search(client=client).filter(catalog.properties.product_id == product)
        found = {band.name: band for band in self._ask(f"the bands of product '{product}'", lambda: list(search))}
        try:
            types = {
                name: self._service.scaling.scaling_parameters(found, [name], level, None, None)[1] for name in found
            }
        except ValueError as error:
            raise InputError(f"{self._title}: product '{product}': {error}") from error
        return {name: _band(band, DTYPES.get(types[name])) for name, band in found.items()}


def _band(band: Any, dtype: str | None) -> Band:
    nodata = getattr(band, "nodata", None)
    return Band("", (band.band_index or 0) + 1, None if nodata is None else float(nodata), 1.0, 0.0, dtype)


def _scene(image: Any, bands: dict[str, Band]) -> Scene:
    acquired = image.acquired if isinstance(image.acquired, datetime) else parse_time(str(image.acquired))
    acquired = acquired.replace(tzinfo=UTC) if acquired.tzinfo is None else acquired.astimezone(UTC)
    outline = shapely.to_wkb(shapely.make_valid(shapely.geometry.shape(image.geometry)))
    assets = {name: [(name, band)] for name, band in bands.items()}
    return Scene(image.product_id, image.name, acquired, image.cloud_fraction, assets, outline)
