"""Platform clients with one retry policy and a circuit breaker.

The clients for Descartes Labs and EarthOne offer the same API under two names.

The retry loop is written here, not with tenacity: Retry-After, seeded backoff, the deadline and the circuit breaker
would each be a callback, and only the five lines of the loop would go.
"""

import random
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

from segchips.errors import CredentialsError, InputError, SegchipsError, ServiceError, redact_library_message
from segchips.scenes.platform_sessions import exchange, retry_after_seconds, single_attempt_session, with_session

T = TypeVar("T")


@dataclass(frozen=True)
class PlatformClient:
    """The Python client of a platform.

    Attributes:
        title: The platform's name in messages.
        package: The client's package.
        login: The command that logs in.
        token: The environment variable of a token.
    """

    title: str
    package: str
    login: str
    token: str


CLIENTS = {
    "descarteslabs": PlatformClient(
        "Descartes Labs", "descarteslabs", "descarteslabs auth login", "DESCARTESLABS_TOKEN"
    ),
    "earthone": PlatformClient("EarthOne", "earthdaily.earthone", "earthone auth login", "EARTHONE_TOKEN"),
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
"""NumPy's names of the platforms' data types."""
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
_STALLS = 3
"""How many requests without any byte of a response fit in the patience."""
_PROGRAMMING_ERRORS = (TypeError, AttributeError, NameError, ImportError)


class PlatformService:
    """A platform's client in this process, with a limit on concurrent requests.

    After one timeout, further requests fail on their first error until the platform recovers. After a refused login,
    all further requests fail at once.

    Args:
        source: A key of `CLIENTS`.
        requests: How many requests may be under way in this process.

    Raises:
        InputError: The client cannot be imported or set up.
    """

    def __init__(self, source: str, requests: int) -> None:
        self.client = CLIENTS[source]
        self._slots, self._lock = _slots(requests), threading.Lock()
        self._denied: CredentialsError | None = None
        self._secrets: tuple[str | None, ...] = ()
        self._unresponsive = self._announced = False
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
        """Set up the client's services with sessions that try once."""
        auth: Any = self._module("auth").Auth
        service = self._module("core.client.services.service.service")
        session, json_session = map(single_attempt_session, (service.Session, service.JsonApiSession))

        class Auth(auth):
            def build_session(self) -> Any:
                return session(self.domain)

        self.auth = Auth()
        self.raster = with_session(session, self._module("core.client.services.raster").Raster)(auth=self.auth)
        self.records = with_session(json_session, self._module("core.catalog.catalog_client").CatalogClient)(
            auth=self.auth
        )

    def call(self, what: str, patience: float, request: Callable[[], T]) -> T:
        """Make a request, and repeat it after errors that may pass.

        Args:
            what: What the request does, for messages.
            patience: Seconds after which a request without success fails.
            request: Calls the client.

        Returns:
            What `request` returns.

        Raises:
            CredentialsError: The login is missing, expired or refused.
            ServiceError: The platform refuses the request, or did not answer within the patience.
        """
        with self._slots:
            start, attempt = time.monotonic(), 0
            while True:
                if self._denied:
                    raise self._denied
                try:
                    return self._attempt(patience, start + patience, request)
                except SegchipsError:
                    raise
                except Exception as error:
                    reason = self._classify_error(what, error)
                    wait = retry_after_seconds() or _backoff_seconds(what, attempt)
                    self._check_deadline(what, patience, start, wait, reason)
                attempt += 1
                time.sleep(wait)

    def _attempt(self, patience: float, deadline: float, request: Callable[[], T]) -> T:
        exchange.deadline, exchange.timeout = deadline, min(patience / _STALLS, deadline - time.monotonic())
        self._log_in()
        answer = request()
        self._reset_failures()
        return answer

    def _log_in(self) -> None:
        """Get a valid token; the status of the request for it counts as the platform's answer."""
        exchange.status = exchange.retry_after = None
        exceptions = self._module("exceptions")
        try:
            with self._lock:
                self._secrets = (self.auth.token, self.auth.client_secret, self.auth.refresh_token)
        except Exception as error:
            if isinstance(error, exceptions.AuthError) or exchange.status in (400, 401, 403, 404, 422):
                raise self._deny(f"nobody is logged in to {self.client.title}, or the login has expired") from None
            raise
        exchange.status = None

    def _deny(self, text: str) -> CredentialsError:
        """Return the error that ends this request and all further ones."""
        advice = f"run `{self.client.login}`, or set {self.client.token} to a valid token, and run again"
        self._denied = CredentialsError(f"{text}; {advice}")
        return self._denied

    def _reset_failures(self) -> None:
        self._unresponsive = self._announced = False

    def _classify_error(self, what: str, error: Exception) -> str:
        """Return why a request failed where repeating it may help.

        Raises:
            CredentialsError: The login is refused.
            ServiceError: The platform refuses the request for good.
            Exception: `error` itself where it is a mistake of this program.
        """
        status, name = exchange.status, self.client.title
        if status == 401:
            raise self._deny(f"{name} does not accept the login (401)") from None
        if status == 403 and exchange.retry_after is None:
            raise self._deny(f"{name}: {what}: permission denied (403 {self._brief(error)})") from None
        if status in (403, 429):
            return f"it limits the rate of requests ({status})"
        if status in (404, 410):
            self._reset_failures()
            raise ServiceError(f"{name}: {what}: not there ({status} {self._brief(error)})") from None
        if status is not None and 400 <= status < 500 and status not in (408, 425):
            self._reset_failures()
            raise ServiceError(f"{name}: {what}: refused ({status} {self._brief(error)})") from None
        if isinstance(error, _PROGRAMMING_ERRORS):
            raise error
        return f"{status} {self._brief(error)}" if status and status >= 500 else self._brief(error)

    def _check_deadline(self, what: str, patience: float, start: float, wait: float, reason: str) -> None:
        """Raise ServiceError where the wait exceeds the patience, or a request timed out and none succeeded since."""
        waited = time.monotonic() - start
        if waited + wait >= patience or self._unresponsive:
            self._unresponsive = True
            spent = f"waited {waited:.0f} s" if wait < patience else f"told to wait {wait:.0f} s"
            raise ServiceError(
                f"{self.client.title}: {what}: no answer ({reason}; {spent}, imagery.patience is {patience:g}); "
                "run again later"
            )
        if not self._announced:
            self._announced = True
            print(f"{self.client.title}: {reason}; trying again for up to {patience:g} s", file=sys.stderr)

    def _brief(self, error: Exception) -> str:
        """Describe an error in one line without secrets."""
        text = " ".join(f"{type(error).__name__}: {error}".split())
        for secret in self._secrets:
            text = text.replace(secret, "***") if secret else text
        return redact_library_message(text)[:300]


@cache
def _slots(requests: int) -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(requests)


services: dict[tuple[str, int], PlatformService] = {}
_services_lock = threading.Lock()


def get_service(source: str, requests: int) -> PlatformService:
    """Return this process's service of a platform, set up on first use."""
    with _services_lock:
        if (source, requests) not in services:
            services[source, requests] = PlatformService(source, requests)
        return services[source, requests]


def _backoff_seconds(what: str, attempt: int) -> float:
    """Seconds before the next attempt: they double, with jitter seeded by the request so that forked workers differ."""
    longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt)
    return random.Random(f"{what} {attempt}").uniform(longest / 2, longest)
