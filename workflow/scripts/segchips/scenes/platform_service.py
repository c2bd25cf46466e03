"""The client of a platform, held to one try a request, so that waiting and trying again are decided here.

The clients for Descartes Labs and EarthOne offer the same API under two names.
"""

import random
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

from segchips.errors import CredentialsError, InputError, SegchipsError, ServiceError
from segchips.scenes.platform_responses import BoundedResponse

T = TypeVar("T")


@dataclass(frozen=True)
class Client:
    """How a platform is called, what its client's package is, what logs in, and what the variable of a token is."""

    title: str
    package: str
    login: str
    token: str


CLIENTS = {
    "descarteslabs": Client("Descartes Labs", "descarteslabs", "descarteslabs auth login", "DESCARTESLABS_TOKEN"),
    "earthone": Client("EarthOne", "earthdaily.earthone", "earthone auth login", "EARTHONE_TOKEN"),
}
DTYPES = {
    "Byte": "uint8",
    "UInt16": "uint16",
    "Int16": "int16",
    "UInt32": "uint32",
    "Int32": "int32",
    "Float32": "float32",
    "Float64": "float64",
}
"""The platforms' names of data types."""
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
_CONNECT_TIMEOUT = 10.0
_TRIES = 3
"""A request without any answer is sent again when this part of the patience is over."""
_MISTAKES = (TypeError, AttributeError, NameError, ImportError)
_local = threading.local()


class Service:
    """A platform as this process meets it, with at most so many requests under way; InputError without its client."""

    def __init__(self, source: str, requests: int) -> None:
        self.client = CLIENTS[source]
        self._slots, self._lock = _slots(requests), threading.Lock()
        self._refused: CredentialsError | None = None
        self._secrets: tuple[str | None, ...] = ()
        self._lost = self._told = False
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.catalog, self.scaling = self._module("catalog"), self._module("core.catalog.scaling")
                self._connect()
        except Exception as error:
            raise InputError(f"{self.client.title}: its client cannot be used ({self._brief(error)})") from error

    def _module(self, name: str) -> Any:
        return import_module(f"{self.client.package}.{name}")

    def _connect(self) -> None:
        """Set up what talks to the platform; each of its sessions tries once and notes what it was told."""
        base: Any = self._module("auth").Auth
        service = self._module("core.client.services.service.service")
        session, json_session = (
            _single_attempt_session(service.Session),
            _single_attempt_session(service.JsonApiSession),
        )

        class Auth(base):
            def build_session(self) -> Any:
                return session(self.domain)

        self.auth = Auth()
        self.raster = _with(session, self._module("core.client.services.raster").Raster)(auth=self.auth)
        self.records = _with(json_session, self._module("core.catalog.catalog_client").CatalogClient)(auth=self.auth)

    def ask(self, what: str, patience: float, request: Callable[[], T]) -> T:
        """What the request gives, tried again while that may help and the patience lasts.

        CredentialsError where nobody is logged in; ServiceError, which says `what`, where the request is refused, or
        the platform has given no answer for so many seconds.
        """
        with self._slots:
            return self._ask(what, patience, request)

    def _ask(self, what: str, patience: float, request: Callable[[], T]) -> T:
        start, attempt = time.monotonic(), 0
        while True:
            if self._refused:
                raise self._refused
            left = patience - (time.monotonic() - start)
            _local.deadline, _local.timeout = time.monotonic() + left, min(patience / _TRIES, left)
            try:
                self._log_in()
                answer = request()
                self._hear()
                return answer
            except SegchipsError:
                raise
            except Exception as error:
                reason = self._trouble(what, error)
                wait = _retry_after_seconds() or _backoff_seconds(what, attempt)
                self._bear(what, patience, start, wait, reason)
            attempt += 1
            time.sleep(wait)

    def _log_in(self) -> None:
        """Have a valid token; the status of the request that got it counts as the platform's answer."""
        _local.status = _local.told = None
        exceptions = self._module("exceptions")
        try:
            with self._lock:
                self._secrets = (self.auth.token, self.auth.client_secret, self.auth.refresh_token)
        except Exception as error:
            if isinstance(error, exceptions.AuthError) or _local.status in (400, 401, 403, 404, 422):
                raise self._refuse(f"nobody is logged in to {self.client.title}, or the login has expired") from None
            raise
        _local.status = None

    def _refuse(self, text: str) -> CredentialsError:
        """The end of all requests of this process."""
        advice = f"run `{self.client.login}`, or set {self.client.token} to a valid token, and run again"
        self._refused = CredentialsError(f"{text}; {advice}")
        return self._refused

    def _hear(self) -> None:
        self._lost = self._told = False

    def _trouble(self, what: str, error: Exception) -> str:
        """What kept the request from being answered, where trying again may help; else what is final is raised."""
        status, name = _local.status, self.client.title
        if status == 401:
            raise self._refuse(f"{name} does not accept the login (401)") from None
        if status == 403 and _local.told is None:
            raise self._refuse(f"{name}: {what}: the account may not (403 {self._brief(error)})") from None
        if status in (403, 429):
            return f"it limits the rate of requests ({status})"
        if status in (404, 410):
            self._hear()
            raise ServiceError(f"{name}: {what}: not there ({status} {self._brief(error)})") from None
        if status is not None and 400 <= status < 500 and status not in (408, 425):
            self._hear()
            raise ServiceError(f"{name}: {what}: refused ({status} {self._brief(error)})") from None
        if isinstance(error, _MISTAKES):
            raise error
        return f"{status} {self._brief(error)}" if status and status >= 500 else self._brief(error)

    def _bear(self, what: str, patience: float, start: float, wait: float, reason: str) -> None:
        """ServiceError where another try exceeds the patience, or others lost theirs and nobody was answered since."""
        waited = time.monotonic() - start
        if waited + wait >= patience or self._lost:
            self._lost = True
            spent = f"waited {waited:.0f} s" if wait < patience else f"told to wait {wait:.0f} s"
            raise ServiceError(
                f"{self.client.title}: {what}: no answer ({reason}; {spent}, imagery.patience is {patience:g}); "
                "run again later"
            )
        if not self._told:
            self._told = True
            print(f"{self.client.title}: {reason}; trying again for up to {patience:g} s", file=sys.stderr)

    def _brief(self, error: Exception) -> str:
        """An error as one line without secrets."""
        text = re.sub(r"\s+", " ", f"{type(error).__name__}: {error}")
        for secret in self._secrets:
            text = text.replace(secret, "***") if secret else text
        return re.sub(r"\?\S*", "", text)[:300]


