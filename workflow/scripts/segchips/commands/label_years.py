"""The years that labels are from, by their attributes or the name of their file."""

import re
from datetime import date
from typing import Any

_YEAR_NAME = re.compile(r"(^|_)(year|jahr|annee|année|ano|año|anno|vuosi|rok|yr)s?($|_)", re.IGNORECASE)
_DAY_NAME = re.compile(r"date|datum|fecha|data$|(^|_)day|time", re.IGNORECASE)
_IN_NAME = re.compile(r"(?<!\d)((?:19[5-9]|20\d)\d)(?:(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01]))?(?!\d)")
_IN_VALUE = re.compile(r"\s*(19[5-9]\d|20\d\d)([-/.]|$)|\s*\d\d?[-/.]\d\d?[-/.](19[5-9]\d|20\d\d)")
_MOST_YEARS = 5
"""Attributes with more years say when features came into being, not when they were seen."""


def label_years(name: str, attributes: Any) -> tuple[int, ...]:
    """Return the years that labels are from, sorted; none where neither attributes nor name tell them.

    Args:
        name: The name of the file.
        attributes: The attributes as a data frame; None for rasters.
    """
    columns = [] if attributes is None else [str(column) for column in attributes.columns]
    for pattern in (_YEAR_NAME, _DAY_NAME):
        for column in columns:
            if pattern.search(column) or attributes[column].dtype.kind == "M":
                years = _years(attributes[column].dropna())
                if 1 <= len(years) <= _MOST_YEARS:
                    return years
    stem = re.sub(r"\.\w+$", "", name)
    return tuple(sorted({int(year) for year in _IN_NAME.findall(stem)} & _possible()))


def _years(values: Any) -> tuple[int, ...]:
    if values.dtype.kind == "M":
        found = set(values.dt.year.astype(int))
    elif values.dtype.kind in "iuf":
        found = {int(value) for value in values.unique() if float(value).is_integer()}
    else:
        matches = (_IN_VALUE.match(str(value)) for value in values.unique())
        found = {int(match[1] or match[3]) if match else 0 for match in matches}
    return tuple(sorted(found)) if found and found <= _possible() else ()


def _possible() -> set[int]:
    return set(range(1950, date.today().year + 1))
