"""Faults of the platform: queued for certain requests, or injected at random."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from random import Random

from loopback.log import Request


@dataclass(frozen=True)
class Fault:
    """One fault of a response.

    kind       what happens
    status     the response has `status`, and the header Retry-After where `retry_after` is set
    reset      the connection is reset
    header     no byte arrives for `seconds`, then the connection closes
    body       the share `keep` of the body arrives, then nothing for `seconds`, then the connection closes
    truncated  the share `keep` of the body arrives, then the connection closes; `framing` length, close or chunked
    chunk      the raster's first chunk is an error
    slow       the response is right, `seconds` later
    """

    kind: str
    status: int = 0
    retry_after: str | None = None
    seconds: float = 0
    keep: float = 0.5
    framing: str = "length"

    @property
    def name(self) -> str:
        """The fault's name in the log."""
        after = "" if self.retry_after is None else " retry-after"
        return {"status": f"{self.status}{after}", "truncated": f"truncated {self.framing}"}.get(self.kind, self.kind)


_EVERY = [
    *(Fault("status", status) for status in (401, 403, 404, 429, 500, 503)),
    Fault("status", 429, retry_after="1"),
    Fault("reset"),
    Fault("header", seconds=600),
    Fault("body", seconds=600),
    *(Fault("truncated", framing=framing) for framing in ("length", "close", "chunked")),
    Fault("chunk"),
    Fault("slow", seconds=1),
]
FAULTS = {fault.name: fault for fault in _EVERY}
TRANSIENT = [name for name in FAULTS if name not in ("401", "403", "404")]  # those after which a retry may succeed


@dataclass
class _Queued:
    fault: Fault
    service: str | None
    when: Callable[[Request], bool]
    left: float


@dataclass(frozen=True)
class _Injection:
    seed: int
    rate: float
    faults: list[Fault]
    service: str | None
    most_in_a_row: int


class Faults:
    """Decides which request gets which fault."""

    def __init__(self) -> None:
        self._queue: list[_Queued] = []
        self._injections: list[_Injection] = []
        self._requests: Counter[str] = Counter()
        self._in_a_row: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(
        self,
        fault: Fault | str,
        service: str | None = None,
        when: Callable[[Request], bool] = lambda request: True,
        times: float = 1,
    ) -> None:
        """Queue a fault for the next `times` requests (math.inf: all) to a service that match `when`."""
        fault = FAULTS[fault] if isinstance(fault, str) else fault
        with self._lock:
            self._queue.append(_Queued(fault, service, when, times))

    def inject(
        self,
        seed: int,
        rate: float,
        faults: Iterable[Fault | str] = TRANSIENT,
        service: str | None = None,
        most_in_a_row: int = 1,
    ) -> None:
        """Inject one of the faults into a share of all requests.

        The choice depends on the seed, the request and how often it was made, not on the order in which different
        requests arrive. After `most_in_a_row` faults the same request succeeds.
        """
        choices = [FAULTS[fault] if isinstance(fault, str) else fault for fault in faults]
        with self._lock:
            self._injections.append(_Injection(seed, rate, choices, service, most_in_a_row))

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._queue.clear()
            self._injections.clear()

    def next_fault(self, request: Request) -> Fault | None:
        """The fault of a request, or None."""
        with self._lock:
            for queued in self._queue:
                if queued.left > 0 and queued.service in (None, request.service) and queued.when(request):
                    queued.left -= 1
                    return queued.fault
            return next(filter(None, (self._chance(injection, request) for injection in self._injections)), None)

    def _chance(self, injection: _Injection, request: Request) -> Fault | None:
        if injection.service not in (None, request.service):
            return None
        key = json.dumps([request.service, request.method, request.path, request.body], sort_keys=True)
        self._requests[key] += 1
        random = Random(f"{injection.seed} {self._requests[key]} {key}")
        if random.random() >= injection.rate or self._in_a_row[key] >= injection.most_in_a_row:
            self._in_a_row[key] = 0
            return None
        self._in_a_row[key] += 1
        return replace(random.choice(injection.faults), keep=random.uniform(0.02, 0.98))
