"""The header of a remote file, read as a file whose parts are fetched when they are asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Self

from segchips.remote.byte_ranges import ByteRange


class HeaderFile:
    """A copy as a file to read: what is asked for is fetched first.

    Args:
        path: The copy.
        size: Bytes of the whole file.
        fetch: Fetches a range into the copy where bytes of it are missing.
    """

    def __init__(self, path: Path, size: int, fetch: Callable[[ByteRange], None]) -> None:
        self._size, self._fetch = size, fetch
        self._file = path.open("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, length: int = -1) -> bytes:
        """Read from the current place, up to the end if `length` is negative."""
        start = self._file.tell()
        stop = self._size if length < 0 else min(start + length, self._size)
        if start < stop:
            self._fetch((start, stop))
        return self._file.read(length)

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Read into a buffer, and return how many bytes there were."""
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, place: int, whence: int = 0) -> int:
        """Go to another place."""
        return self._file.seek(place, whence)

    def tell(self) -> int:
        """Return the current place."""
        return self._file.tell()
