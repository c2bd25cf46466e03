"""The report's scenes: a table of them, and a timeline of each product."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain

from segchips.config.model import Dataset, ImageryConfig
from segchips.scenes.model import Scene
from segchips.scenes.pinning import SceneLock


@dataclass(frozen=True)
class SceneRow:
    """A pinned scene, how many tiles list it, and how many chips took pixels from it: None for a cloud mask."""

    scene: Scene
    tiles: int
    chips: int | None


def scene_table(dataset: Dataset, lock: SceneLock, used: Mapping[tuple[str, str], set[str]]) -> list[SceneRow]:
    """All pinned scenes by acquisition and id within each product, those of the cloud mask last."""
    products = [product.id for product in dataset.imagery.products]
    listed = Counter(chain.from_iterable(lock.tiles.values()))
    rows = []
    for index, scene in enumerate(lock.scenes):
        chips = len(used.get((scene.product, scene.id), ()))
        rows.append(SceneRow(scene, listed[index], chips if scene.product in products else None))

    def place(row: SceneRow) -> tuple[int, datetime, str]:
        return [*products, row.scene.product].index(row.scene.product), row.scene.acquired, row.scene.id

    return sorted(rows, key=place)


@dataclass(frozen=True)
class Day:
    """A day's place from 0 to 1 along the axis, the tiles that list one of its scenes and the chips that use one."""

    place: float
    day: date
    tiles: int
    chips: int


@dataclass(frozen=True)
class Timeline:
    """One product's scenes, days and ticks, all with their places from 0 to 1 along the axis."""

    product: str
    scenes: Sequence[tuple[float, Scene]]
    days: Sequence[Day]
    ticks: Sequence[tuple[float, str]]
    reference: float | None


@dataclass(frozen=True)
class _TimeAxis:
    """The searched days, whole, as places from 0 to 1."""

    first: date
    last: date

    def place(self, moment: datetime) -> float:
        start = datetime.combine(self.first, time.min, UTC)
        return (moment - start) / (datetime.combine(self.last + timedelta(1), time.min, UTC) - start)

    def midnight(self, day: date) -> float:
        return self.place(datetime.combine(day, time.min, UTC))


def timelines(imagery: ImageryConfig, lock: SceneLock, used: Mapping[tuple[str, str], set[str]]) -> list[Timeline]:
    """A timeline over the searched days for each product."""
    axis = _TimeAxis(imagery.start, imagery.end)
    tiles: dict[int, set[str]] = defaultdict(set)
    for tile, indices in lock.tiles.items():
        for index in indices:
            tiles[index].add(tile)
    reference = imagery.reference_date if imagery.composite == "closest" else None
    mark = axis.midnight(reference) if reference and imagery.start <= reference <= imagery.end else None
    ticks = [(axis.midnight(day), label) for day, label in day_ticks(imagery.start, imagery.end)]
    found = []
    for product in imagery.products:
        members = [(index, scene) for index, scene in enumerate(lock.scenes) if scene.product == product.id]
        scenes = [(axis.place(scene.acquired), scene) for _, scene in members]
        found.append(Timeline(product.id, scenes, _days(members, tiles, used, axis), ticks, mark))
    return found


def _days(
    members: Sequence[tuple[int, Scene]],
    tiles: Mapping[int, set[str]],
    used: Mapping[tuple[str, str], set[str]],
    axis: _TimeAxis,
) -> list[Day]:
    listed: dict[date, set[str]] = defaultdict(set)
    taken: dict[date, set[str]] = defaultdict(set)
    for index, scene in members:
        listed[scene.acquired.date()] |= tiles.get(index, set())
        taken[scene.acquired.date()] |= used.get((scene.product, scene.id), set())
    noon = {day: axis.place(datetime.combine(day, time(12), UTC)) for day in listed}
    return [Day(noon[day], day, len(listed[day]), len(taken[day])) for day in sorted(listed)]


def day_ticks(start: date, end: date) -> list[tuple[date, str]]:
    """At most nine firsts of a month or year, or single days within a short window."""
    first, last = start.year * 12 + start.month - 1, end.year * 12 + end.month - 1
    for step in (1, 2, 3, 6, 12, 24, 60, 120):
        months = [date(number // 12, number % 12 + 1, 1) for number in range(first, last + 1) if number % step == 0]
        months = [day for day in months if day >= start]
        if 3 <= len(months) <= 9:
            return [(day, f"{day:%Y}" if step >= 12 else f"{day:%Y-%m}") for day in months]
    span = (end - start).days + 1
    days = [start + timedelta(number) for number in range(0, span, math.ceil(span / 6))]
    return [(day, day.isoformat()) for day in days]
