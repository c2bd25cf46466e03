"""STAC catalogues: an API, a tree of files, or items in one file or folder, behind one interface."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from pystac_client.warnings import PystacClientWarning

from segchips.errors import InputError, SegchipsError
from segchips.files import Json
from segchips.scenes.library_reasons import library_reason
from segchips.scenes.model import Scene
from segchips.scenes.stac_addresses import is_remote, local_path
from segchips.scenes.stac_api import StacApi, is_api
from segchips.scenes.stac_features import StacFeatures, lists_items
from segchips.scenes.stac_files import read_document
from segchips.scenes.stac_items import ItemError, scene_from_item
from segchips.scenes.stac_search import ItemSearch
from segchips.scenes.stac_tree import ItemList, StacTree

_REQUESTS = 32
_ADVICE = "; name a catalog.json, a file of items, or the URL of a STAC API"


class StacSource(Protocol):
    """A catalogue that has items of several products."""

    def products(self) -> list[str]:
        """Return the ids of all products, sorted."""

    def collection(self, product: str) -> Mapping[str, Any]:
        """Return the collection that a product is; empty where the catalogue has none for it."""

    def items(self, product: str, search: ItemSearch) -> Iterator[Json | ItemError]:
        """Return the items of a product, at least those that match; an item that cannot be read as the reason."""

    def applies(self, search: ItemSearch) -> bool:
        """Return whether `items` applies the filter of a search."""


@contextmanager
def catalogue_errors(problem: str, advice: str = "") -> Iterator[None]:
    """Turn any error into an InputError: a catalogue can hold anything, and libraries raise errors of all kinds."""
    try:
        yield
    except SegchipsError:
        raise
    except Exception as error:
        raise InputError(f"{problem} ({library_reason(error)}){advice}") from error


def open_catalog(href: str, requests: int = _REQUESTS) -> StacSource:
    """Open a catalogue.

    Args:
        href: The path or URL of an API's landing page, a Catalog, a Collection, an item, an ItemCollection,
            newline-delimited items or stac-geoparquet, or a local folder of any of these.
        requests: How many requests to its server are under way at most.

    Raises:
        InputError: The catalogue cannot be reached, or is not STAC.
    """
    with catalogue_errors(f"catalogue {href}: cannot be read as STAC", _ADVICE):
        if not is_remote(href):
            path = Path(local_path(href))
            if not path.exists():
                raise InputError(
                    f"catalogue {href}: no such file; imagery.catalog takes the path or URL of a STAC catalogue"
                )
            if path.is_dir():
                return _open_folder(path, requests)
        host = urlsplit(href).netloc
        return _source(href, read_document(href, host), host, requests)


def _source(href: str, document: Json, host: str, requests: int) -> StacSource:
    kind = document.get("type")
    if kind in ("Feature", "FeatureCollection"):
        items = document["features"] if kind == "FeatureCollection" else [document]
        if not any(isinstance(item, dict) and item.get("type") == "Feature" for item in items):
            raise ValueError("it has no items")
        return ItemList(href, [(href, items)], host)
    if "id" not in document or not isinstance(document.get("links"), list) or "stac_version" not in document:
        raise ValueError("it is neither a Catalog, a Collection, an item nor an ItemCollection")
    if is_remote(href) and is_api(document):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PystacClientWarning)
            return StacApi(href, host, requests)
    if is_remote(href) and lists_items(document):
        return StacFeatures(href, document, host)
    return StacTree(href, document, host, requests)


def _open_folder(folder: Path, requests: int) -> StacSource:
    """The catalogue of a folder, or all items in its files."""
    for name in ("catalog.json", "collection.json"):
        if (folder / name).exists():
            return _source(str(folder / name), read_document(str(folder / name), ""), "", requests)
    suffixes = (".json", ".geojson", ".ndjson", ".jsonl", ".parquet", ".geoparquet")
    files: list[tuple[str, list[Json]]] = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            document = read_document(str(path), "")
            kind = document.get("type")
            if kind in ("Feature", "FeatureCollection"):
                files.append((str(path), document["features"] if kind == "FeatureCollection" else [document]))
    if not files:
        raise InputError(
            f"catalogue {folder}: the folder has no catalog.json and no items in JSON or stac-geoparquet; "
            "make a catalogue of its rasters with: segchips catalog"
        )
    return ItemList(str(folder), files)


def find_scenes_by_id(scene: str, product: str, catalog: str) -> list[Scene]:
    """Return the scenes of that id as the catalogue lists them now, with signed URLs.

    Raises:
        InputError: The catalogue cannot be read.
    """
    with catalogue_errors(f"catalogue {catalog}: cannot be read"):
        source = _open_catalog_once(catalog)
        if isinstance(source, ItemList):
            source = open_catalog(catalog)
        collection = source.collection(product)
        items = [item for item in source.items(product, ItemSearch(ids=(scene,))) if not isinstance(item, ItemError)]
        return [scene_from_item(item, product, catalog, collection) for item in items if str(item.get("id")) == scene]


@cache
def _open_catalog_once(catalog: str) -> StacSource:
    return open_catalog(catalog)
