"""Reads of many documents on a network, several at the same time, in the order in which they are wanted."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
Wanted = TypeVar("Wanted")


class ReadAhead:
    """Reads with a limit on how many are under way.

    Args:
        requests: How many reads are under way at most.
    """

    def __init__(self, requests: int) -> None:
        self._pool = ThreadPoolExecutor(requests)
        self.reach = 2 * requests
        """How many reads are started before the first is needed, so that a slow one holds up no other."""

    def start(self, read: Callable[[Wanted], T], wanted: Wanted) -> "Future[T]":
        """Start a read, once fewer than `requests` are under way."""
        return self._pool.submit(read, wanted)

    def in_order(self, read: Callable[[Wanted], T], wanted: Iterable[Wanted]) -> Iterator[T]:
        """Yield what is read, in the order of `wanted`, of which a few are taken ahead."""
        started: deque[Future[T]] = deque()
        try:
            for each in wanted:
                started.append(self.start(read, each))
                if len(started) >= self.reach:
                    yield started.popleft().result()
            while started:
                yield started.popleft().result()
        finally:
            for future in started:
                future.cancel()
