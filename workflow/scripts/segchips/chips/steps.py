"""The steps of a time series: which scenes of a tile each is made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from segchips.config.imagery import ImageryConfig
from segchips.scenes.model import Scene
from segchips.scenes.query import closest_order


@dataclass(frozen=True)
class Step:
    """One step of a time series.

    Attributes:
        start: Its first day; None for a step without a date, which has no scenes.
        end: Its last day, inclusive.
    """

    start: date | None
    end: date | None

    @property
    def days(self) -> tuple[str, str]:
        """First and last day as ISO 8601; empty for a step without a date."""
        return str(self.start or ""), str(self.end or "")

    @property
    def middle(self) -> datetime | None:
        """The start (00:00 UTC) of the day in the middle."""
        if self.start is None or self.end is None:
            return None
        return datetime.combine(self.start + (self.end - self.start) / 2, time.min, UTC)

    def holds(self, scene: Scene) -> bool:
        """Whether a scene was acquired in this step."""
        return self.start is not None and self.end is not None and self.start <= scene.acquired.date() <= self.end


def steps_of(imagery: ImageryConfig, scenes: Sequence[Scene]) -> list[Step]:
    """Return the steps of a tile, in time order; none where the layer is no time series.

    Args:
        imagery: The config of the layer.
        scenes: The scenes of the tile, without those of a mask product.
    """
    if imagery.scenes is None:
        return [Step(*period) for period in imagery.steps]
    day = imagery.reference_date
    ordered = closest_order(scenes, datetime.combine(day, time.min, UTC) if day else None)
    days = list(dict.fromkeys(scene.acquired.date() for scene in ordered))[: imagery.scenes]
    return [*(Step(day, day) for day in sorted(days)), *[Step(None, None)] * (imagery.scenes - len(days))]
