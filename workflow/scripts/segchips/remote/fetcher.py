"""Fetches parts of remote files into local copies, no part twice, and bounds the requests that are under way."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from segchips.errors import RefusedError, SceneError, SegchipsError, ServiceError
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


@dataclass(frozen=True)
class LocalCopy:
    """What there is of a remote file on this machine.

    Attributes:
        path: A file of the remote file's size; bytes that were not fetched are zeros.
        layout: Where its blocks lie; None where it is not a TIFF file that can be read in parts.
    """

    path: Path
    layout: TiffLayout | None


@dataclass
class _Copy:
    path: Path
    size: int
    version: str
    present: ByteRanges = field(default_factory=ByteRanges)
    pending: list[tuple[ByteRange, "Future[None]"]] = field(default_factory=list)
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
    """

    requests: int = 0
    received: int = 0
    under_way: int = 0
    waited: float = 0.0


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
        self._copies: dict[str, Future[tuple[_Copy, LocalCopy]]] = {}
        self._users: Counter[str] = Counter()
        self._last_used: dict[str, float] = {}
        self._held = 0
        self._serial = count(1)
        self._traffic, self._counted = Traffic(), time.monotonic()

    def open(self, address: Address) -> "Future[tuple[_Copy, LocalCopy]]":
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

    def fetch(self, address: Address, copy: _Copy, ranges: Iterable[ByteRange]) -> "list[Future[None]]":
        """Start the requests for parts of a file that are neither there nor under way.

        Returns:
            What to wait for until all parts are in the copy; SceneError where one cannot be read, which names the file.
        """
        waited: list[Future[None]] = []
        with copy.lock:
            absent: list[ByteRange] = []
            for start, stop in ranges:
                for part in copy.present.missing(_with_pages((start, stop), copy.size)):
                    rest = ByteRanges()
                    for asked, future in copy.pending:
                        if asked[0] < part[1] and part[0] < asked[1]:
                            rest.add(asked)
                            waited.append(future)
                    absent += rest.missing(part)
            for part in merge_ranges(absent, _GAP, _LONGEST):
                done: Future[None] = Future()
                copy.pending.append((part, done))
                waited.append(done)
                self._request_part(address, copy, part, done)
        return waited

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

    def _open(self, address: Address, path: Path) -> tuple[_Copy, LocalCopy]:
        first: Future[RangeResponse] = Future()
        self._request(address, (0, FIRST_BYTES), first)
        response = first.result()
        copy = _Copy(path, response.size, response.version)
        with storage_errors(path, path), path.open("wb") as file:
            file.truncate(response.size)
        self._write(copy, response)
        if response.content[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return copy, LocalCopy(path, None)
        try:
            with HeaderFile(path, copy.size, lambda part: self._fetch_header(address, copy, part)) as stream:
                layout = read_tiff_layout(stream, copy.size)
        except ValueError as error:
            raise SceneError(f"{address.name}: cannot be read ({error}); copy it whole, or repair it") from error
        if sum(stop - start for start, stop in layout.header) > _MOST_HEADER:
            return copy, LocalCopy(path, None)
        for future in self.fetch(address, copy, layout.header):
            future.result()
        return copy, LocalCopy(path, layout)

    def _fetch_header(self, address: Address, copy: _Copy, part: ByteRange) -> None:
        start, stop = part
        if copy.present.missing(part):
            whole = start - start % FIRST_BYTES, -(-stop // FIRST_BYTES) * FIRST_BYTES
            for future in self.fetch(address, copy, [whole]):
                future.result()

    def _request_part(self, address: Address, copy: _Copy, part: ByteRange, done: "Future[None]") -> None:
        answer: Future[RangeResponse] = Future()

        def finish(answer: "Future[RangeResponse]") -> None:
            def store() -> None:
                try:
                    self._store(address, copy, answer.result())
                finally:
                    with copy.lock:
                        copy.pending.remove((part, done))

            _resolve(done, store)

        answer.add_done_callback(finish)
        self._request(address, part, answer)

    def _store(self, address: Address, copy: _Copy, response: RangeResponse) -> None:
        if (response.size, response.version) != (copy.size, copy.version):
            raise SceneError(f"{address.name}: changed while it was read; run again")
        self._write(copy, response)
        self._remove_unused()

    def _write(self, copy: _Copy, response: RangeResponse) -> None:
        with storage_errors(copy.path, copy.path), copy.path.open("r+b") as file:
            os.pwrite(file.fileno(), response.content, response.start)
        with copy.lock:
            copy.present.add((response.start, response.start + len(response.content)))
            copy.received += len(response.content)
        with self._lock:
            self._held += len(response.content)

    def _request(
        self,
        address: Address,
        part: ByteRange,
        answer: "Future[RangeResponse]",
        attempt: int = 1,
        begun: float | None = None,
    ) -> None:
        """Ask for a part until it comes or the patience ends; no thread waits between two attempts."""
        host = urlsplit(address.url).netloc

        def ask() -> None:
            since = begun or time.monotonic()
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
                timer = threading.Timer(wait, self._request, (address, part, answer, attempt + 1, since))
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

        self._hosts.submit(host, ask)

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
            )
            self._counted = now
            return self._traffic


def _given_up(address: Address, fault: str, attempts: int) -> ServiceError:
    made = f", {attempts} attempts" if attempts else ""
    advice = "try again later, or raise `imagery.patience`"
    return ServiceError(f"{address.name}: cannot be read ({fault}{made}); {advice}")


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


class FetcherSession:
    """What one thread uses of a fetcher; implements `RemoteFiles`."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._opened: dict[str, Future[tuple[_Copy, LocalCopy]]] = {}
        self._failed: dict[str, SegchipsError] = {}

    def open(self, addresses: Iterable[Address]) -> dict[str, LocalCopy]:
        """Return the local copies of remote files by name, with their headers; they stay until they are released.

        Raises:
            SceneError: A file cannot be read; the message names it. It is not tried again until the release, unless it
                is refused, for another signature may be accepted.
        """
        addresses = list(addresses)
        for address in addresses:
            known = self._opened.get(address.name)
            if known is None:
                self._fetcher.use(address.name, 1)
            if known is None or (known.done() and isinstance(known.exception(), RefusedError)):
                self._opened[address.name] = self._fetcher.open(address)
        return {address.name: self._wait(address, self._opened[address.name])[1] for address in addresses}

    def fetch(self, wanted: Mapping[Address, Iterable[ByteRange]]) -> None:
        """Wait until parts of open files are in their copies.

        Raises:
            SceneError: A part cannot be read; the message names the file. It is not tried again until the release.
        """
        started = []
        for address, ranges in wanted.items():
            copy, _ = self._wait(address, self._opened[address.name])
            started += [(address, future) for future in self._fetcher.fetch(address, copy, ranges)]
        for address, future in started:
            self._wait(address, future)

    def release(self) -> None:
        """Use none of the open files any longer."""
        for name in self._opened:
            self._fetcher.use(name, -1)
        self._opened.clear()
        self._failed.clear()

    def traffic(self) -> Traffic:
        """Return what the fetcher fetched so far, for all."""
        return self._fetcher.traffic()

    def _wait(self, address: Address, future: "Future[T]") -> T:
        if address.name in self._failed:
            raise self._failed[address.name]
        try:
            return future.result()
        except RefusedError:
            raise
        except SegchipsError as error:
            self._failed[address.name] = error
            raise
