"""Which days a starting config searches: those of the labels, else the latest year of the imagery."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from segchips.scenes.model import parse_time

Span = tuple[date, date]


def spans_to_try(collection: Mapping[str, Any], years: Sequence[int]) -> list[Span | None]:
    """Return the periods in which scenes are looked for, in this order; None is any date.

    Args:
        collection: The collection of an API, whose extent limits the years.
        years: The years that the labels are from.
    """
    first, last = collection_days(collection)
    spans = [span for year in sorted(years, reverse=True) if (span := _within(date(year, 1, 1), first, last))]
    latest = last or date(date.today().year - 1, 12, 31)
    if first and first > latest:
        latest = date.today()
    start = date(latest.year, 1, 1) if latest.month == 12 else latest - timedelta(days=365)
    return [*spans, (max(first or date.min, start), latest), None]


def _within(start: date, first: date | None, last: date | None) -> Span | None:
    """The year that begins with a day, within the days of the collection; None where they share none."""
    end = date(start.year, 12, 31)
    low, high = max(start, first or date.min), min(end, last or date.today())
    return (low, high) if low <= high else None


def collection_days(collection: Mapping[str, Any]) -> tuple[date | None, date | None]:
    """Return the first and last day of a collection's extent; None where it has no limit or says nothing usable."""
    intervals = ((collection.get("extent") or {}).get("temporal") or {}).get("interval") or [[None, None]]
    first, last = (list(_days(intervals[0])) + [None, None])[:2]
    return first, last


def _days(interval: Any) -> Iterator[date | None]:
    for text in interval if isinstance(interval, list) else ():
        try:
            yield None if text is None else parse_time(str(text)).date()
        except ValueError:
            yield None


def scenes_of_years(days: Sequence[date], years: Sequence[int]) -> list[date]:
    """Return the days of the latest of these years that has any; all days where none has."""
    for year in sorted(years, reverse=True):
        if inside := [day for day in days if day.year == year]:
            return inside
    return list(days)
