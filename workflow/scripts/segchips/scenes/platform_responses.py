"""Response bodies that are complete or fail."""

import time
from typing import Any


class BoundedResponse:
    """The body of a response; a read returns as many bytes as requested, or fails.

    The platform clients accept a body that ends early: one returns a part of it, the other masks random pixels.
    """

    def __init__(self, raw: Any, deadline: float) -> None:
        self._raw, self._deadline, self._buffer = raw, deadline, b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def read(self, size: int) -> bytes:
        """Read exactly `size` bytes.

        Raises:
            EarlyEndError: The body has fewer bytes, or declares a negative size.
            TimeoutError: The deadline has passed.
        """
        while len(self._buffer) < size:
            if not self._receive():
                raise EarlyEndError(f"the response ended {size - len(self._buffer)} bytes early")
        return self._take(size)

    def readline(self) -> bytes:
        """Read one complete line, with its line break; raises as `read` does."""
        while b"\n" not in self._buffer:
            if not self._receive():
                raise EarlyEndError("the response ended within a line")
        return self._take(self._buffer.index(b"\n") + 1)

    def _receive(self) -> bool:
        """Add bytes from the connection to the buffer; False at the end of the body."""
        part = self._raw.read1(2**16)
        if time.monotonic() > self._deadline:
            raise TimeoutError("the response took too long")
        self._buffer += part
        return bool(part)

    def _take(self, size: int) -> bytes:
        if size < 0:
            raise EarlyEndError("the response holds a buffer without a header")
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken


class EarlyEndError(ConnectionError):
    """A response is not complete."""
