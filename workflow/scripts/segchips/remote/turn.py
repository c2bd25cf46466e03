"""One thread of a process computes at a time; those that wait for the network let another one go on.

So a process has the memory of one job at work, and GDAL's block cache of one handle a file, however many jobs wait.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_turn = threading.Lock()
_local = threading.local()


@contextmanager
def computing() -> Iterator[None]:
    """Compute while the block runs, once no other thread does."""
    with _turn:
        _local.computes = True
        try:
            yield
        finally:
            _local.computes = False


@contextmanager
def waiting() -> Iterator[None]:
    """Let other threads compute while the block runs, if this one does."""
    if not getattr(_local, "computes", False):
        yield
        return
    _turn.release()
    try:
        yield
    finally:
        _turn.acquire()
