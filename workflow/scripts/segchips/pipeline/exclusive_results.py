"""One run at a time in a folder of results; the lock of a killed run ends with its process."""

import fcntl
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from segchips.errors import InputError, StorageError
from segchips.files import storage_error

_PERIOD = 1.0
"""Seconds between checks that the results are still there."""


@contextmanager
def exclusive_results(results: Path, stop: Callable[[], None]) -> Iterator[bool]:
    """Hold the folder of results until the block or the process ends.

    Args:
        results: The folder, which is made where it does not exist.
        stop: Called when the folder vanishes while the block runs.

    Yields:
        Whether the folder is held; False where its file system has no locks, so that another run could work in it.

    Raises:
        InputError: Another run works in the folder, or it cannot be written.
        StorageError: The folder has vanished by the end of the block, or something in the block could not write.
    """
    try:
        results.mkdir(parents=True, exist_ok=True)
        stream = (results / ".lock").open("a+")
    except OSError as error:
        raise InputError(
            f"results: '{results}' cannot be written ({error.strerror}); free space or change its permissions"
        ) from error
    with stream:
        is_held = _lock(stream.fileno(), results)
        if is_held:
            _write_owner(stream.fileno(), f"process {os.getpid()} on {socket.gethostname()}")
        with _watched(stream.fileno(), results, stop):
            yield is_held
        _write_owner(stream.fileno(), "")


@contextmanager
def _watched(number: int, results: Path, stop: Callable[[], None]) -> Iterator[None]:
    ended = Event()

    def watch() -> None:
        while not ended.wait(_PERIOD):
            if _has_vanished(number, results):
                stop()
                return

    Thread(target=watch, daemon=True).start()
    try:
        yield
    except OSError as error:
        raise storage_error(error.filename or results, error) from error
    finally:
        ended.set()
        if _has_vanished(number, results):
            advice = "mount it again, or bring it back, and run again"
            raise StorageError(f"results: '{results}' vanished, or another took its place, during the run; {advice}")


def _has_vanished(number: int, results: Path) -> bool:
    """Whether the folder is no longer the one whose lock is open."""
    try:
        return not os.path.samestat(os.fstat(number), os.stat(results / ".lock"))
    except OSError:
        return True


def _lock(number: int, results: Path) -> bool:
    """Take the lock, which the kernel releases however the process ends; False where the file system has no locks."""
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(number, 200, 0).decode(errors="replace") or "unknown"
        raise InputError(f"results: another run is at work in '{results}' ({owner}); wait until it ends") from error
    except OSError:
        return False
    return True


def _write_owner(number: int, owner: str) -> None:
    """Write who holds the lock, for the message of a run that comes next; on a full disk that is left out."""
    try:
        os.ftruncate(number, 0)
        os.pwrite(number, owner.encode(), 0)
    except OSError:
        return


def remove_partial_files(results: Path) -> None:
    """Remove the unfinished files that killed processes have left, and the folders of what they fetched."""
    for part in list(results.rglob(".*.part")):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
