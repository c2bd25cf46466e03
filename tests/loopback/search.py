"""Searches that the clients send: filter terms, a geometry, an order, a limit."""

import json
import operator
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import shapely

Json = dict[str, Any]
DATES = {"acquired", "acquired_end", "created", "modified", "published", "start_datetime", "end_datetime"}
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "prefix": lambda value, start: value.startswith(start),
}


class BadQueryError(ValueError):
    """The search is not valid."""


class Query:
    """One search, from the body of its request."""

    def __init__(self, body: Json) -> None:
        try:
            self.terms = json.loads(body.get("filter") or "[]")
            self.geometry = shapely.geometry.shape(json.loads(body["intersects"])) if "intersects" in body else None
            self.limit = None if body.get("limit") is None else int(body["limit"])
        except (ValueError, TypeError, KeyError, AttributeError, shapely.errors.ShapelyError) as error:
            raise BadQueryError(f"{type(error).__name__}: {error}") from error
        self.sort = body.get("sort") or "id"

    @property
    def products(self) -> set[str]:
        """The product ids that the search names."""
        return {term["val"] for term in _leaves(self.terms) if term["name"] == "product_id" and term["op"] == "eq"}

    def order(self, objects: Iterable[tuple[str, Json]]) -> list[tuple[str, Json]]:
        """The objects that match every term, sorted; nulls come last."""
        matches = [
            (name, each) for name, each in objects if all(_holds(term, {"id": name, **each}) for term in self.terms)
        ]
        field = self.sort.removeprefix("-")

        def key(pair: tuple[str, Json]) -> Any:
            return _value(field, ({"id": pair[0], **pair[1]}).get(field))

        with_value = sorted(
            (pair for pair in matches if key(pair) is not None), key=key, reverse=self.sort.startswith("-")
        )
        return with_value + [pair for pair in matches if key(pair) is None]


def _leaves(terms: Iterable[Json]) -> Iterable[Json]:
    for term in terms:
        nested = term.get("and") or term.get("or")
        yield from _leaves(nested) if nested else [term]


def _holds(term: Json, each: Json) -> bool:
    if "and" in term:
        return all(_holds(part, each) for part in term["and"])
    if "or" in term:
        return any(_holds(part, each) for part in term["or"])
    try:
        name, test = term["name"], term["op"]
        value = _value(name, each.get(name))
        if test in ("isnull", "isnotnull"):
            return (value is None or value == []) is (test == "isnull")
        if isinstance(term["val"], list):
            return bool(value in term["val"])
        return value is not None and bool(COMPARE[test](value, _value(name, term["val"])))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadQueryError(f"term {json.dumps(term)}: {type(error).__name__}: {error}") from error


def _value(name: str, value: Any) -> Any:
    """Times without zone are UTC; a resolution is its number."""
    if isinstance(value, dict):
        return value["value"]
    if name not in DATES or value is None:
        return value
    when = datetime.fromisoformat(value)
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when
