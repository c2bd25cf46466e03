"""One thread of a process computes at a time; those that wait for the network let another one go on.

So a process has the memory of one job at work, and GDAL's block cache of one handle a file, however many jobs wait.
The next turn is that of a job that has not yet asked for anything, so that the network always has work, and else that
of the job that began first: jobs begin near each other, and find the blocks of the one before still decoded.
"""

import heapq
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

_Place = tuple[bool, int]
"""Whether the job has waited for the network, and its number in the order of beginnings."""


class _Turn:
    """A lock that goes to the waiting thread with the lowest place."""

    def __init__(self) -> None:
        self._lock, self._is_taken = threading.Lock(), False
        self._waiting: list[tuple[_Place, threading.Lock]] = []

    def take(self, place: _Place) -> None:
        """Wait for the turn."""
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return
            mine = threading.Lock()
            mine.acquire()
            heapq.heappush(self._waiting, (place, mine))
        mine.acquire()  # which the thread before releases

    def give(self) -> None:
        """Give the turn to the next thread."""
        with self._lock:
            if self._waiting:
                heapq.heappop(self._waiting)[1].release()
            else:
                self._is_taken = False


_turn, _numbers = _Turn(), count()
_local = threading.local()


@contextmanager
def computing() -> Iterator[None]:
    """Compute while the block runs, once no other thread does."""
    _local.number = next(_numbers)
    _turn.take((False, _local.number))
    try:
        yield
    finally:
        _local.number = None
        _turn.give()


@contextmanager
def waiting() -> Iterator[None]:
    """Let other threads compute while the block runs, if this one does."""
    if (number := getattr(_local, "number", None)) is None:
        yield
        return
    _turn.give()
    try:
        yield
    finally:
        _turn.take((True, number))
