"""What one thread uses of a fetcher: open files, and those that failed."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import TypeVar

from segchips.errors import RefusedError, SegchipsError
from segchips.remote.fetcher import Address, Copy, Fetcher, LocalCopy, Traffic
from segchips.remote.tiff_layout import WindowRead

T = TypeVar("T")


class FetcherSession:
    """What one thread uses of a fetcher; implements `RemoteFiles`."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._opened: dict[str, Future[tuple[Copy, LocalCopy]]] = {}
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

    def fetch(self, wanted: Mapping[Address, Iterable[WindowRead]]) -> None:
        """Wait until what some reads of open files need is in their copies.

        Raises:
            SceneError: A part cannot be read; the message names the file. It is not tried again until the release.
        """
        started = []
        for address, reads in wanted.items():
            copy, _ = self._wait(address, self._opened[address.name])
            ranges = [part for read in reads for part in copy.layout.ranges(read)] if copy.layout else []
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
