"""TODO: describe."""

import time
from typing import Any


class BoundedResponse:
    """The body of an answer, which gives as many bytes as it is asked for, or fails.

    The clients take a body that ends early for whole: one hands on a part, the other masks at random.
    """

    def __init__(self, raw: Any, deadline: float) -> None:
        self._raw, self._deadline, self._held = raw, deadline, b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def read(self, size: int) -> bytes:
        """Exactly so many bytes; EarlyEndError where there are fewer."""
        while len(self._held) < size:
            if not self._more():
                raise EarlyEndError(f"the answer ended {size - len(self._held)} bytes early")
        return self._cut(size)

    def readline(self) -> bytes:
        """A whole line."""
        while b"\n" not in self._held:
            if not self._more():
                raise EarlyEndError("the answer ended within a line")
        return self._cut(self._held.index(b"\n") + 1)

    def _more(self) -> bool:
        part = self._raw.read1(2**16)
        if time.monotonic() > self._deadline:
            raise TimeoutError("the answer took too long")
        self._held += part
        return bool(part)

    def _cut(self, size: int) -> bytes:
        if size < 0:
            raise EarlyEndError("the answer holds a buffer without a header")
        cut, self._held = self._held[:size], self._held[size:]
        return cut


class EarlyEndError(ConnectionError):
    """An answer is not whole."""
