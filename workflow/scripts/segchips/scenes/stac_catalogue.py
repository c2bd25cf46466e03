"""STAC catalogues searched for the scenes of a config."""

from collections.abc import Iterator, Sequence

import numpy as np
import shapely

from segchips.config.imagery import ImageryConfig
from segchips.errors import InputError
from segchips.files import Json
from segchips.scenes.item_filter import ItemFilter
from segchips.scenes.model import Scene
from segchips.scenes.pinning import is_within
from segchips.scenes.query import SceneQuery, filter_by_cloud, search_area, search_period
from segchips.scenes.signing import without_signatures
from segchips.scenes.stac_client import catalogue_errors, open_catalog
from segchips.scenes.stac_items import ItemError, item_interval, item_outline, scene_from_item
from segchips.scenes.stac_search import ItemSearch
from segchips.scenes.usable import missing_band, refuse_bands
from segchips.vectors.geometry import Geometries


class StacCatalogue:
    """The STAC catalogue of a config; implements `SceneCatalogue`.

    Raises:
        InputError: The catalogue cannot be reached or read.
    """

    def __init__(self, imagery: ImageryConfig) -> None:
        self._imagery, self._source = imagery, open_catalog(str(imagery.catalog), imagery.requests)
        self._filter = None if imagery.filter is None else ItemFilter(imagery.filter)
        self.skipped_items: list[str] = []

    def check(self, product: str, bands: Sequence[str], _: str | None, area: Geometries | None) -> bool:
        """Search as a run does, until a scene has these bands.

        Returns:
            Whether there is a scene.

        Raises:
            InputError: The product does not exist, none of its scenes has the bands, or a band's name is ambiguous.
        """
        imagery, lacking, periods = self._imagery, list[Scene](), SceneQuery.of(self._imagery).periods
        limit = imagery.max_cloud if product in {entry.id for entry in imagery.products} else None
        without_cover = []
        for scene in self._scenes(product, limit, area):
            if periods and not is_within(scene, periods):
                continue
            if limit is not None and scene.cloud is None:
                without_cover.append(scene)
            elif scene.id not in imagery.exclude and (limit is None or (scene.cloud or 0.0) < limit):
                if missing_band(scene, bands) is None:
                    return True
                lacking.append(scene)
        if lacking:
            refuse_bands(lacking, bands)
        return bool(filter_by_cloud(product, without_cover, limit))

    def search(self, footprints: np.ndarray) -> list[Scene]:
        """Find all scenes of the configured products in the date window that meet any footprint.

        An item counts if its time, or its interval, meets the window. Items that cannot be used, and items whose id
        another item has, are left out; `skipped_items` has a line for each.

        Args:
            footprints: Polygons in longitude and latitude.

        Returns:
            Scenes of image products whose cloud fraction is strictly below the limit, and all scenes of a mask product.

        Raises:
            InputError: The catalogue cannot be read, or no scene declares its cloud cover although there is a limit.
        """
        imagery = self._imagery
        products = {product.id for product in imagery.products}
        mask = imagery.cloud_mask.product if imagery.cloud_mask else None
        scenes: dict[tuple[str, str], Scene] = {}
        for product in sorted(products | ({mask} if mask else set())):
            limit = imagery.max_cloud if product in products else None
            unsigned = map(without_signatures, self._scenes(product, limit, footprints))
            ordered = sorted(unsigned, key=lambda scene: (scene.pin, str(scene)))
            for scene in filter_by_cloud(product, ordered, limit):
                if scenes.setdefault((product, scene.id), scene).pin != scene.pin:
                    self._skip(product, scene.id, "another item of the catalogue has the same id")
        return list(scenes.values())

    def _scenes(self, product: str, limit: float | None, footprints: np.ndarray | None) -> Iterator[Scene]:
        """The product's scenes in the date window that meet any footprint, with signed URLs."""
        imagery = self._imagery
        catalog = str(imagery.catalog)
        start, end = search_period(imagery)
        area = None if footprints is None else shapely.geometry.mapping(search_area(footprints))
        period = start if imagery.start else None, end if imagery.end else None
        search = ItemSearch(period, area, limit, self._filter)
        tree = None if footprints is None else shapely.STRtree(footprints)
        with catalogue_errors(f"catalogue {catalog}: searching product '{product}' failed"):
            collection = self._source.collection(product)
            is_filtered = self._source.applies(search)
            for item in self._source.items(product, search):
                if isinstance(item, ItemError):
                    self.skipped_items.append(f"product '{product}': {item}, and is left out")
                    continue
                try:
                    interval = item_interval(item)
                    if interval and not (interval[0] <= end and start <= interval[1]):
                        continue
                    outline = item_outline(item)
                    if outline is not None and tree and not tree.query(outline, predicate="intersects").size:
                        continue
                    if is_filtered or self._accepts(item):
                        yield scene_from_item(item, product, catalog, collection, self.skipped_items)
                except ItemError as error:
                    self._skip(product, item.get("id") or item.get("_base"), str(error))

    def _accepts(self, item: Json) -> bool:
        if self._filter is None:
            return True
        try:
            return self._filter.accepts(item)
        except Exception as error:
            raise InputError(f"imagery.filter cannot be applied to item '{item.get('id')}' ({error})") from error

    def _skip(self, product: str, item: object, reason: str) -> None:
        self.skipped_items.append(f"scene {str(item)!r} of product '{product}' is left out: {reason}")