_building = threading.Lock()


@cache
def _slots(requests: int) -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(requests)


def service(source: str, requests: int) -> Service:
    """The process's one service of a platform."""
    with _building:
        return _service(source, requests)


_service = cache(Service)


def single_attempt(request: Callable[..., T], headers: dict[str, str] | None = None) -> T:
    """In place of the raster client's own tries, of which there are up to nine."""
    return request(headers=headers or {})


def _with(session: Any, base: Any) -> Any:
    """A service class of the client that talks through such sessions."""
    service: Any = type(base.__name__, (base,), {})
    service.set_default_session_class(session)
    return service


def _single_attempt_session(base: Any) -> Any:
    """A session class of the client that sends each request once, bounded in time."""

    class Session(base):
        def __init__(self, base_url: str = "", timeout: object = None, retries: object = None) -> None:
            super().__init__(base_url, timeout=timeout, retries=0)

        def request(self, *arguments: Any, **options: Any) -> Any:
            options["timeout"] = (min(_CONNECT_TIMEOUT, _local.timeout), _local.timeout)
            return super().request(*arguments, **options)

        def send(self, *arguments: Any, **options: Any) -> Any:
            response = super().send(*arguments, **options)
            _local.status, _local.told = response.status_code, response.headers.get("Retry-After")
            if options.get("stream"):
                response.raw = BoundedResponse(response.raw, _local.deadline)
            return response

    return Session


def _retry_after_seconds() -> float | None:
    """The seconds that the last answer's Retry-After says, which may be a date."""
    told = _local.told
    if told is None:
        return None
    try:
        wait = float(told) if told.strip().isdecimal() else parsedate_to_datetime(told).timestamp() - time.time()
        return max(0.0, wait)
    except ValueError:
        return None


def _backoff_seconds(what: str, attempt: int) -> float:
    """Seconds before the next try: doubling, spread by a seed of its own so that not all come back at once."""
    longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt)
    return random.Random(f"{what} {attempt}").uniform(longest / 2, longest)
