"""STAC collections on servers without a search: pages of items, as OGC API Features lists them."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode, urljoin

import shapely
from requests import HTTPError

from segchips.errors import InputError
from segchips.files import Json
from segchips.scenes.stac_files import read_document
from segchips.scenes.stac_items import ItemError
from segchips.scenes.stac_search import ItemSearch

_PAGE_SIZES = (250, 100, 25, 5, 1)
_TOO_LARGE = (400, 413, 414, 422, 500, 502, 503, 504)


def lists_items(document: Json) -> bool:
    """Return whether a landing page links to collections, or a collection to pages of its items."""
    return _link(document, "items" if document.get("type") == "Collection" else "data") is not None


class StacFeatures:
    """Collections whose items a server lists page by page; implements `StacSource`.

    Args:
        href: The URL of a landing page or of one collection.
        document: Its content.
        host: The server.
    """

    def __init__(self, href: str, document: Json, host: str) -> None:
        self._href, self._document, self._host = href, document, host

    def products(self) -> list[str]:
        """Return the ids of all collections."""
        return sorted(self._collections)

    def collection(self, product: str) -> Mapping[str, Any]:
        """Return the collection of that id; empty where there is none."""
        return self._collections.get(product, {})

    def items(self, product: str, search: ItemSearch) -> Iterator[Json | ItemError]:
        """Return the items of a collection within the bounds of the area and the period, or those of the ids.

        Raises:
            InputError: The server has no such collection, or the collection does not link to its items.
        """
        if product not in self._collections:
            names = ", ".join(self.products()) or "none"
            raise InputError(f"catalogue {self._href}: no product '{product}'; it has {names}")
        link = _link(self._collections[product], "items")
        if link is None:
            raise InputError(f"catalogue {self._href}: collection '{product}' does not link to its items")
        address = urljoin(self._href, link)
        if search.ids:
            yield from self._items_by_id(address, search)
            return
        for page in self._first_pages(address, search):
            for item in page:
                yield item if isinstance(item, dict) else ItemError(f"an item is a JSON {type(item).__name__}")

    def applies(self, search: ItemSearch) -> bool:
        """Return False: the server only filters by area and time."""
        return False

    @cached_property
    def _collections(self) -> Mapping[str, Json]:
        if self._document.get("type") == "Collection":
            return {str(self._document["id"]): self._document}
        address = urljoin(self._href, str(_link(self._document, "data")))
        pages = self._pages(address, "collections")
        return {str(collection["id"]): collection for page in pages for collection in page}

    def _items_by_id(self, address: str, search: ItemSearch) -> Iterator[Json]:
        path, _, query = address.partition("?")
        for name in search.ids:
            try:
                yield read_document(f"{path}/{quote(name, safe='')}" + (f"?{query}" if query else ""), self._host)
            except HTTPError as error:
                if error.response is None or error.response.status_code != 404:
                    raise

    def _first_pages(self, address: str, search: ItemSearch) -> Iterator[list[Any]]:
        """The pages of items; from the first one again, with smaller pages, where the server refuses one."""
        for size in _PAGE_SIZES:
            joint = "&" if "?" in address else "?"
            try:
                yield from self._pages(
                    f"{address}{joint}{urlencode(_conditions(search) | {'limit': size})}", "features"
                )
                return
            except HTTPError as error:
                is_refusal = error.response is not None and error.response.status_code in _TOO_LARGE
                if not is_refusal or size == _PAGE_SIZES[-1]:
                    raise

    def _pages(self, address: str | None, member: str) -> Iterator[list[Any]]:
        """What pages hold, each page once, along their links to the next."""
        seen: set[str] = set()
        while address and address not in seen:
            seen.add(address)
            document = read_document(address, self._host)
            yield document.get(member) or []
            following = _link(document, "next")
            address = urljoin(address, following) if following else None


def _conditions(search: ItemSearch) -> dict[str, Any]:
    conditions: dict[str, Any] = {}
    if search.area:
        conditions["bbox"] = ",".join(map(str, shapely.geometry.shape(search.area).bounds))
    if any(search.period):
        conditions["datetime"] = "/".join(map(_moment, search.period))
    return conditions


def _moment(moment: datetime | None) -> str:
    return moment.isoformat().replace("+00:00", "Z") if moment else ".."


def _link(document: Json, rel: str) -> str | None:
    links = (link for link in document.get("links") or () if isinstance(link, dict))
    return next((str(link["href"]) for link in links if link.get("rel") == rel and link.get("href")), None)
