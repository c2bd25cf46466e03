"""Hosts that are asked: requests to one that is silent or busy hold up none to another."""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

Work = Callable[[], None]

_SHARE = 8
"""One of so many requests is kept for other hosts, and as many are under way to a host that is in trouble."""
_PAUSE = 30.0
"""Seconds in which a host that is silent and was given up is not asked again; to ask it costs as long."""


@dataclass
class _Host:
    waiting: deque[Work] = field(default_factory=deque)
    under_way: int = 0
    answered: float | None = None
    is_troubled: bool = False
    given_up: float | None = None
    silence: str | None = None


class Hosts:
    """Starts requests in threads, and knows which hosts answer.

    Args:
        requests: How many requests are under way at most.
    """

    def __init__(self, requests: int) -> None:
        self._requests, self._pool = requests, ThreadPoolExecutor(requests, "fetch")
        self._lock = threading.Lock()
        self._hosts: dict[str, _Host] = {}

    def submit(self, name: str, work: Work) -> None:
        """Call `work`, which makes one request to a host, in a thread, in turn with the requests to other hosts."""
        with self._lock:
            self._hosts.setdefault(name, _Host()).waiting.append(work)
        self._start()

    def has_answered(self, name: str) -> bool:
        """Return whether a host has ever answered a request."""
        with self._lock:
            return self._hosts[name].answered is not None

    def answered(self, name: str) -> None:
        """Record that a host has answered a request."""
        with self._lock:
            host = self._hosts[name]
            host.answered, host.is_troubled, host.given_up, host.silence = time.monotonic(), False, None, None

    def failed(self, name: str) -> None:
        """Record that a host is busy or silent."""
        with self._lock:
            self._hosts[name].is_troubled = True

    def give_up(self, name: str, since: float, silence: str | None) -> None:
        """Record that a request to a host has failed for as long as it may, unless the host answered others since.

        Args:
            name: The host.
            since: When the request was made first, in seconds of the monotonic clock.
            silence: What says that nothing came from the host; None where something came.
        """
        with self._lock:
            host = self._hosts[name]
            if host.answered is None or host.answered < since:
                host.given_up, host.silence = time.monotonic(), silence

    def is_given_up(self, name: str) -> bool:
        """Return whether a host was given up and has not answered since."""
        with self._lock:
            return self._hosts[name].given_up is not None

    def pause(self, name: str) -> str | None:
        """Return why a host is not to be asked now; None where it is."""
        with self._lock:
            host = self._hosts[name]
            return host.silence if host.given_up and time.monotonic() < host.given_up + _PAUSE else None

    def _start(self) -> None:
        """Start what may start, one request of each host after another."""
        started: list[tuple[_Host, Work]] = []
        with self._lock:
            free = self._requests - sum(host.under_way for host in self._hosts.values())
            ready = True
            while free and ready:
                ready = False
                for host in self._hosts.values():
                    if free and host.waiting and host.under_way < self._limit(host):
                        started.append((host, host.waiting.popleft()))
                        host.under_way += 1
                        free, ready = free - 1, True
        for host, work in started:
            self._pool.submit(self._run, host, work)

    def _limit(self, host: _Host) -> int:
        few = max(1, self._requests // _SHARE)
        if host.is_troubled:
            return few
        return self._requests if len(self._hosts) == 1 else max(1, self._requests - few)

    def _run(self, host: _Host, work: Work) -> None:
        try:
            work()
        finally:
            with self._lock:
                host.under_way -= 1
            self._start()
