"""STAC catalogues, static or API, as a source of scenes."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, time
from typing import Any

import numpy as np
import pystac
import shapely

from segchips.config.model import ImageryConfig
from segchips.scenes.model import Scene
from segchips.scenes.query import filter_by_cloud, search_area
from segchips.scenes.signing import without_signatures
from segchips.scenes.stac_client import (
    PAGE_SIZE,
    catalogue_errors,
    example_scene,
    is_api,
    naming_item,
    open_catalog,
    walk_items,
)
from segchips.scenes.stac_items import (
    Json,
    item_outline,
    item_time,
    scene_from_item,
)


class StacCatalogue:
    """The catalogue of a config; InputError where it cannot be reached or read."""

    def __init__(self, imagery: ImageryConfig) -> None:
        self._imagery, self._client = imagery, open_catalog(str(imagery.catalog))
        self.left_out: list[str] = []

    def check(self, product: str, bands: Sequence[str], _: str | None) -> None:
        """InputError where there is no such product, or its scenes have no such bands."""
        scene = example_scene(self._client, product, str(self._imagery.catalog))
        for band in bands:
            if scene:
                scene.band(band)

    def search(self, footprints: np.ndarray) -> list[Scene]:
        """As the function below."""
        return search(self._imagery, footprints, self._client, self.left_out)


def search(
    imagery: ImageryConfig,
    footprints: np.ndarray,
    client: pystac.Catalog | None = None,
    left_out: list[str] | None = None,
) -> list[Scene]:
    """All scenes of the configured products in the date window that meet the footprints (lon/lat polygons).

    The cloud limit is applied, strictly below, to image products; a mask product is taken whole. `left_out` receives
    the items that cannot be placed in space or time, and those whose id is another's, with the reason.
    """
    client = client or open_catalog(str(imagery.catalog))
    notes = [] if left_out is None else left_out
    images = {product.id for product in imagery.products}
    mask = imagery.cloud_mask.product if imagery.cloud_mask else None
    scenes: dict[tuple[str, str], Scene] = {}
    for product in sorted(images | ({mask} if mask else set())):
        limit = imagery.max_cloud if product in images else None
        every = map(without_signatures, _scenes(client, product, imagery, limit, footprints, notes))
        found = sorted(every, key=lambda scene: (scene.pin, str(scene)))
        for scene in filter_by_cloud(product, found, limit):
            if scenes.setdefault((product, scene.id), scene).pin != scene.pin:
                notes.append(_note(product, scene.id, "another item of the catalogue has the same id"))
    return list(scenes.values())


def _note(product: str, name: object, reason: str) -> str:
    return f"scene {str(name)!r} of product '{product}' is left out: {reason}"


def _scenes(
    client: pystac.Catalog,
    product: str,
    imagery: ImageryConfig,
    limit: float | None,
    footprints: np.ndarray,
    notes: list[str],
) -> Iterator[Scene]:
    start = datetime.combine(imagery.start, time.min, UTC)
    end = datetime.combine(imagery.end, time.max, UTC)
    with catalogue_errors(f"catalogue {imagery.catalog}: searching product '{product}' failed"):
        if is_api(client):
            found = _search_api(client, product, start, end, limit, footprints)
        else:
            found = walk_items(client, product)
        near = shapely.STRtree(footprints)
        for item in found:
            with naming_item(item):
                when, place = item_time(item), item.get("geometry")
                if when and not start <= when <= end or place and not _meets(item, near):
                    continue
                if when and place:
                    yield scene_from_item(item, product, str(imagery.catalog))
                else:
                    lacks = "geometry" if when else "time" if place else "geometry and time"
                    notes.append(_note(product, item["id"], f"it has no {lacks}"))


def _meets(item: Json, near: shapely.STRtree) -> bool:
    return bool(near.query(item_outline(item), predicate="intersects").size)


def _search_api(
    client: Any, product: str, start: datetime, end: datetime, limit: float | None, footprints: np.ndarray
) -> Iterable[Json]:
    narrow = (
        {"query": {"eo:cloud_cover": {"lt": limit * 100}}} if limit is not None and client.conforms_to("QUERY") else {}
    )
    area = shapely.geometry.mapping(search_area(footprints))
    search = client.search(collections=[product], datetime=[start, end], intersects=area, limit=PAGE_SIZE, **narrow)
    found: Iterable[Json] = search.items_as_dicts()
    return found
