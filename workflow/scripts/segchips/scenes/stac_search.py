"""What items of a product are searched for."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from segchips.scenes.item_filter import ItemFilter


@dataclass(frozen=True)
class ItemSearch:
    """A search of a catalogue for items; whatever is None or empty does not limit it.

    Attributes:
        period: The first and last moment (UTC), each None where there is no limit.
        area: A GeoJSON geometry.
        max_cloud: Cloud fractions are below this.
        filter: Further conditions on the items.
        ids: The ids of the items.
        count: How many items are needed at most.
    """

    period: tuple[datetime | None, datetime | None] = (None, None)
    area: dict[str, Any] | None = None
    max_cloud: float | None = None
    filter: ItemFilter | None = None
    ids: tuple[str, ...] = ()
    count: int | None = None
