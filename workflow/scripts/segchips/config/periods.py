"""The key `imagery.periods`: the steps of a time series."""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta

from pydantic import model_validator

from segchips.config.blocks import Block, Text, problem

Period = tuple[date, date]
"""First and last day of a step, both inclusive."""
_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "year": 12}


@dataclass(frozen=True)
class Every(Block):
    """Periods of one length that follow each other from `start` to `end`; the last may be shorter."""

    every: Text
    """The length of a period, such as `1 month` or `16 days`."""

    @model_validator(mode="after")
    def _check(self) -> "Every":
        if not self._parts():
            text = f"'{self.every}' is not a length of time; write a number of days, weeks, months or years: 16 days"
            raise problem("every", text)
        return self

    def periods(self, start: date, end: date) -> tuple[Period, ...]:
        """Cut the days from `start` to `end` into periods."""
        count, unit = self._parts() or (1, "day")
        firsts, number = [start], 0
        while firsts[-1] <= end:
            number += count
            months = number * _MONTHS.get(unit, 0)
            firsts.append(_later(start, months) if months else start + timedelta(number * _DAYS[unit]))
        lasts = [min(day - timedelta(1), end) for day in firsts[1:]]
        return tuple(zip(firsts, lasts, strict=False))

    def _parts(self) -> tuple[int, str] | None:
        match = re.fullmatch(r"([1-9][0-9]{0,3}) (day|week|month|year)s?", self.every)
        return (int(match[1]), match[2]) if match else None


def _later(day: date, months: int) -> date:
    """The same day so many months later, or the last day of that month where it is shorter."""
    month = day.year * 12 + day.month - 1 + months
    year, number = month // 12, month % 12 + 1
    return date(year, number, min(day.day, monthrange(year, number)[1]))
