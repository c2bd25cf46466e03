"""Fetches parts of remote files into local copies, no part twice, and bounds the requests that are under way."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from segchips.errors import SceneError, ServiceError
from segchips.files import storage_errors
from segchips.remote.byte_ranges import ByteRange, ByteRanges, merge_ranges
from segchips.remote.header_file import HeaderFile
from segchips.remote.hosts import Hosts
from segchips.remote.http_ranges import PassingFaultError, RangeResponse, backoff, request_range
from segchips.remote.tiff_layout import TiffLayout, read_tiff_layout

T = TypeVar("T")

FIRST_BYTES = 32 * 1024
"""Bytes of the first request for a file, which hold the header of most Cloud-Optimized GeoTIFFs."""
_PAGE = 8192
"""Bytes that a reader may keep from around what it has read: it must not keep any that come later."""
_GAP = 4096
"""Bytes that are read for nothing where that saves a request."""
_LONGEST = 8 * 1024**2
"""Bytes of one request."""
_LONGEST_JOINED = 2 * 1024**2
"""Bytes of one request for parts that were asked for one by one: more would keep other requests from starting."""
_FIRST_ATTEMPTS = 3
"""Attempts to reach a host that has never answered, whose name may be wrong."""
_MOST_HEADER = 32 * 1024**2
"""Bytes outside blocks from which on a file is left to GDAL."""


@dataclass(frozen=True)
class Address:
    """A remote file.

    Attributes:
        name: Its address without a signature.
        url: The address to read it from.
        patience: Seconds that a part of it may take in total, including waits and retries.
    """

    name: str
    url: str
    patience: float = 300

    @property
    def host(self) -> str:
        """The host, with its port."""
        return urlsplit(self.url).netloc


@dataclass(frozen=True)
class LocalCopy:
    """What there is of a remote file on this machine.

    Attributes:
        path: A file of the remote file's size; bytes that were not fetched are zeros.
        shapes: Rows and columns of its images, the full resolution first; none where it is not a TIFF file that can be
            read in parts.
    """

    path: Path
    shapes: Sequence[tuple[int, int]]


@dataclass(eq=False)
class _Part:
    """A part of a file that is not there yet, and whether its request is under way."""

    range: ByteRange
    done: "Future[None]" = field(default_factory=Future)
    is_started: bool = False


@dataclass
class Copy:
    """A local copy, with what is there of it and what was asked for."""

    path: Path
    size: int
    version: str
    layout: TiffLayout | None = None
    present: ByteRanges = field(default_factory=ByteRanges)
    pending: list[_Part] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    received: int = 0


@dataclass(frozen=True)
class Traffic:
    """What was fetched since the start.

    Attributes:
        requests: Requests that were answered.
        received: Bytes of their answers.
        under_way: Requests that wait for an answer.
        waited: Seconds that all requests together have waited so far.
        busy: Seconds in which any request was under way.
    """

    requests: int = 0
    received: int = 0
    under_way: int = 0
    waited: float = 0.0
    busy: float = 0.0


class Fetcher:
    """Fetches parts of remote files for all threads, and all processes that are connected.

    Args:
        folder: Where the copies are.
        requests: How many requests are under way at most.
        limit: Bytes of copies from which on those that nobody uses are removed.
    """

    def __init__(self, folder: Path, requests: int, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._hosts = Hosts(requests)
        self._lock = threading.Lock()
        self._copies: dict[str, Future[tuple[Copy, LocalCopy]]] = {}
        self._users: Counter[str] = Counter()
        self._last_used: dict[str, float] = {}
        self._held = 0
        self._serial = count(1)
        self._traffic, self._counted = Traffic(), time.monotonic()

    def open(self, address: Address) -> "Future[tuple[Copy, LocalCopy]]":
        """Return the copy of a remote file with its header, once it is there; one that failed is tried again.

        SceneError where the file cannot be read; the message names it.
        """
        with self._lock:
            future = self._copies.get(address.name)
            if future and (not future.done() or _has_result(future)):
                return future
            future = self._copies[address.name] = Future()
            path = self._folder / f"{next(self._serial)}.tif"
        # Not a thread of the pool: it waits for some of these.
        threading.Thread(target=_resolve, args=(future, lambda: self._open(address, path)), daemon=True).start()
        return future

    def fetch(self, address: Address, copy: Copy, ranges: Iterable[ByteRange]) -> "list[Future[None]]":
        """Start the requests for parts of a file that are neither there nor under way.

        Returns:
            What to wait for until all parts are in the copy; SceneError where one cannot be read, which names the file.
        """
        waited: list[Future[None]] = []
        with copy.lock:
            absent: list[ByteRange] = []
            for start, stop in ranges:
                for missing in copy.present.missing(_with_pages((start, stop), copy.size)):
                    rest = ByteRanges()
                    for asked in copy.pending:
                        if asked.range[0] < missing[1] and missing[0] < asked.range[1]:
                            rest.add(asked.range)
                            waited.append(asked.done)
                    absent += rest.missing(missing)
            parts = [_Part(merged) for merged in merge_ranges(absent, _GAP, _LONGEST)]
            copy.pending += parts
        for part in parts:
            self._hosts.submit(address.host, partial(self._request_part, address, copy, part))
        return [*waited, *(part.done for part in parts)]

    def use(self, name: str, change: int) -> None:
        """Count one that uses a copy, or one less; copies in use are not removed."""
        with self._lock:
            self._users[name] += change
            self._last_used[name] = time.monotonic()

    def _remove_unused(self) -> None:
        """Remove the copies that were unused for the longest time, while all together are too large."""
        with self._lock:
            if self._held <= self._limit:
                return
            ready = {name: future.result()[0] for name, future in self._copies.items() if _has_result(future)}
            for name, copy in sorted(ready.items(), key=lambda item: self._last_used[item[0]]):
                if self._held > self._limit and not self._users[name] and not copy.pending:
                    self._held -= copy.received
                    del self._copies[name]
                    os.truncate(copy.path, 0)  # a reader may have it open still, but asks for a new copy next
                    copy.path.unlink()

    def _open(self, address: Address, path: Path) -> tuple[Copy, LocalCopy]:
        first: Future[RangeResponse] = Future()
        self._hosts.submit(address.host, partial(self._ask, address, (0, FIRST_BYTES), first))
        response = first.result()
        copy = Copy(path, response.size, response.version)
        with storage_errors(path, path), path.open("wb") as file:
            file.truncate(response.size)
        self._write(copy, response)
        if response.content[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return copy, LocalCopy(path, ())
        try:
            with HeaderFile(path, copy.size, lambda part: self._fetch_header(address, copy, part)) as stream:
                layout = read_tiff_layout(stream, copy.size)
        except ValueError as error:
            raise SceneError(f"{address.name}: cannot be read ({error}); copy it whole, or repair it") from error
        if sum(stop - start for start, stop in layout.header) > _MOST_HEADER:
            return copy, LocalCopy(path, ())
        for future in self.fetch(address, copy, layout.header):
            future.result()
        copy.layout = layout
        return copy, LocalCopy(path, layout.shapes)

    def _fetch_header(self, address: Address, copy: Copy, part: ByteRange) -> None:
        start, stop = part
        if copy.present.missing(part):
            whole = start - start % FIRST_BYTES, -(-stop // FIRST_BYTES) * FIRST_BYTES
            for future in self.fetch(address, copy, [whole]):
                future.result()

    def _request_part(self, address: Address, copy: Copy, part: _Part) -> None:
        """Request a part, with its neighbours that wait for their turn, unless it came with one of them."""
        with copy.lock:
            if part.is_started:
                return
            joined = _neighbours(part, copy.pending)
            for each in joined:
                each.is_started = True
        answer: Future[RangeResponse] = Future()

        def finish(answered: "Future[RangeResponse]") -> None:
            def store() -> None:
                try:
                    self._store(address, copy, answered.result())
                finally:
                    with copy.lock:
                        for each in joined:
                            copy.pending.remove(each)

            stored: Future[None] = Future()
            _resolve(stored, store)
            for each in joined:
                _resolve(each.done, stored.result)

        answer.add_done_callback(finish)
        self._ask(address, (joined[0].range[0], joined[-1].range[1]), answer)

    def _store(self, address: Address, copy: Copy, response: RangeResponse) -> None:
        if (response.size, response.version) != (copy.size, copy.version):
            raise SceneError(f"{address.name}: changed while it was read; run again")
        self._write(copy, response)
        self._remove_unused()

    def _write(self, copy: Copy, response: RangeResponse) -> None:
        with storage_errors(copy.path, copy.path), copy.path.open("r+b") as file:
            os.pwrite(file.fileno(), response.content, response.start)
        with copy.lock:
            copy.present.add((response.start, response.start + len(response.content)))
            copy.received += len(response.content)
        with self._lock:
            self._held += len(response.content)

    def _ask(
        self,
        address: Address,
        part: ByteRange,
        answer: "Future[RangeResponse]",
        attempt: int = 1,
        begun: float | None = None,
    ) -> None:
        """Ask for a part, and again later where a fault may pass; no thread waits between two attempts."""
        host, since = address.host, begun or time.monotonic()
        if silence := self._hosts.pause(host):
            answer.set_exception(_given_up(address, silence, attempt - 1))
            return
        self._count(started=1)
        try:
            response = request_range(address.url, address.name, part)
        except PassingFaultError as fault:
            self._hosts.failed(host)
            wait = backoff(attempt) if fault.wait is None else fault.wait
            is_last = time.monotonic() + wait > since + address.patience or self._hosts.is_given_up(host)
            if is_last or (attempt == _FIRST_ATTEMPTS and fault.is_silent and not self._hosts.has_answered(host)):
                self._hosts.give_up(host, since, str(fault) if fault.is_silent else None)
                answer.set_exception(_given_up(address, str(fault), attempt))
                return
            again = partial(self._ask, address, part, answer, attempt + 1, since)
            timer = threading.Timer(wait, self._hosts.submit, (host, again))
            timer.daemon = True
            timer.start()
        except BaseException as error:
            self._hosts.answered(host)
            answer.set_exception(error)
        else:
            self._hosts.answered(host)
            self._count(answered=1, received=len(response.content))
            answer.set_result(response)
        finally:
            self._count(started=-1)

    def traffic(self) -> Traffic:
        """Return what was fetched so far."""
        return self._count()

    def _count(self, started: int = 0, answered: int = 0, received: int = 0) -> Traffic:
        with self._lock:
            now, so_far = time.monotonic(), self._traffic
            self._traffic = Traffic(
                so_far.requests + answered,
                so_far.received + received,
                so_far.under_way + started,
                so_far.waited + so_far.under_way * (now - self._counted),
                so_far.busy + bool(so_far.under_way) * (now - self._counted),
            )
            self._counted = now
            return self._traffic


def _given_up(address: Address, fault: str, attempts: int) -> ServiceError:
    made = f", {attempts} attempts" if attempts else ""
    advice = "try again later, or raise `imagery.patience`"
    return ServiceError(f"{address.name}: cannot be read ({fault}{made}); {advice}")


def _neighbours(part: _Part, pending: Iterable[_Part]) -> list[_Part]:
    """A part with those around it that are not under way, in order, as far as one request is to reach."""
    waiting = sorted((each for each in pending if not each.is_started), key=lambda each: each.range)
    first = last = waiting.index(part)

    def can_join(start: int, before: int, after: int, stop: int) -> bool:
        gap = waiting[after].range[0] - waiting[before].range[1]
        return gap <= _GAP and waiting[stop].range[1] - waiting[start].range[0] <= _LONGEST_JOINED

    while last + 1 < len(waiting) and can_join(first, last, last + 1, last + 1):
        last += 1
    while first and can_join(first - 1, first - 1, first, last):
        first -= 1
    return waiting[first : last + 1]


def _with_pages(part: ByteRange, size: int) -> ByteRange:
    """The whole pages around a part of a file of `size` bytes, and one more behind it."""
    return part[0] // _PAGE * _PAGE, min(size, (part[1] // _PAGE + 2) * _PAGE)


def _has_result(future: "Future[Any]") -> bool:
    return future.done() and not future.exception()


def _resolve(future: "Future[T]", work: Callable[[], T]) -> None:
    """Give a future the result of some work, or its exception."""
    try:
        result = work()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
