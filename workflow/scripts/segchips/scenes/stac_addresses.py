"""Addresses in STAC: links of catalogues, and the files of assets."""

import os
from pathlib import Path
from urllib.parse import unquote, urljoin, urlparse
from urllib.request import url2pathname

from segchips.errors import InputError
from segchips.files import Json

ALTERNATE = "SEGCHIPS_STAC_ALTERNATE"
"""The environment variable that names the alternate address to take where an asset has it, such as `s3`."""
_OBJECTS = ("s3", "gs", "az", "abfs", "abfss")
_REMOTE = {"http", "https", *_OBJECTS}


def is_http(href: str) -> bool:
    """Return whether an address is an HTTP URL."""
    return urlparse(href).scheme in ("http", "https")


def is_remote(href: str) -> bool:
    """Return whether an address is a URL of a server or of an object store."""
    return urlparse(href).scheme in _REMOTE


def local_path(href: str) -> str:
    """Return the local path of a path or a file URL."""
    return url2pathname(urlparse(href).path) if urlparse(href).scheme == "file" else href


def resolve_link(base: str, href: str) -> str:
    """Return the address of a link, which may be relative to the file that it is in.

    Raises:
        InputError: A file that is not on this machine links to one that is.
    """
    if urlparse(href).scheme in _REMOTE:
        return href
    if not is_remote(base):
        return _existing(os.path.normpath(Path(local_path(base)).parent / local_path(href)))
    if urlparse(href).scheme == "file" or (os.path.isabs(href) and not is_http(base)):
        raise InputError(f"{base} links to '{href}'; remote catalogues must not link to local files")
    return _join(base, href)


def asset_address(item: Json, key: str, asset: Json, catalog: str) -> str:
    """Return the address to read an asset from: relative to the working folder where that of the catalogue is.

    Args:
        item: The item; `_base` is its own address, except in answers of an API.
        key: The asset's key.
        asset: The asset; of its alternate addresses, the one that the environment names is taken.
        catalog: The catalogue as the config names it.

    Raises:
        InputError: A remote catalogue points at a local file, or any catalogue at a GDAL virtual file system.
    """
    chosen = (asset.get("alternate") or {}).get(os.environ.get(ALTERNATE, ""), {})
    href = str(chosen.get("href") or asset["href"])
    base = item.get("_base") or catalog
    remote, scheme = is_remote(base), urlparse(href).scheme
    if remote and not scheme and not os.path.isabs(href):
        href = _join(_join(base, _self_link(item) or ""), href)
        scheme = urlparse(href).scheme
    if scheme in _REMOTE:
        return href.replace(" ", "%20") if is_http(href) else href
    local = _existing(os.path.normpath(Path(local_path(base)).parent / local_path(href)))
    is_local = scheme in ("", "file") and not local.startswith("/vsi")
    if remote or not is_local:
        rule = (
            "remote catalogues must not link to local files"
            if remote and is_local
            else f"an asset must be a file or an address of {', '.join(sorted(_REMOTE))}"
        )
        raise InputError(f"catalogue {catalog}: asset '{key}' of scene '{item['id']}' points at '{href}'; {rule}")
    return local if os.path.isabs(local_path(catalog)) else os.path.relpath(local)


def _join(base: str, href: str) -> str:
    """`urljoin`, which knows only schemes of the web, for those of object stores too."""
    scheme = urlparse(base).scheme
    if scheme not in _OBJECTS or urlparse(href).scheme:
        return urljoin(base, href)
    return scheme + urljoin(f"http{base.removeprefix(scheme)}", href).removeprefix("http")


def _existing(path: str) -> str:
    """The path itself, or without percent-encoding where only that file exists."""
    plain = unquote(path)
    return plain if plain != path and not os.path.exists(path) and os.path.exists(plain) else path


def _self_link(item: Json) -> str | None:
    return next((link["href"] for link in item.get("links", ()) if link.get("rel") == "self"), None)
