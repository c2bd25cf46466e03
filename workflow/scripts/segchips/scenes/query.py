"""TODO: describe."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import shapely

from segchips.config.model import ImageryConfig
from segchips.errors import InputError, redact_urls
from segchips.scenes.model import Scene


@dataclass(frozen=True)
class SceneQuery:
    """What was asked of which catalogue; while it stays the same, pinned tiles keep their scenes.

    A platform is asked for each product's bands at one processing level, which decides their dtypes.
    """

    source: str
    catalog: str
    products: tuple[str, ...]
    start: str
    end: str
    max_cloud: float | None
    mask: str | None

    @classmethod
    def of(cls, imagery: ImageryConfig) -> "SceneQuery":
        """The query that a dataset's imagery block asks."""
        mask = imagery.cloud_mask.product if imagery.cloud_mask else None
        levels = {product.id: product.processing_level for product in imagery.products}
        products = tuple(f"{id} ({level})" if level else id for id, level in sorted(levels.items()))
        catalog = "" if imagery.on_platform else redact_urls(str(imagery.catalog))
        days = str(imagery.start), str(imagery.end)
        return cls(imagery.source, catalog, products, *days, imagery.max_cloud, mask)

    @property
    def text(self) -> str:
        """The query as stable JSON."""
        return json.dumps(vars(self), sort_keys=True)


def search_area(footprints: np.ndarray) -> shapely.Geometry:
    """A simple lon/lat outline around all footprints, in two parts where they straddle the antimeridian."""
    west, _, east, _ = shapely.total_bounds(footprints)
    if east - west <= 180:
        return shapely.convex_hull(shapely.geometrycollections(footprints))
    parts = shapely.get_parts(footprints)
    side = shapely.get_coordinates(shapely.centroid(parts))[:, 0] < 0
    hulls = [shapely.convex_hull(shapely.geometrycollections(parts[half])) for half in (side, ~side) if half.any()]
    return shapely.multipolygons(hulls)


def filter_by_cloud(product: str, scenes: Sequence[Scene], limit: float | None) -> list[Scene]:
    """Those whose cloud fraction is below the limit; InputError where none tells it."""
    if limit is None:
        return list(scenes)
    if scenes and all(scene.cloud is None for scene in scenes):
        raise InputError(
            f"product '{product}': none of its {len(scenes)} scenes tells its cloud cover;"
            " set imagery.max_cloud to null"
        )
    return [scene for scene in scenes if scene.cloud is not None and scene.cloud < limit]


def natural_order(scenes: Iterable[Scene]) -> list[Scene]:
    """By acquisition, then id: the order of median and mean, whose result does not depend on it."""
    return sorted(scenes, key=lambda scene: (scene.acquired, scene.id))


def closest_order(scenes: Iterable[Scene], reference: datetime) -> list[Scene]:
    """By whole calendar days from the reference day; ties by nearness to its 00:00 UTC, then id."""
    return sorted(
        scenes,
        key=lambda scene: (
            abs((scene.acquired.date() - reference.date()).days),
            abs(scene.acquired - reference),
            scene.id,
        ),
    )
