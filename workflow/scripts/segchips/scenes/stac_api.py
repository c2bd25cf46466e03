"""STAC APIs, searched through pystac-client."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cache
from itertools import chain, pairwise
from typing import Any

import pystac_client
from pystac_client.exceptions import APIError
from pystac_client.warnings import PystacClientWarning

from segchips.errors import InputError
from segchips.files import Json
from segchips.scenes.read_ahead import ReadAhead
from segchips.scenes.stac_files import TIMEOUT, header_adder, session_for
from segchips.scenes.stac_items import ItemError
from segchips.scenes.stac_search import ItemSearch

_PAGE_SIZES = (250, 100, 25, 5, 1)
"""Items of a page of results; where a server refuses a page, the next smaller one is tried."""
_TOO_LARGE = (400, 413, 414, 422, 500, 502, 503, 504)
_NOT_ALLOWED = (405, 501)
_PARTS = 8
"""Parts by time of a search that does not say how many items it finds."""
_SHORTEST_PART = timedelta(hours=1)


def _status(error: APIError) -> int | None:
    """The HTTP status; None where the server did not answer."""
    return getattr(error, "status_code", None)


def is_api(document: Json) -> bool:
    """Return whether a catalogue's server can search it: its landing page links to a search or states the class."""
    rels = [link.get("rel") for link in document["links"] if isinstance(link, dict)]
    return "search" in rels or any("item-search" in str(name) for name in document.get("conformsTo") or ())


class StacApi:
    """A STAC API; implements `StacSource`.

    Args:
        href: The URL of its landing page.
        host: Its server.
        requests: How many requests are under way at most.
    """

    def __init__(self, href: str, host: str, requests: int) -> None:
        self._href, self._requests, self._ahead = href, requests, ReadAhead(requests)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PystacClientWarning)
            self._client = pystac_client.Client.open(
                href, stac_io=session_for(host), timeout=TIMEOUT, request_modifier=header_adder(host)
            )
        for needed in ("ITEM_SEARCH", "COLLECTIONS"):
            if not self._client.conforms_to(needed):
                self._client.add_conforms_to(needed)
        self._collection = cache(self._read_collection)

    def products(self) -> list[str]:
        """Return the ids of all collections."""
        return sorted(collection.id for collection in self._client.get_collections())

    def collection(self, product: str) -> Mapping[str, Any]:
        """Return the collection of that id; empty where the API does not give it."""
        return self._collection(product)

    def _read_collection(self, product: str) -> Mapping[str, Any]:
        href = self._client._collections_href(product)
        try:
            document: Json = self._client._stac_io.read_json(href)  # type: ignore[union-attr]
        except APIError as error:
            if _status(error) in (404, 405, 501):
                return {}
            raise
        return document

    def items(self, product: str, search: ItemSearch) -> Iterator[Json | ItemError]:
        """Return the items of a collection that match the search.

        Raises:
            InputError: There is none, because the API has no such collection.
        """
        seen: set[str] = set()
        for page in self._pages(product, search):
            for item in page:
                if not isinstance(item, dict):
                    yield ItemError(f"an item is a JSON {type(item).__name__} in place of an object")
                elif str(item.get("id")) not in seen:
                    yield item
            seen |= {str(item.get("id")) for item in page if isinstance(item, dict)}
        if not seen and not self._collection(product) and product not in (products := self.products()):
            names = ", ".join(products) or "none"
            raise InputError(f"catalogue {self._href}: no product '{product}'; it has {names}")

    def applies(self, search: ItemSearch) -> bool:
        """Return whether the API states that it filters by CQL2."""
        return search.filter is not None and self._client.conforms_to("FILTER")

    def _pages(self, product: str, search: ItemSearch) -> Iterator[list[Any]]:
        """The pages of results; from the first page again, with smaller pages or by GET, where the API refuses one."""
        first: APIError | None = None
        method = "POST"
        sizes = list(_PAGE_SIZES)
        while sizes:
            try:
                yield from self._pages_of(product, search, sizes[0], method)
                return
            except APIError as error:
                first = first or error
                if _status(error) in _NOT_ALLOWED and method == "POST":
                    method = "GET"
                elif _status(error) in _TOO_LARGE:
                    sizes.pop(0)
                else:
                    raise
        raise first or RuntimeError("no page size")

    def _pages_of(self, product: str, search: ItemSearch, size: int, method: str) -> Iterator[list[Any]]:
        """The pages of results one after another, or those of several parts of the time at the same time."""

        def pages(search: ItemSearch) -> Iterator[Json]:
            return self._search(product, search, size, method).pages_as_dicts()

        def all_pages(part: ItemSearch) -> list[Json]:
            return list(pages(part))

        found = pages(search)
        first = next(found, {})
        yield first.get("features") or []
        parts = _parts_by_time(first, search, self._requests)
        rest = chain.from_iterable(self._ahead.in_order(all_pages, parts)) if parts else found
        for page in rest:
            yield page.get("features") or []

    def _search(self, product: str, search: ItemSearch, size: int, method: str) -> pystac_client.ItemSearch:
        options: dict[str, Any] = {}
        if search.max_cloud is not None and self._client.conforms_to("QUERY"):
            options["query"] = {"eo:cloud_cover": {"lt": search.max_cloud * 100}}
        if search.filter is not None and self.applies(search):
            options |= {"filter": search.filter.json, "filter_lang": "cql2-json"}
        if any(search.period):
            options["datetime"] = [".." if moment is None else moment for moment in search.period]
        if search.ids:
            options["ids"] = list(search.ids)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PystacClientWarning)
            return self._client.search(
                method=method,
                collections=[product],
                intersects=search.area,
                limit=min(size, search.count or size),
                max_items=search.count,
                **options,
            )


def _parts_by_time(page: Json, search: ItemSearch, requests: int) -> list[ItemSearch]:
    """Searches of parts of the period that together find the same; empty where the pages that follow are read as soon.

    Args:
        page: The first page of results.
        search: The whole search.
        requests: How many requests are under way at most.
    """
    start, end = search.period
    follows = any(isinstance(link, dict) and link.get("rel") == "next" for link in page.get("links") or ())
    if search.ids or search.count or not (start and end and follows):
        return []
    matched = page.get("numberMatched") or (page.get("context") or {}).get("matched")
    size = len(page.get("features") or ()) or 1
    count = min(requests, _PARTS if matched is None else -(-int(matched) // size))
    step = (end - start) / count
    if count < 3 or step < _SHORTEST_PART:
        return []
    edges = [start, *((start + number * step).replace(microsecond=0) for number in range(1, count)), end]
    return [replace(search, period=period) for period in pairwise(edges)]
