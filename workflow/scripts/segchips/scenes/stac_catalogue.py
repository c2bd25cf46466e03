"""STAC catalogues, static or API, searched for scenes."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import shapely

from segchips.config.imagery import ImageryConfig
from segchips.scenes.model import Scene
from segchips.scenes.query import filter_by_cloud, search_area, search_period
from segchips.scenes.signing import without_signatures
from segchips.scenes.stac_client import (
    PAGE_SIZE,
    catalogue_errors,
    example_scene,
    is_api,
    item_errors,
    open_catalog,
    walk_items,
)
from segchips.scenes.stac_items import Json, item_outline, item_time, scene_from_item


class StacCatalogue:
    """The STAC catalogue of a config; implements `SceneCatalogue`.

    Raises:
        InputError: The catalogue cannot be reached or read.
    """

    def __init__(self, imagery: ImageryConfig) -> None:
        self._imagery, self._client = imagery, open_catalog(str(imagery.catalog))
        self.skipped_items: list[str] = []

    def check(self, product: str, bands: Sequence[str], _: str | None) -> None:
        """Check that the catalogue has the product, and that an example of its scenes has these bands.

        Raises:
            InputError: The product or a band does not exist.
        """
        scene = example_scene(self._client, product, str(self._imagery.catalog))
        for band in bands:
            if scene:
                scene.band(band)

    def search(self, footprints: np.ndarray) -> list[Scene]:
        """Find all scenes of the configured products in the date window that meet any footprint.

        Skips items without a time or a geometry, and items whose id another item has; adds a line for each to
        `skipped_items`.

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

    def _scenes(self, product: str, limit: float | None, footprints: np.ndarray) -> Iterator[Scene]:
        """The product's scenes in the date window that meet any footprint, with signed URLs."""
        imagery = self._imagery
        start, end = search_period(imagery)
        with catalogue_errors(f"catalogue {imagery.catalog}: searching product '{product}' failed"):
            if is_api(self._client):
                items = _search_api(self._client, product, start, end, limit, footprints)
            else:
                items = walk_items(self._client, product)
            tree = shapely.STRtree(footprints)
            for item in items:
                with item_errors(item):
                    acquired, geometry = item_time(item), item.get("geometry")
                    if acquired and not start <= acquired <= end or geometry and not _meets(item, tree):
                        continue
                    if acquired and geometry:
                        yield scene_from_item(item, product, str(imagery.catalog))
                    else:
                        missing = "geometry" if acquired else "time" if geometry else "geometry and time"
                        self._skip(product, item["id"], f"it has no {missing}")

    def _skip(self, product: str, item: object, reason: str) -> None:
        self.skipped_items.append(f"scene {str(item)!r} of product '{product}' is left out: {reason}")


def _meets(item: Json, tree: shapely.STRtree) -> bool:
    return bool(tree.query(item_outline(item), predicate="intersects").size)


def _search_api(
    client: Any, product: str, start: datetime, end: datetime, limit: float | None, footprints: np.ndarray
) -> Iterable[Json]:
    filters = (
        {"query": {"eo:cloud_cover": {"lt": limit * 100}}} if limit is not None and client.conforms_to("QUERY") else {}
    )
    area = shapely.geometry.mapping(search_area(footprints))
    search = client.search(collections=[product], datetime=[start, end], intersects=area, limit=PAGE_SIZE, **filters)
    items: Iterable[Json] = search.items_as_dicts()
    return items
