"""TODO: describe."""

import os
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache

import pystac
import pystac_client
from pystac_client.warnings import NoConformsTo

from segchips.errors import InputError, SegchipsError
from segchips.scenes.model import Scene
from segchips.scenes.stac_items import (
    Json,
    brief_error,
    is_remote,
    local_path,
    require_collection,
    scene_from_item,
)

PAGE_SIZE = 250
_TIMEOUT = 60


def open_catalog(href: str) -> pystac.Catalog:
    """Open a static catalogue (path or URL) or an API's landing page; InputError where it cannot be reached or read."""
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
    """Any one scene of a product, to see its bands; InputError where the catalogue does not know the product."""
    with catalogue_errors(f"catalogue {catalog}: cannot be read"):
        if is_api(client):
            require_collection(product, [collection.id for collection in client.get_collections()], catalog)
            found = client.search(collections=[product], max_items=1, limit=1).items_as_dicts()  # type: ignore[attr-defined]
        else:
            found = walk_items(client, product)
        item = next((item for item in found if item.get("geometry", "") is not None), None)
        if item is None:
            return None
        with naming_item(item):
            return scene_from_item(item, product, catalog)


def scenes_called(name: str, product: str, catalog: str) -> list[Scene]:
    """The scenes of that id as the catalogue gives them now, signatures and all; InputError where it cannot be read."""
    with catalogue_errors(f"catalogue {catalog}: cannot be read"):
        client = _opened(catalog)
        if is_api(client):
            found = client.search(collections=[product], ids=[name], limit=PAGE_SIZE).items_as_dicts()  # type: ignore[attr-defined]
        else:
            found = [_read(client, place) for place in _places(catalog, product).get(name, ())]
        return [scene_from_item(item, product, catalog) for item in found]


@cache
def _opened(catalog: str) -> pystac.Catalog:
    return open_catalog(catalog)


@cache
def _places(catalog: str, product: str) -> Mapping[str, Sequence[str]]:
    """Where a static catalogue's items of each id are."""
    found = defaultdict(list)
    for item in walk_items(_opened(catalog), product):
        found[str(item.get("id"))].append(item["_base"])
    return found


def _read(client: pystac.Catalog, place: str) -> Json:
    return {**(client._stac_io or pystac.StacIO.default()).read_json(place), "_base": place}


@contextmanager
def catalogue_errors(trouble: str, advice: str = "") -> Iterator[None]:
    """Turn whatever goes wrong into an InputError: anything may stand in a catalogue, and pystac raises bare errors."""
    try:
        yield
    except SegchipsError:
        raise
    except Exception as error:
        raise InputError(f"{trouble} ({brief_error(error)}){advice}") from error


@contextmanager
def naming_item(item: Json) -> Iterator[None]:
    """Add the scene's id to what goes wrong with it."""
    try:
        yield
    except SegchipsError:
        raise
    except Exception as error:
        raise ValueError(f"scene '{item.get('id') or item.get('_base')}': {brief_error(error)}") from error


def is_api(client: pystac.Catalog) -> bool:
    """Whether the catalogue can be searched by its server."""
    return isinstance(client, pystac_client.Client) and client.conforms_to("ITEM_SEARCH")


def _nodes(root: pystac.Catalog) -> Iterator[pystac.Catalog]:
    """The catalogue and all below it, each once although links may lead in circles."""
    waiting, known = [root], {root.self_href}
    while waiting:
        node = waiting.pop()
        _check_links(node, root.self_href)
        yield node
        children = list(pystac.Catalog.get_children(node))
        waiting += [child for child in reversed(children) if child.self_href not in known]
        known.update(child.self_href for child in children)


def _check_links(node: pystac.Catalog, catalog: str) -> None:
    """InputError where a remote catalogue names a local file as its member."""
    for link in (link for link in node.links if link.rel in ("child", "item") and is_remote(node.self_href)):
        if not is_remote(str(link.get_absolute_href())):
            raise InputError(f"catalogue {catalog}: '{node.id}' links to '{link.href}', which a catalogue may not")


def walk_items(client: pystac.Catalog, product: str) -> Iterator[Json]:
    known: list[str] = []
    for node in _nodes(client):
        if isinstance(node, pystac.Collection):
            known.append(node.id)
            if node.id != product:
                continue
        for link in node.get_item_links():
            item = _read(client, str(link.get_absolute_href()))
            if (item.get("collection") or node.id) == product:
                yield item
    require_collection(product, known, client.self_href)
