"""Whether results are up to date: by Snakemake's records, and by what results say themselves where these are missing.

Snakemake compares the params of a job, of which the rerun digest is one, with those it has recorded. Where it has no
record of a result, because `.snakemake` was removed or the results come from elsewhere, or where a result is not the
file that the record is about, its record is written from what the result says of itself. So a result that is right is
kept, and one that is not is made again, with the reason shown as for any changed param.
"""

import os
from collections.abc import Callable, Sequence
from typing import Protocol

_CLOCK = 0.001
"""Seconds by which the age of a file may differ from the recorded one."""
UNKNOWN = "not the file that was made"


class RecordStore(Protocol):
    """Snakemake's records of outputs."""

    def age(self, path: str) -> float | None:
        """When the recorded job finished the file, in seconds since 1970; None where there is no record."""

    def restore(self, path: str, rule: str, digest: str) -> None:
        """Write a record that says that the file as it is was made from `digest`."""


def checked_digest(
    digest: str,
    rule: str,
    outputs: Sequence[str],
    store: RecordStore,
    made_from: Callable[[], str | None],
    warn: Callable[[str], None],
) -> str:
    """The rerun digest of a job, after Snakemake's records of its outputs were compared with the outputs.

    Args:
        digest: The digest of the job as it would run now.
        rule: The rule's name.
        outputs: The job's output files.
        store: Snakemake's records.
        made_from: Reads what the outputs say that they were made from; None where they are not whole.
        warn: Shows the user a line about a file that was changed since it was made.

    Returns:
        `digest`.
    """
    if all(map(os.path.exists, outputs)) and not all(_is_recorded(path, store) for path in outputs):
        known = made_from() or UNKNOWN
        if known == UNKNOWN and any(store.age(path) for path in outputs):
            warn(f"{outputs[0]} is not the file that was made; it is made again")
        for path in outputs:
            store.restore(path, rule, known)
    return digest


def _is_recorded(path: str, store: RecordStore) -> bool:
    age = store.age(path)
    return age is not None and (os.path.isdir(path) or abs(os.stat(path).st_mtime - age) < _CLOCK)
