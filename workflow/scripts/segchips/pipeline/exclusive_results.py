"""One run at a time on a folder of results; a run that was killed leaves no lock that anybody has to remove."""

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from segchips.errors import InputError, StorageError
from segchips.files import storage_error

_LOCKS = Path(".snakemake/locks")
_PERIOD = 1.0
"""Seconds between looks at whether the results are still there."""


@contextmanager
def exclusive_results(results: Path, stop: Callable[[], None]) -> Iterator[None]:
    """Hold the folder of results until the block or the process ends; InputError where another run has it.

    Where the file system has no locks, Snakemake's own have to do. `stop` is called when the folder vanishes, and
    StorageError raised at the end of the block where it has, or where something in the block could not write.
    """
    try:
        results.mkdir(parents=True, exist_ok=True)
        stream = (results / ".lock").open("a+")
    except OSError as error:
        raise InputError(
            f"results: '{results}' cannot be written ({error.strerror}); make room or permit it"
        ) from error
    with stream:
        if _held(stream.fileno(), results):
            _name_owner(stream.fileno(), f"process {os.getpid()} on {socket.gethostname()}")
            _remove_locks_of_the_dead(results)
        with _watched(stream.fileno(), results, stop):
            yield
        _name_owner(stream.fileno(), "")


@contextmanager
def _watched(number: int, results: Path, stop: Callable[[], None]) -> Iterator[None]:
    ended = Event()

    def watch() -> None:
        while not ended.wait(_PERIOD):
            if _vanished(number, results):
                stop()
                return

    Thread(target=watch, daemon=True).start()
    try:
        yield
    except OSError as error:
        raise storage_error(error.filename or results, error) from error
    finally:
        ended.set()
        if _vanished(number, results):
            advice = "mount it again, or bring it back, and run again"
            raise StorageError(f"results: '{results}' vanished, or another took its place, during the run; {advice}")


def _vanished(number: int, results: Path) -> bool:
    """Whether the folder is no longer the one whose lock is open."""
    try:
        return not os.path.samestat(os.fstat(number), os.stat(results / ".lock"))
    except OSError:
        return True


def _held(number: int, results: Path) -> bool:
    """Take the lock; False where the file system has none. The kernel gives it back however the process ends."""
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(number, 200, 0).decode(errors="replace") or "unknown"
        raise InputError(f"results: another run is at work in '{results}' ({owner}); wait until it ends") from error
    except OSError:
        return False
    return True


def _name_owner(number: int, owner: str) -> None:
    """For whoever comes next to read; on a full disk nobody does."""
    try:
        os.ftruncate(number, 0)
        os.pwrite(number, owner.encode(), 0)
    except OSError:
        return


def _remove_locks_of_the_dead(results: Path) -> None:
    """Remove Snakemake's locks on files of these results: no run that lives can have them."""
    for lock in _LOCKS.glob("*.lock"):
        with lock.open() as names:
            ours = any(Path(os.path.abspath(name.strip())).is_relative_to(results.absolute()) for name in names)
        if ours:
            lock.unlink()


def remove_partial_files(results: Path) -> None:
    """Remove the unfinished files that killed processes have left."""
    for part in results.rglob(".*.part"):
        part.unlink(missing_ok=True)
