"""The catalogues of Descartes Labs and EarthOne, searched for scenes.

A scene's id is its image's name, which the images of the same acquisition in other products share. The image's id is
`product:name`.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, TypeVar

import numpy as np
import shapely

from segchips.config.imagery import ImageryConfig
from segchips.errors import InputError, ServiceError
from segchips.scenes.model import Band, Scene, parse_time
from segchips.scenes.platform_service import DTYPES, get_service
from segchips.scenes.query import filter_by_cloud, search_area, search_period
from segchips.vectors.geometry import Geometries

T = TypeVar("T")


class PlatformCatalogue:
    """A platform's catalogue; implements `SceneCatalogue`.

    Raises:
        InputError: The platform's client cannot be set up.
    """

    def __init__(self, imagery: ImageryConfig) -> None:
        self._imagery, self._service = imagery, get_service(imagery.source, imagery.requests)
        self.skipped_items: list[str] = []

    def check(self, product: str, bands: Sequence[str], level: str | None, _: Geometries | None) -> bool:
        """Check that the account can see the product, and that it has these bands and this processing level.

        Returns:
            True; scenes are not searched.

        Raises:
            InputError: The product, a band or the level does not exist.
        """
        product_bands = self._bands(product, level)
        for band in bands:
            if band not in product_bands:
                names = ", ".join(sorted(product_bands)) or "none"
                raise InputError(f"{self._title}: product '{product}' has no band '{band}'; it has {names}")
        return True

    def search(self, footprints: np.ndarray) -> list[Scene]:
        """Find all scenes of the configured products in the date window that meet any footprint.

        Args:
            footprints: Polygons in longitude and latitude.

        Returns:
            Scenes of image products whose cloud fraction is strictly below the limit, and all scenes of a mask product.

        Raises:
            InputError: A product does not exist, or the platform does not answer.
        """
        imagery = self._imagery
        levels = {product.id: product.processing_level for product in imagery.products}
        cloud_limits: dict[str, float | None] = dict.fromkeys(levels, imagery.max_cloud)
        if imagery.cloud_mask and imagery.cloud_mask.product:
            cloud_limits.setdefault(imagery.cloud_mask.product, None)
        tree = shapely.STRtree(footprints)
        scenes: list[Scene] = []
        for product, limit in sorted(cloud_limits.items()):
            bands = self._bands(product, levels.get(product))
            listed = [_scene(image, bands) for image in self._images(product, limit, search_area(footprints))]
            meeting = [
                scene for scene in listed if tree.query(shapely.from_wkb(scene.footprint), predicate="intersects").size
            ]
            scenes += filter_by_cloud(product, [scene for scene in meeting if self._in_dates(scene)], limit)
        return scenes

    @property
    def _title(self) -> str:
        return self._service.client.title

    def _call(self, what: str, request: Callable[[], T]) -> T:
        try:
            return self._service.call(what, self._imagery.patience, request)
        except ServiceError as error:
            raise InputError(str(error)) from error

    def _in_dates(self, scene: Scene) -> bool:
        start, end = search_period(self._imagery)
        return start <= scene.acquired <= end

    def _images(self, product: str, limit: float | None, area: shapely.Geometry) -> list[Any]:
        """All images of a product in the date window that have pixels, from all pages of the result."""
        catalog, properties = self._service.catalog, self._service.catalog.properties
        search = catalog.Image.search(client=self._service.records).intersects(area).sort("acquired")
        search = search.filter(properties.product_id == product)
        if self._imagery.start:
            search = search.filter(properties.acquired >= datetime.combine(self._imagery.start, time.min))
        if self._imagery.end:
            after = datetime.combine(self._imagery.end, time.min) + timedelta(days=1)
            search = search.filter(properties.acquired < after)
        if limit is not None:
            search = search.filter(properties.cloud_fraction < limit)
        images = self._call(f"searching product '{product}'", lambda: list(search))
        return [image for image in images if image.geometry and image.storage_state != "remote"]

    def _bands(self, product: str, level: str | None) -> dict[str, Band]:
        """A product's bands by name, with their dtypes at a processing level."""
        catalog, client = self._service.catalog, self._service.records
        if self._call(f"product '{product}'", lambda: catalog.Product.get(product, client=client)) is None:
            raise InputError(f"{self._title} has no product '{product}' that the account sees; check imagery.products")
        search = catalog.Band.search(client=client).filter(catalog.properties.product_id == product)
        bands = {band.name: band for band in self._call(f"the bands of product '{product}'", lambda: list(search))}
        try:
            types = {
                name: self._service.scaling.scaling_parameters(bands, [name], level, None, None)[1] for name in bands
            }
        except ValueError as error:
            raise InputError(f"{self._title}: product '{product}': {error}") from error
        return {name: _band(band, DTYPES.get(types[name])) for name, band in bands.items()}


def _band(band: Any, dtype: str | None) -> Band:
    nodata = getattr(band, "nodata", None)
    return Band("", (band.band_index or 0) + 1, None if nodata is None else float(nodata), 1.0, 0.0, dtype)


def _scene(image: Any, bands: dict[str, Band]) -> Scene:
    acquired = image.acquired if isinstance(image.acquired, datetime) else parse_time(str(image.acquired))
    acquired = acquired.replace(tzinfo=UTC) if acquired.tzinfo is None else acquired.astimezone(UTC)
    outline = shapely.to_wkb(shapely.make_valid(shapely.geometry.shape(image.geometry)))
    assets = {name: [(name, band)] for name, band in bands.items()}
    return Scene(image.product_id, image.name, acquired, image.cloud_fraction, assets, outline)
