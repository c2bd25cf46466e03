"""HTTP sessions for the platform clients that send each request once, within a time limit."""

import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from segchips.scenes.platform_responses import BoundedResponse

T = TypeVar("T")

_CONNECT_TIMEOUT = 10.0


class Exchange(threading.local):
    """The request that this thread makes, and what the platform answered.

    Attributes:
        deadline: When the whole response has to be there, on the monotonic clock.
        timeout: Seconds without any byte after which the request fails.
        status: The HTTP status of the last response, or None where there was none.
        retry_after: The Retry-After header of the last response.
    """

    deadline: float
    timeout: float
    status: int | None = None
    retry_after: str | None = None


exchange = Exchange()


def retry_after_seconds() -> float | None:
    """Return the seconds until the time that the last response's Retry-After names, or None where it names none."""
    text = exchange.retry_after
    if text is None:
        return None
    try:
        wait = float(text) if text.strip().isdecimal() else parsedate_to_datetime(text).timestamp() - time.time()
        return max(0.0, wait)
    except ValueError:
        return None


def single_attempt(request: Callable[..., T], headers: dict[str, str] | None = None) -> T:
    """Send a request once: replaces the retries of the raster client, up to nine."""
    return request(headers=headers or {})


def with_session(session: Any, base: Any) -> Any:
    """Derive a service class of a client that uses this session class."""
    service: Any = type(base.__name__, (base,), {})
    service.set_default_session_class(session)
    return service


def single_attempt_session(base: Any) -> Any:
    """Derive a session class of a client that sends each request once and records the response in `exchange`."""

    class Session(base):
        def __init__(self, base_url: str = "", timeout: object = None, retries: object = None) -> None:
            super().__init__(base_url, timeout=timeout, retries=0)

        def request(self, *arguments: Any, **options: Any) -> Any:
            options["timeout"] = (min(_CONNECT_TIMEOUT, exchange.timeout), exchange.timeout)
            return super().request(*arguments, **options)

        def send(self, *arguments: Any, **options: Any) -> Any:
            response = super().send(*arguments, **options)
            exchange.status, exchange.retry_after = response.status_code, response.headers.get("Retry-After")
            if options.get("stream"):
                response.raw = BoundedResponse(response.raw, exchange.deadline)
            return response

    return Session
