"""What was asked of the platform, and when."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    """One request; `asked` is its JSON body, times are of time.monotonic(), `status` is None while none was sent."""

    service: str
    method: str
    path: str
    asked: Any
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    status: int | None = None
    fault: str | None = None


class Log:
    """Every request, in the order of arrival; safe to read while the platform serves."""

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
        """The requests to catalog, raster or iam, whose path starts as given, such as `/images`."""
        return [request for request in self if request.service == service and request.path.startswith(path)]

    def most_at_once(self, service: str) -> int:
        """How many requests to a service were under way at the same time, at most."""
        found = self.of(service)
        changes = [(request.started, 1) for request in found]
        changes += [(request.ended, -1) for request in found if request.ended is not None]
        most = now = 0
        for _, change in sorted(changes):
            now += change
            most = max(most, now)
        return most
