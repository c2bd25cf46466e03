"""Static STAC: a tree of catalogues and collections, or a list of items."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from requests import HTTPError

from segchips.errors import InputError
from segchips.files import Json
from segchips.scenes.library_reasons import library_reason
from segchips.scenes.read_ahead import ReadAhead
from segchips.scenes.stac_addresses import is_http, is_remote, resolve_link
from segchips.scenes.stac_bands import is_raster
from segchips.scenes.stac_files import read_document
from segchips.scenes.stac_items import ItemError, unusable
from segchips.scenes.stac_search import ItemSearch

_GONE = (400, 401, 403, 404, 410)
_Node = tuple[str, Json, frozenset[str]]
"""The address of a catalogue or collection, its content, and the ids of the collections that it is in, or is."""


class ItemList:
    """Items in one file or folder; implements `StacSource`.

    Args:
        href: The catalogue as the config names it.
        files: The address of each file, and the items in it.
        host: The server that it is on; empty where it has none.
    """

    def __init__(self, href: str, files: Sequence[tuple[str, Sequence[Json]]], host: str = "") -> None:
        self._href, self._host = href, host
        self._items = [_with_base(item, address) for address, items in files for item in items]

    def products(self) -> list[str]:
        """Return the ids of the collections that items name."""
        named = (item.get("collection") for item in self._items if not isinstance(item, ItemError))
        return sorted({str(name) for name in named if name})

    def collection(self, product: str) -> Mapping[str, Any]:
        """Return the collection that items link to, where some say nothing of their bands; empty where it is gone."""
        members = (item for item in self._items if not isinstance(item, ItemError) and _collection_of(item, product))
        silent = [item for item in members if not _describes_bands(item)]
        for item in silent[:1]:
            for link in _links(item, "collection"):
                with suppress(Exception):  # the link of a copied item may lead nowhere, and its files speak then
                    document = read_document(resolve_link(item["_base"], str(link["href"])), self._host)
                    return document if document.get("type") == "Collection" else {}
        return {}

    def items(self, product: str, search: ItemSearch) -> Iterator[Json | ItemError]:
        """Return the items of a product; an item that names no collection belongs to any product.

        Raises:
            InputError: All items belong to other products.
        """
        members = [item for item in self._items if isinstance(item, ItemError) or _collection_of(item, product)]
        if not any(not isinstance(item, ItemError) for item in members):
            _refuse_product(product, self.products(), self._href)
        return iter(members)

    def applies(self, search: ItemSearch) -> bool:
        """Return False: all items are listed."""
        return False


class StacTree:
    """A static catalogue or collection with everything below it; implements `StacSource`.

    Args:
        href: The address of the root.
        document: Its content.
        host: The server that it is on; empty where it has none.
        requests: How many files are read at the same time from a server.
    """

    def __init__(self, href: str, document: Json, host: str, requests: int) -> None:
        self._href, self._document, self._host = href, document, host
        self._ahead = ReadAhead(requests) if is_remote(href) else None
        self._read: dict[str, Json] = {}
        self._addresses: dict[str, dict[str, list[str]]] = {}

    def products(self) -> list[str]:
        """Return the ids of all collections, or those that items name where there is no collection."""
        nodes = list(self._nodes())
        collections = {str(node["id"]) for _, node, _ in nodes if node.get("type") == "Collection"}
        if collections:
            return sorted(collections)
        items = (item for _, item in self._items_of(nodes))
        named = {item.get("collection") for item in items if not isinstance(item, ItemError)}
        return sorted(str(name) for name in named if name)

    def collection(self, product: str) -> Mapping[str, Any]:
        """Return the collection of that id; empty where there is none."""
        for _, node, _ in self._nodes():
            if node.get("type") == "Collection" and node["id"] == product:
                return node
        return {}

    def items(self, product: str, search: ItemSearch) -> Iterator[Json | ItemError]:
        """Return the items of a collection and of the collections in it; `_base` is each item's own address.

        Items that name no collection and are in none belong to any product that is not a collection.

        Raises:
            InputError: The catalogue has no such product.
        """
        if search.ids:
            yield from self._items_by_id(product, search.ids)
            return
        collections: set[str] = set()
        is_known = False
        loose: list[Json] = []

        def nodes() -> Iterator[_Node]:
            for node in self._nodes():
                _, document, inside = node
                is_collection = document.get("type") == "Collection"
                collections.update([str(document["id"])] if is_collection else [])
                if not is_collection or product in inside:
                    yield node

        for inside, item in self._items_of(nodes()):
            if isinstance(item, ItemError):
                yield item
            elif product in inside or item.get("collection") == product:
                is_known = True
                yield item
            elif not item.get("collection") and not inside:
                loose.append(item)
        if product not in collections and not is_known:
            if not loose:
                _refuse_product(product, self.products(), self._href)
            yield from loose

    def _items_by_id(self, product: str, ids: Sequence[str]) -> Iterator[Json | ItemError]:
        """Read the items of these ids again; a first call reads all, to learn their addresses."""
        if product not in self._addresses:
            addresses: dict[str, list[str]] = {}
            for item in self.items(product, ItemSearch()):
                if not isinstance(item, ItemError):
                    addresses.setdefault(str(item.get("id")), []).append(item["_base"])
            self._addresses[product] = addresses
        for name in ids:
            for address in self._addresses[product].get(name, ()):
                yield _with_base(self._read_item(address), address)

    def applies(self, search: ItemSearch) -> bool:
        """Return False: all items are listed."""
        return False

    def _nodes(self) -> Iterator[_Node]:
        """Walk the root and everything below it, each node once, even where links form a circle."""
        waiting: list[tuple[str, frozenset[str]]] = []
        address, node, inside = self._href, self._document, _collection_ids(self._document)
        seen, started = {address}, dict[str, Future[Json]]()
        try:
            while True:
                yield address, node, inside
                children = dict.fromkeys(self._address(address, node, link) for link in _links(node, "child"))
                waiting += [(child, inside) for child in reversed([*children]) if child not in seen]
                seen |= children.keys()
                if not waiting:
                    return
                self._start_reads(waiting, started)
                address, around = waiting.pop()
                node = started.pop(address).result() if address in started else self._read_node(address)
                inside = around | _collection_ids(node)
        finally:
            for future in started.values():
                future.cancel()

    def _start_reads(self, waiting: Sequence[tuple[str, object]], started: "dict[str, Future[Json]]") -> None:
        """Start to read the nodes on a server that come next."""
        if self._ahead:
            for address, _ in reversed(waiting[-self._ahead.reach :]):
                if address not in started and address not in self._read:
                    started[address] = self._ahead.start(self._read_node, address)

    def _read_node(self, address: str) -> Json:
        if address not in self._read:
            document = read_document(address, self._host)
            if document.get("type") not in ("Catalog", "Collection") or "id" not in document:
                raise ValueError(f"{address} is neither a Catalog nor a Collection")
            self._read[address] = document
        return self._read[address]

    def _items_of(self, nodes: Iterable[_Node]) -> Iterator[tuple[frozenset[str], Json | ItemError]]:
        """The items of nodes, each with the ids of the collections that it is in."""

        def links() -> Iterator[tuple[frozenset[str], str]]:
            for address, document, inside in nodes:
                for link in _links(document, "item"):
                    yield inside, self._address(address, document, link)

        def read(link: tuple[frozenset[str], str]) -> tuple[frozenset[str], Json | ItemError]:
            inside, href = link
            try:
                return inside, _with_base(self._read_item(href), href)
            except ItemError as error:
                return inside, error

        return self._ahead.in_order(read, links()) if self._ahead else map(read, links())

    def _read_item(self, address: str) -> Json:
        if not is_http(address):
            with unusable(f"item {address} cannot be read"):
                return _as_item(read_document(address, self._host))
        try:
            return _as_item(read_document(address, self._host))
        except HTTPError as error:
            if error.response is not None and error.response.status_code in _GONE:
                raise ItemError(f"item {address} cannot be read ({error.response.status_code})") from error
            raise
        except ValueError as error:
            raise ItemError(f"item {address} cannot be read ({library_reason(error)})") from error

    def _address(self, base: str, node: Json, link: Json) -> str:
        if is_remote(self._href) and not is_remote(base):
            raise InputError(
                f"catalogue {self._href}: links to '{base}'; remote catalogues must not link to local files"
            )
        try:
            return resolve_link(base, str(link["href"]))
        except InputError as error:
            raise InputError(
                f"catalogue {self._href}: '{node['id']}' links to '{link['href']}'; "
                "remote catalogues must not link to local files"
            ) from error


def _collection_ids(node: Json) -> frozenset[str]:
    """The id of a collection; empty for a catalogue."""
    return frozenset([str(node["id"])] if node.get("type") == "Collection" else ())


def _as_item(document: Json) -> Json:
    if document.get("type") != "Feature":
        raise ValueError("it is no STAC item")
    return document


def _links(node: Json, rel: str) -> list[Json]:
    return [link for link in node.get("links", ()) if isinstance(link, dict) and link.get("rel") == rel]


def _with_base(item: Any, address: str) -> Json | ItemError:
    if not isinstance(item, dict):
        return ItemError(f"an item of {address} is a JSON {type(item).__name__} in place of an object")
    return {**item, "_base": address}


def _describes_bands(item: Json) -> bool:
    """Whether each raster asset of an item describes its bands."""
    assets = item.get("assets")
    rasters = [asset for asset in assets.values() if is_raster(asset)] if isinstance(assets, dict) else []
    return all(asset.get("raster:bands") or asset.get("bands") for asset in rasters)


def _collection_of(item: Json, product: str) -> bool:
    return not item.get("collection") or item["collection"] == product


def _refuse_product(product: str, products: Sequence[str], catalog: str) -> None:
    names = ", ".join(products) or "no collection"
    raise InputError(f"catalogue {catalog}: no product '{product}'; it has {names}")
