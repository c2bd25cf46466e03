"""Filters on the properties of items: CQL2, by the library of that name."""

from collections.abc import Mapping
from typing import Any

import cql2


class ItemFilter:
    """A filter that an API applies, or this process.

    Args:
        wanted: CQL2 text, or properties with the value, or list of values, to match.
    """

    def __init__(self, wanted: str | Mapping[str, Any]) -> None:
        if isinstance(wanted, str):
            self._expression = cql2.parse_text(wanted)
        else:
            matches = [_matches(name, value) for name, value in wanted.items()]
            self._expression = cql2.Expr({"op": "and", "args": matches} if len(matches) > 1 else matches[0])

    @property
    def json(self) -> dict[str, Any]:
        """The filter as CQL2 JSON."""
        expression: dict[str, Any] = self._expression.to_json()
        return expression

    def accepts(self, item: Mapping[str, Any]) -> bool:
        """Return whether an item matches; one that lacks a property, or has another type of value, does not."""
        own = {key: value for key, value in item.items() if key not in ("assets", "links", "_base")}
        try:
            return bool(self._expression.matches(own))
        except Exception as error:  # the library raises plain exceptions
            if "reduce" in str(error):  # a comparison with a property that is missing
                return False
            raise


def _matches(name: str, value: Any) -> dict[str, Any]:
    several = isinstance(value, list)
    return {"op": "in" if several else "=", "args": [{"property": name}, value]}
