"""Class keys of the config compared with values of features and rasters: as numbers, truth values, and texts.

YAML reads `no` as a truth value, `010` as 8 and `1.0` as a number; files hold the same as text, number or boolean.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, Generic, TypeVar

import yaml

from segchips.errors import InputError

T = TypeVar("T")
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"\s*({_NUMBER})\s*(?:-|\.\.|to)\s*({_NUMBER})\s*")
MISSING = ("", "null")
"""The keys of features without a value."""


class ClassKeys(Generic[T]):
    """Finds what the config says of a value.

    A key that has the text of the value counts first, then one that is the same number or truth value, of which the one
    without needless digits, then a range such as `10-19`, both ends included.

    Args:
        entries: What the config says, by key as text.
    """

    def __init__(self, entries: Mapping[str, T]) -> None:
        self._exact = dict(entries)
        self._equal: dict[object, list[str]] = {}
        self._ranges: list[tuple[Decimal, Decimal, str]] = []
        for key in entries:
            self._equal.setdefault(_meaning(key), []).append(key)
            if limits := parse_range(key):
                self._ranges.append((*limits, key))

    def find(self, value: Any) -> str | None:
        """Returns the key that a value has, or None.

        Args:
            value: A text, number, truth value or date; None and NaN are missing.

        Raises:
            InputError: Two keys have the value and say different things of it.
        """
        if is_missing(value):
            return next((key for key in MISSING if key in self._exact), None)
        text = value_text(value)
        if text in self._exact:
            return text
        if text == "":
            return "null" if "null" in self._exact else None
        meaning = _meaning(value if isinstance(value, bool) else text)
        candidates = self._equal.get(meaning, [])
        if isinstance(value, bool) and not candidates:
            candidates = self._equal.get(Decimal(int(value)), [])
        if isinstance(meaning, Decimal) and (plain := f"{meaning:f}") in candidates:
            return plain
        if not candidates and isinstance(meaning, Decimal):
            candidates = [key for low, high, key in self._ranges if low <= meaning <= high]
        for other in candidates[1:]:
            if self._exact[other] != self._exact[candidates[0]]:
                raise InputError(
                    f"the keys '{candidates[0]}' and '{other}' of labels.classes both stand for the value {text}, "
                    "and map it to different classes; remove or change one of them"
                )
        return candidates[0] if candidates else None

    @property
    def has_names(self) -> bool:
        """Whether some keys are neither numbers nor ranges, so that they may be names of values."""
        return not all(map(is_number_key, self._exact))

    def __getitem__(self, key: str) -> T:
        return self._exact[key]


def is_number_key(key: str) -> bool:
    """Whether a key is a number or a range of numbers."""
    return isinstance(_meaning(key), Decimal) or parse_range(key) is not None


def is_missing(value: Any) -> bool:
    """Whether a value is None or NaN."""
    return value is None or value != value


def value_text(value: Any) -> str:
    """Returns the key that stands for a value in messages and class maps, such as `3` for 3.0; '' for a missing one."""
    if is_missing(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)


def parse_range(key: str) -> tuple[Decimal, Decimal] | None:
    """Returns the ends of a key such as `10-19`, or None where it is not a range."""
    match = _RANGE.fullmatch(key)
    if not match:
        return None
    low, high = Decimal(match[1]), Decimal(match[2])
    return (low, high) if low <= high else None


def example_map(values: Iterable[Any], numbers: Iterable[int]) -> str:
    """Returns a class map to copy into a config; texts that YAML would read as something else are quoted."""
    pairs = ", ".join(f"{yaml_key(value)}: {number}" for value, number in zip(values, numbers, strict=False))
    return f"{{{pairs}}}"


def yaml_key(value: Any) -> str:
    """Returns a value as a key in YAML, with quotes where YAML would make another value of it."""
    text = value_text(value)
    try:
        ((key, _),) = yaml.safe_load(f"{{{text}: 1}}").items()
        works = ClassKeys({key_text(key): 1}).find(value) is not None
    except (yaml.YAMLError, AttributeError, ValueError):
        works = False
    return text if works else "'" + text.replace("'", "''") + "'"


def key_text(key: Any) -> str:
    """Returns a key of YAML as text, as JSON writes it."""
    if isinstance(key, date):
        return value_text(key)
    return json.dumps(key) if key is None or isinstance(key, bool) else str(key)


def _meaning(value: object) -> object:
    """Returns the truth value, number or text that a key or value stands for; letters with accents in one form."""
    if isinstance(value, bool):
        return ("truth", value)
    text = unicodedata.normalize("NFC", str(value))
    if text.lower() in _TRUTH:
        return ("truth", _TRUTH[text.lower()])
    if re.fullmatch(_NUMBER, text):
        try:
            return Decimal(text).normalize() + 0
        except InvalidOperation:
            return ("text", text)
    return ("text", text)
