"""Reading STAC documents, local or remote: JSON, newline-delimited JSON and stac-geoparquet."""

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from pystac_client.stac_api_io import StacApiIO
from requests.adapters import HTTPAdapter

from segchips.files import Json
from segchips.scenes.stac_addresses import is_http, is_remote, local_path

HEADERS = "SEGCHIPS_STAC_HEADERS"
"""The environment variable with headers for the catalogue's server: `Name: value`, several in several lines."""
TIMEOUT = 60
_CONNECTIONS = 64
"""Connections to a server that stay open."""
_PARQUET = b"PAR1"


def read_document(href: str, host: str) -> Json:
    """Read a STAC document.

    Args:
        href: A path or URL. Newline-delimited JSON and stac-geoparquet are read as an ItemCollection.
        host: The catalogue's server; empty where it has none.

    Raises:
        Exception: The file cannot be read, or holds no JSON object; libraries raise errors of many kinds.
    """
    content = _read_bytes(href, host)
    if content.startswith(_PARQUET):
        return _read_geoparquet(content)
    try:
        document = json.loads(content)
    except ValueError:
        lines = [line for line in content.splitlines() if line.strip()]
        if len(lines) < 2 or not all(line.lstrip().startswith(b"{") for line in lines):
            raise
        document = {"type": "FeatureCollection", "features": [_read_line(line) for line in lines]}
    if not isinstance(document, dict):
        raise ValueError(f"it holds a JSON {type(document).__name__} in place of an object")
    return document


@cache
def session_for(host: str) -> StacApiIO:
    """Return the connection to a server that keeps its retries and open sockets.

    Args:
        host: The server; requests to others, which the catalogue may link to, get no headers of the environment.
    """
    connection = StacApiIO(timeout=TIMEOUT, request_modifier=header_adder(host), max_retries=None)
    for scheme in ("http://", "https://"):
        connection.session.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS, max_retries=5))
    return connection


def header_adder(host: str) -> Callable[[requests.Request], None]:
    """Return what adds the headers of the environment to requests to a server."""

    def add_headers(request: requests.Request) -> None:
        request.headers = {**(request.headers or {}), **private_headers(str(request.url), host)}

    return add_headers


def private_headers(url: str, host: str) -> dict[str, str]:
    """Return the headers of the environment for a request to the catalogue's own server."""
    lines = os.environ.get(HEADERS, "").splitlines() if urlsplit(url).netloc == host else []
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _read_line(line: bytes) -> Json:
    """One line of newline-delimited JSON; an item that cannot be read is left to be named by the search."""
    try:
        item: Json = json.loads(line)
    except ValueError:
        return {"id": line[:40].decode("utf-8", "replace")}
    return item


def _read_bytes(href: str, host: str) -> bytes:
    if is_http(href):
        answer = session_for(host).session.get(href, headers=private_headers(href, host), timeout=TIMEOUT)
        answer.raise_for_status()
        return answer.content
    if is_remote(href):
        return _read_object(href)
    return Path(local_path(href)).read_bytes()


def _read_object(href: str) -> bytes:
    """An object of a store, by the variables of the environment that GDAL reads the rasters with."""
    from pyarrow import fs

    if href.startswith("s3://"):
        files, path = _s3(dict(os.environ)), href.removeprefix("s3://")
    else:
        files, path = fs.FileSystem.from_uri(href)
    with files.open_input_stream(path) as stream:
        content: bytes = stream.read()
        return content


def _s3(environment: Mapping[str, str]) -> Any:
    from pyarrow import fs

    endpoint = environment.get("AWS_S3_ENDPOINT") or environment.get("AWS_ENDPOINT_URL")
    secure = environment.get("AWS_HTTPS", "YES").upper() not in ("NO", "FALSE", "OFF")
    scheme = "https" if secure else "http"
    if endpoint and "://" in endpoint:
        scheme, _, endpoint = endpoint.partition("://")
    options = {
        "endpoint_override": endpoint,
        "scheme": scheme,
        "region": environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION"),
        "anonymous": environment.get("AWS_NO_SIGN_REQUEST", "NO").upper() in ("YES", "TRUE", "ON"),
    }
    return fs.S3FileSystem(**{key: value for key, value in options.items() if value})


def _read_geoparquet(content: bytes) -> Json:
    import rustac

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "items.parquet"
        path.write_bytes(content)
        document: Json = rustac.read_sync(str(path))
        return document
