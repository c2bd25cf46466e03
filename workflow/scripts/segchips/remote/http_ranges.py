"""Requests for byte ranges of files on HTTP servers."""

import email.utils
import os
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from segchips.errors import RefusedError, SceneError, redact_library_message
from segchips.remote.byte_ranges import ByteRange

_CONNECT_SECONDS, _SILENCE_SECONDS = 20.0, 30.0
"""How long a connection may take, and how long a server may send nothing."""
_PASSING = {408, 425, 429, 500, 502, 503, 504}
"""Status codes of faults that pass."""
_ADVICE = {
    401: "log in, or name a token in GDAL_HTTP_HEADERS",
    403: "it needs credentials or a signature; see `imagery.sign`",
    404: "take its scene out of the catalogue, or resolve again",
    410: "take its scene out of the catalogue, or resolve again",
}
_local = threading.local()


@dataclass(frozen=True)
class RangeResponse:
    """Bytes of a file.

    Attributes:
        start: Where they begin in the file.
        content: The bytes.
        size: Bytes of the whole file.
        version: What the server calls this state of the file; empty where it says nothing.
    """

    start: int
    content: bytes
    size: int
    version: str


class PassingFaultError(Exception):
    """A request failed, and may succeed later.

    Attributes:
        wait: Seconds after which the server wants to be asked again; None where it does not say.
        is_silent: Whether nothing came from the server.
    """

    def __init__(self, reason: str, wait: float | None = None, is_silent: bool = False) -> None:
        super().__init__(reason)
        self.wait, self.is_silent = wait, is_silent


def request_range(url: str, name: str, wanted: ByteRange) -> RangeResponse:
    """Ask once for bytes of a file; a server without ranges sends the whole file.

    Args:
        url: The address to ask, which may be signed.
        name: The address for messages.
        wanted: The bytes; the range may end beyond the file.

    Raises:
        PassingFaultError: The server is busy, silent or out of reach, or its answer is cut off.
        RefusedError: The server refuses the file without a valid signature or credentials.
        SceneError: The server does not have the file, or cannot send parts of it.
    """
    start, stop = wanted
    headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
    try:
        response = _session().get(url, headers=headers, timeout=(_CONNECT_SECONDS, _SILENCE_SECONDS), stream=True)
        with response:
            if response.status_code in _PASSING:
                raise PassingFaultError(f"HTTP {response.status_code}", _retry_after(response))
            if response.status_code not in (200, 206):
                advice = _ADVICE.get(response.status_code, "ask who runs the server")
                kind = RefusedError if response.status_code in (401, 403) else SceneError
                raise kind(f"{name}: cannot be read (HTTP {response.status_code}); {advice}")
            content = response.raw.read(decode_content=False)
    except (requests.RequestException, HTTPError, OSError) as error:
        is_silent = isinstance(error, requests.ConnectionError | requests.Timeout)
        raise PassingFaultError(_short_reason(error), is_silent=is_silent) from error
    return _checked(response, name, start, content)


def _checked(response: requests.Response, name: str, start: int, content: bytes) -> RangeResponse:
    version = response.headers.get("Last-Modified") or response.headers.get("ETag", "")
    if response.status_code == 200:
        return RangeResponse(0, content, len(content), version)
    try:
        unit, _, rest = response.headers["Content-Range"].partition(" ")
        place, _, total = rest.partition("/")
        first, _, last = place.partition("-")
        told, length, size = int(first), int(last) - int(first) + 1, int(total)
    except (KeyError, ValueError) as error:
        raise SceneError(f"{name}: cannot be read (its server answers ranges wrongly); copy the file") from error
    if unit != "bytes" or told != start or length != len(content):
        raise PassingFaultError(f"the answer has {len(content)} bytes where {length} were told")
    return RangeResponse(start, content, size, version)


def _session() -> requests.Session:
    """The session of this thread, which keeps connections open."""
    session: requests.Session | None = getattr(_local, "session", None)
    if session is None:
        session = _local.session = requests.Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(pool_connections=4, pool_maxsize=1))
        _apply_gdal_settings(session)
    return session


def _apply_gdal_settings(session: requests.Session) -> None:
    """Take from the environment what GDAL takes; other proxies and certificates `requests` finds there by itself."""
    settings = {
        name.removeprefix("GDAL_HTTP_"): value for name, value in os.environ.items() if name.startswith("GDAL_HTTP")
    }
    for line in settings.get("HEADERS", "").replace("\\r\\n", "\n").splitlines():
        key, _, value = line.partition(":")
        session.headers[key.strip()] = value.strip()
    if token := settings.get("BEARER"):
        session.headers["Authorization"] = f"Bearer {token}"
    if "USERPWD" in settings:
        user, _, password = settings["USERPWD"].partition(":")
        session.auth = user, password
    proxy = settings.get("PROXY")
    session.proxies = {"http": proxy, "https": settings.get("GDAL_HTTPS_PROXY", proxy)} if proxy else {}
    session.verify = settings.get("UNSAFESSL", "").upper() not in ("YES", "TRUE", "ON")


def _retry_after(response: requests.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, (email.utils.parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _short_reason(error: Exception) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    cause = error.__cause__ or error
    return redact_library_message(f"{type(cause).__name__}: {cause}" if isinstance(cause, OSError) else str(error))


def backoff(attempt: int) -> float:
    """Seconds to wait after the failure number `attempt`, from 1; some more or less, so that not all return at once."""
    return min(30.0, 0.5 * 2 ** (attempt - 1)) * (0.75 + 0.5 * (time.monotonic_ns() % 1000) / 1000)
