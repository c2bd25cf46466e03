"""Reading STAC catalogues, static or API, with errors that name the catalogue and the scene."""

import os
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache

import pystac
import pystac_client
from pystac_client.warnings import NoConformsTo

from segchips.errors import InputError, SegchipsError, redact_library_message
from segchips.scenes.model import Scene
from segchips.scenes.stac_items import Json, is_remote, local_path, scene_from_item

PAGE_SIZE = 250
"""Items of a page of search results; some APIs refuse more."""
_TIMEOUT = 60


def open_catalog(href: str) -> pystac.Catalog:
    """Open a static catalogue (path or URL) or an API's landing page.

    Raises:
        InputError: The catalogue cannot be reached, or is not STAC.
    """
    with catalogue_errors(
        f"catalogue {href}: cannot be read as STAC", "; name a catalog.json, or the URL of a STAC API"
    ):
        if is_remote(href):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NoConformsTo)
                return pystac_client.Client.open(href, timeout=_TIMEOUT)
        if not os.path.exists(local_path(href)):
            raise InputError(
                f"catalogue {href}: no such file; imagery.catalog takes the path or URL of a STAC catalogue"
            )
        opened = pystac.read_file(href)
        if not isinstance(opened, pystac.Catalog):
            raise pystac.STACTypeError(opened.to_dict(), pystac.Catalog)
        return opened


def example_scene(client: pystac.Catalog, product: str, catalog: str) -> Scene | None:
    """Return any scene of a product, as an example of its bands; None where the product has no scene.

    Raises:
        InputError: The catalogue has no such product, or cannot be read.
    """
    with catalogue_errors(f"catalogue {catalog}: cannot be read"):
        if is_api(client):
            _require_collection(product, [collection.id for collection in client.get_collections()], catalog)
            items = client.search(collections=[product], max_items=1, limit=1).items_as_dicts()  # type: ignore[attr-defined]
        else:
            items = walk_items(client, product)
        item = next((item for item in items if item.get("geometry", "") is not None), None)
        if item is None:
            return None
        with item_errors(item):
            return scene_from_item(item, product, catalog)


def find_scenes_by_id(scene: str, product: str, catalog: str) -> list[Scene]:
    """Return the scenes of that id as the catalogue lists them now, with signed URLs.

    Raises:
        InputError: The catalogue cannot be read.
    """
    with catalogue_errors(f"catalogue {catalog}: cannot be read"):
        client = _open_catalog_once(catalog)
        if is_api(client):
            items = client.search(collections=[product], ids=[scene], limit=PAGE_SIZE).items_as_dicts()  # type: ignore[attr-defined]
        else:
            items = [_read_item(client, href) for href in _item_addresses(catalog, product).get(scene, ())]
        return [scene_from_item(item, product, catalog) for item in items]


@cache
def _open_catalog_once(catalog: str) -> pystac.Catalog:
    return open_catalog(catalog)


@cache
def _item_addresses(catalog: str, product: str) -> Mapping[str, Sequence[str]]:
    """The addresses of a static catalogue's items by item id."""
    addresses = defaultdict(list)
    for item in walk_items(_open_catalog_once(catalog), product):
        addresses[str(item.get("id"))].append(item["_base"])
    return addresses


def _read_item(client: pystac.Catalog, href: str) -> Json:
    return {**(client._stac_io or pystac.StacIO.default()).read_json(href), "_base": href}


@contextmanager
def catalogue_errors(problem: str, advice: str = "") -> Iterator[None]:
    """Turn any error into an InputError; a catalogue can hold anything, and pystac raises built-in exceptions."""
    try:
        yield
    except SegchipsError:
        raise
    except Exception as error:
        raise InputError(f"{problem} ({_brief(error)}){advice}") from error


@contextmanager
def item_errors(item: Json) -> Iterator[None]:
    """Add the scene's id to an error."""
    try:
        yield
    except SegchipsError:
        raise
    except Exception as error:
        raise ValueError(f"scene '{item.get('id') or item.get('_base')}': {_brief(error)}") from error


def _brief(error: Exception) -> str:
    return redact_library_message(f"{type(error).__name__}: {error}")[:300]


def is_api(client: pystac.Catalog) -> bool:
    """Return whether the catalogue's server can search it."""
    return isinstance(client, pystac_client.Client) and client.conforms_to("ITEM_SEARCH")


def walk_items(client: pystac.Catalog, product: str) -> Iterator[Json]:
    """Read all items of a product in a static catalogue; `_base` is each item's own address.

    Raises:
        InputError: The catalogue has no such product.
    """
    collections: list[str] = []
    for node in _nodes(client):
        if isinstance(node, pystac.Collection):
            collections.append(node.id)
            if node.id != product:
                continue
        for link in node.get_item_links():
            item = _read_item(client, str(link.get_absolute_href()))
            if (item.get("collection") or node.id) == product:
                yield item
    _require_collection(product, collections, client.self_href)


def _nodes(root: pystac.Catalog) -> Iterator[pystac.Catalog]:
    """Walk the catalogue and everything below it, each node once, even where links form a circle."""
    waiting, seen = [root], {root.self_href}
    while waiting:
        node = waiting.pop()
        _check_links(node, root.self_href)
        yield node
        children = list(pystac.Catalog.get_children(node))
        waiting += [child for child in reversed(children) if child.self_href not in seen]
        seen.update(child.self_href for child in children)


def _check_links(node: pystac.Catalog, catalog: str) -> None:
    for link in (link for link in node.links if link.rel in ("child", "item") and is_remote(node.self_href)):
        if not is_remote(str(link.get_absolute_href())):
            raise InputError(
                f"catalogue {catalog}: '{node.id}' links to '{link.href}'; "
                "remote catalogues must not link to local files"
            )


def _require_collection(product: str, collections: Sequence[str], catalog: str) -> None:
    if product not in collections:
        names = ", ".join(sorted(collections)) or "none"
        raise InputError(f"catalogue {catalog}: no product '{product}'; it has {names}")
