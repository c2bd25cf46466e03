"""The log of requests to the platform."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    """One request; `body` is its JSON body, times are time.monotonic(), `status` is None until a response is sent."""

    service: str
    method: str
    path: str
    body: Any
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    status: int | None = None
    fault: str | None = None


class Log:
    """Every request in order of arrival; safe to read while the platform serves."""

    def __init__(self) -> None:
        self._requests: list[Request] = []
        self._lock = threading.Lock()

    def add(self, request: Request) -> None:
        with self._lock:
            self._requests.append(request)

    def clear(self) -> None:
        with self._lock:
            self._requests.clear()

    def __iter__(self) -> Iterator[Request]:
        with self._lock:
            return iter(list(self._requests))

    def __len__(self) -> int:
        return len(self._requests)

    def of(self, service: str, path: str = "") -> list[Request]:
        """The requests to a service (catalog, raster, iam) whose path starts with `path`, such as `/images`."""
        return [request for request in self if request.service == service and request.path.startswith(path)]

    def max_concurrent(self, service: str) -> int:
        """The highest number of concurrent requests to a service."""
        requests = self.of(service)
        changes = [(request.started, 1) for request in requests]
        changes += [(request.ended, -1) for request in requests if request.ended is not None]
        most = now = 0
        for _, change in sorted(changes):
            now += change
            most = max(most, now)
        return most
