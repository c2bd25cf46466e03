"""Catalogue queries: what is searched, and how its results are filtered and ordered."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import Any

import numpy as np
import shapely

from segchips.config.imagery import ImageryConfig
from segchips.errors import InputError, redact_urls
from segchips.scenes.model import Scene


@dataclass(frozen=True)
class SceneQuery:
    """A search of a catalogue; pinned tiles keep their scenes while it stays the same.

    A platform product is searched at one processing level, which decides the dtypes of its bands.
    """

    source: str
    catalog: str
    products: tuple[str, ...]
    start: str | None
    end: str | None
    max_cloud: float | None
    mask: str | None
    filter: str | Mapping[str, Any] | None = None
    periods: tuple[tuple[str, str], ...] | None = None

    @classmethod
    def of(cls, imagery: ImageryConfig) -> "SceneQuery":
        """Build the query of a dataset's imagery block."""
        mask = imagery.cloud_mask.product if imagery.cloud_mask else None
        levels = {product.id: product.processing_level for product in imagery.products}
        products = tuple(f"{id} ({level})" if level else id for id, level in sorted(levels.items()))
        products += tuple(
            f"{one.id}: {one.bands} from {dict(one.collections)}" for one in imagery.products if one.collections
        )
        place = imagery.path if imagery.source == "files" else imagery.catalog
        catalog = "" if imagery.on_platform else redact_urls(str(place))
        periods = tuple((str(first), str(last)) for first, last in imagery.steps) or None
        days = (None, None) if periods else (imagery.start, imagery.end)
        start, end = (None if day is None else str(day) for day in days)
        return cls(imagery.source, catalog, products, start, end, imagery.max_cloud, mask, imagery.filter, periods)

    @property
    def text(self) -> str:
        """The query as stable JSON, which names filters and periods only if they are set."""
        optional = "filter", "periods"
        content = {key: value for key, value in vars(self).items() if key not in optional or value is not None}
        return json.dumps(content, sort_keys=True)

    def shared_periods(self, former: str) -> list[tuple[str, str]]:
        """Return the periods of a former query, as text, that differs from this one in its periods alone."""
        content, own = json.loads(former), json.loads(self.text)
        theirs, ours = (part.pop("periods", None) or [] for part in (content, own))
        return [(first, last) for first, last in ours if [first, last] in theirs] if content == own else []


def search_period(imagery: ImageryConfig) -> tuple[datetime, datetime]:
    """Return the first and the last moment of the searched days (UTC)."""
    start = datetime.combine(imagery.start, time.min, UTC) if imagery.start else datetime.min.replace(tzinfo=UTC)
    end = datetime.combine(imagery.end, time.max, UTC) if imagery.end else datetime.max.replace(tzinfo=UTC)
    return start, end


def search_area(footprints: np.ndarray) -> shapely.Geometry:
    """Return a simple outline around all footprints, to send to a catalogue.

    Args:
        footprints: Polygons in longitude and latitude; one across the antimeridian is a multipolygon cut there.

    Returns:
        The convex hull in longitude and latitude; one hull on each side of the antimeridian for footprints across it.
    """
    west, _, east, _ = shapely.total_bounds(footprints)
    if east - west <= 180:
        return shapely.convex_hull(shapely.geometrycollections(footprints))
    parts = shapely.get_parts(footprints)
    is_west = shapely.get_coordinates(shapely.centroid(parts))[:, 0] < 0
    sides = [parts[side] for side in (is_west, ~is_west) if side.any()]
    return shapely.multipolygons([shapely.convex_hull(shapely.geometrycollections(side)) for side in sides])


def filter_by_cloud(product: str, scenes: Sequence[Scene], limit: float | None) -> list[Scene]:
    """Keep the scenes whose cloud fraction is below the limit; all of them where there is no limit.

    Raises:
        InputError: There are scenes, and none declares its cloud cover.
    """
    if limit is None:
        return list(scenes)
    if scenes and all(scene.cloud is None for scene in scenes):
        raise InputError(
            f"product '{product}': none of its {len(scenes)} scenes declares its cloud cover;"
            " set imagery.max_cloud to null"
        )
    return [scene for scene in scenes if scene.cloud is not None and scene.cloud < limit]


def natural_order(scenes: Iterable[Scene]) -> list[Scene]:
    """Sort by acquisition, then id: the order of median and mean, whose result does not depend on it."""
    return sorted(scenes, key=lambda scene: (scene.acquired, scene.id))


def closest_order(scenes: Iterable[Scene], reference: datetime | None) -> list[Scene]:
    """Sort by whole calendar days from the reference day; ties by nearness to its 00:00 UTC, then id.

    Without a reference, the latest scene comes first.
    """
    return sorted(scenes, key=partial(_distance, reference or datetime.max.replace(tzinfo=UTC)))


def least_cloud_order(scenes: Iterable[Scene], reference: datetime | None) -> list[Scene]:
    """Sort by cloud fraction; ties as `closest_order` where there is a reference day, else by id.

    Scenes that do not declare their cloud cover come last.
    """

    def key(scene: Scene) -> tuple[object, ...]:
        cloud = math.inf if scene.cloud is None else scene.cloud
        return cloud, (_distance(reference, scene) if reference else (scene.id,))

    return sorted(scenes, key=key)


def _distance(reference: datetime, scene: Scene) -> tuple[int, timedelta, str]:
    """Whole calendar days from the reference day, the time from its 00:00 UTC, and the id."""
    return abs((scene.acquired.date() - reference.date()).days), abs(scene.acquired - reference), scene.id


def require_cloud_cover(scenes: Iterable[Scene], products: Iterable[str]) -> None:
    """Check that some scene of each product declares its cloud cover, which `composite: least_cloud` compares.

    Raises:
        InputError: A product has scenes, and none declares it.
    """
    clouds: dict[str, list[float | None]] = {product: [] for product in products}
    for scene in scenes:
        clouds.get(scene.product, []).append(scene.cloud)
    for product, values in clouds.items():
        if values and all(value is None for value in values):
            raise InputError(
                f"product '{product}': none of its {len(values)} scenes declares its cloud cover, which composite "
                "'least_cloud' compares; choose another composite"
            )
