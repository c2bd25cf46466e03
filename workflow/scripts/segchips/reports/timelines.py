"""The report's table of scenes, and a timeline of each product's scenes."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from segchips.config.imagery import ImageryConfig
from segchips.reports.chip_previews import SceneUse
from segchips.scenes.model import Scene
from segchips.scenes.pinning import SceneLock


@dataclass(frozen=True)
class SceneRow:
    """A pinned scene.

    Attributes:
        scene: The scene.
        tiles: How many tiles it is pinned for.
        chips: How many chips took pixels from it; None for a scene of the cloud mask product.
    """

    scene: Scene
    tiles: int
    chips: int | None


def scene_table(imagery: ImageryConfig, lock: SceneLock, scene_use: SceneUse) -> list[SceneRow]:
    """The rows of the table of scenes.

    Args:
        imagery: The config of the layer.
        lock: The pinned scenes.
        scene_use: How many chips took pixels from each set of scenes.

    Returns:
        All pinned scenes, product by product in the config's order, those of the cloud mask product last; within a
        product by acquisition and id.
    """
    products = [product.id for product in imagery.products]
    tile_counts, chip_counts = Counter[int](), Counter[tuple[str, str]]()
    for indices, count in _pinned(lock):
        tile_counts.update(dict.fromkeys(indices, count))
    for used, count in scene_use:
        chip_counts.update(dict.fromkeys(used, count))
    rows = []
    for index, scene in enumerate(lock.scenes):
        chips = chip_counts[scene.product, scene.id]
        rows.append(SceneRow(scene, tile_counts[index], chips if scene.product in products else None))

    def order(row: SceneRow) -> tuple[int, datetime, str]:
        return [*products, row.scene.product].index(row.scene.product), row.scene.acquired, row.scene.id

    return sorted(rows, key=order)


@dataclass(frozen=True)
class Day:
    """A day with scenes.

    Attributes:
        position: Where noon lies on the time axis, from 0 to 1.
        day: The day (UTC).
        tiles: How many tiles one of its scenes is pinned for.
        chips: How many chips took pixels from one of its scenes.
    """

    position: float
    day: date
    tiles: int
    chips: int


@dataclass(frozen=True)
class Timeline:
    """The scenes of a product over time; positions on the time axis are from 0 to 1.

    Attributes:
        product: The id of the product.
        scenes: Each scene with its position.
        days: The days that have scenes.
        ticks: Positions and labels of the axis.
        reference: The position of the reference date, where the composite uses one within the axis.
    """

    product: str
    scenes: Sequence[tuple[float, Scene]]
    days: Sequence[Day]
    ticks: Sequence[tuple[float, str]]
    reference: float | None


@dataclass(frozen=True)
class _TimeAxis:
    """The searched period, from the start of its first to the end of its last day, as positions from 0 to 1."""

    first: date
    last: date

    def position(self, moment: datetime) -> float:
        start = datetime.combine(self.first, time.min, UTC)
        return (moment - start) / (datetime.combine(self.last + timedelta(1), time.min, UTC) - start)

    def midnight(self, day: date) -> float:
        return self.position(datetime.combine(day, time.min, UTC))


def timelines(imagery: ImageryConfig, lock: SceneLock, scene_use: SceneUse) -> list[Timeline]:
    """Build the timeline of each product over the searched period, or that of its scenes where it has no limit.

    Args:
        imagery: The imagery block of the config.
        lock: The pinned scenes.
        scene_use: How many chips took pixels from each set of scenes.
    """
    days = [scene.acquired.date() for scene in lock.scenes]
    if not days:
        return []
    start, end = imagery.start or min(days), imagery.end or max(days)
    axis = _TimeAxis(start, end)
    reference = imagery.reference_date if imagery.takes_first else None
    reference_position = axis.midnight(reference) if reference and start <= reference <= end else None
    ticks = [(axis.midnight(day), label) for day, label in day_ticks(start, end)]
    product_timelines = []
    for product in imagery.products:
        members = [(index, scene) for index, scene in enumerate(lock.scenes) if scene.product == product.id]
        scenes = [(axis.position(scene.acquired), scene) for _, scene in members]
        product_days = _days(members, lock, scene_use, axis)
        product_timelines.append(Timeline(product.id, scenes, product_days, ticks, reference_position))
    return product_timelines


def _days(members: Sequence[tuple[int, Scene]], lock: SceneLock, scene_use: SceneUse, axis: _TimeAxis) -> list[Day]:
    day_of = {index: scene.acquired.date() for index, scene in members}
    day_by_name = {(scene.product, scene.id): scene.acquired.date() for _, scene in members}
    pinned, used = Counter[date](), Counter[date]()
    for indices, count in _pinned(lock):
        pinned.update(dict.fromkeys({day_of[index] for index in indices if index in day_of}, count))
    for names, count in scene_use:
        used.update(dict.fromkeys({day_by_name[name] for name in names if name in day_by_name}, count))
    return [
        Day(axis.position(datetime.combine(day, time(12), UTC)), day, pinned[day], used[day])
        for day in sorted(set(day_of.values()))
    ]


def _pinned(lock: SceneLock) -> Iterator[tuple[tuple[int, ...], int]]:
    """Sets of pinned scenes, each with the number of its tiles."""
    return zip(lock.tiles.sets, lock.tiles.counts().tolist(), strict=True)


def day_ticks(start: date, end: date) -> list[tuple[date, str]]:
    """Dates and labels of at most nine ticks: first days of months or years, or single days of a short period."""
    first, last = start.year * 12 + start.month - 1, end.year * 12 + end.month - 1
    for step in (1, 2, 3, 6, 12, 24, 60, 120):
        months = [date(number // 12, number % 12 + 1, 1) for number in range(first, last + 1) if number % step == 0]
        months = [day for day in months if day >= start]
        if 3 <= len(months) <= 9:
            return [(day, f"{day:%Y}" if step >= 12 else f"{day:%Y-%m}") for day in months]
    span = (end - start).days + 1
    days = [start + timedelta(number) for number in range(0, span, math.ceil(span / 6))]
    return [(day, day.isoformat()) for day in days]
