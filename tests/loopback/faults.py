"""What may go wrong with a request, in a queue or at random."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from random import Random

from loopback.log import Request


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    kind       what happens
    status     answered with `status`, and `retry_after` in its header where that is given
    reset      the connection is reset
    header     nothing comes for `seconds`, then the connection closes
    body       the share `keep` of the body comes, then nothing for `seconds`, then the connection closes
    truncated  the share `keep` of the body comes, then the connection closes; `framing` length, close or chunked
    chunk      an error stands in place of the raster's first chunk
    slow       all goes well, `seconds` later
    """

    kind: str
    status: int = 0
    retry_after: str | None = None
    seconds: float = 0
    keep: float = 0.5
    framing: str = "length"

    @property
    def name(self) -> str:
        """What the log says."""
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
PASSING = [name for name in FAULTS if name not in ("401", "403", "404")]  # those that a later try does not meet


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
    """Which request meets which fault."""

    def __init__(self) -> None:
        self._queue: list[_Queued] = []
        self._injections: list[_Injection] = []
        self._asked: Counter[str] = Counter()
        self._in_a_row: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(
        self,
        fault: Fault | str,
        service: str | None = None,
        when: Callable[[Request], bool] = lambda request: True,
        times: float = 1,
    ) -> None:
        """The next `times` requests (math.inf: all) to a service (catalog, raster, iam) that `when` takes meet it."""
        fault = FAULTS[fault] if isinstance(fault, str) else fault
        with self._lock:
            self._queue.append(_Queued(fault, service, when, times))

    def inject(
        self,
        seed: int,
        rate: float,
        faults: Iterable[Fault | str] = PASSING,
        service: str | None = None,
        most_in_a_row: int = 1,
    ) -> None:
        """A share of all requests meets one of the faults.

        Which does depends on the seed, on what is asked and on how often that was asked, not on the order in which
        different requests arrive; after `most_in_a_row` faults the same request goes well.
        """
        found = [FAULTS[fault] if isinstance(fault, str) else fault for fault in faults]
        with self._lock:
            self._injections.append(_Injection(seed, rate, found, service, most_in_a_row))

    def clear(self) -> None:
        """From now on all goes well."""
        with self._lock:
            self._queue.clear()
            self._injections.clear()

    def draw(self, request: Request) -> Fault | None:
        """The fault that a request meets."""
        with self._lock:
            for queued in self._queue:
                if queued.left > 0 and queued.service in (None, request.service) and queued.when(request):
                    queued.left -= 1
                    return queued.fault
            return next(filter(None, (self._chance(each, request) for each in self._injections)), None)

    def _chance(self, injection: _Injection, request: Request) -> Fault | None:
        if injection.service not in (None, request.service):
            return None
        asked = json.dumps([request.service, request.method, request.path, request.asked], sort_keys=True)
        self._asked[asked] += 1
        random = Random(f"{injection.seed} {self._asked[asked]} {asked}")
        if random.random() >= injection.rate or self._in_a_row[asked] >= injection.most_in_a_row:
            self._in_a_row[asked] = 0
            return None
        self._in_a_row[asked] += 1
        return replace(random.choice(injection.faults), keep=random.uniform(0.02, 0.98))
