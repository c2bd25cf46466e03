"""Whether results are up to date: by what they say of themselves, not only by Snakemake's records.

Snakemake compares the params of a job, of which the rerun digest is one, with those it has recorded. Its record can be
missing, because `.snakemake` was removed or the results come from elsewhere. It can be about another file. And it can
be wrong: when a job fails that updates a file, Snakemake restores the previous file and records the params of the
failed job for it. In these cases the record is replaced by what the result says of itself. So a result that is right is
kept, and one that is not is made again, with the reason shown as for any changed param.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

_CLOCK = 0.001
"""Seconds by which the age of a file may differ from the recorded one."""
UNKNOWN = "not the file that was made"


@dataclass(frozen=True)
class OutputRecord:
    """Snakemake's record of an output: the job's digest, and when it finished the file, in seconds since 1970."""

    digest: str
    age: float


class RecordStore(Protocol):
    """Snakemake's records of outputs."""

    def read(self, path: str) -> OutputRecord | None:
        """The record of a file; None where there is none."""

    def restore(self, path: str, rule: str, digest: str) -> None:
        """Write a record that says that the file as it is was made from `digest`."""


@dataclass(frozen=True)
class OwnRecord:
    """What the outputs of a job say that they were made from; None where they do not say it, or are not whole.

    Attributes:
        read: Reads the digest and checks the outputs against it.
        glance: Reads the digest alone; None where that takes as long.
    """

    read: Callable[[], str | None]
    glance: Callable[[], str | None] | None = None


def checked_digest(
    digest: str, rule: str, outputs: Sequence[str], store: RecordStore, own: OwnRecord, warn: Callable[[str], None]
) -> str:
    """The rerun digest of a job, after Snakemake's records of its outputs were compared with the outputs.

    Args:
        digest: The digest of the job as it would run now.
        rule: The rule's name.
        outputs: The job's output files.
        store: Snakemake's records.
        own: What the outputs say of themselves.
        warn: Shows the user a line about a file that was changed since it was made.

    Returns:
        `digest`.
    """
    if not all(map(os.path.exists, outputs)):
        return digest
    records = [store.read(path) for path in outputs]
    claimed = own.glance() if own.glance else None
    if not all(_is_about(record, path, claimed) for record, path in zip(records, outputs, strict=True)):
        made_from = own.read() or UNKNOWN
        if made_from == UNKNOWN and any(records):
            warn(f"{outputs[0]} is not the file that was made; it is made again")
        for path in outputs:
            store.restore(path, rule, made_from)
    return digest


def marked_digest(digest: str, outputs: Sequence[str], own: OwnRecord) -> str:
    """The rerun digest of a job, with a mark where its outputs say that they were made from another one.

    In place of `checked_digest` where Snakemake's records cannot be used. The mark is recorded with the next run, which
    costs one more run of the job. It holds the age of the file, since a file restored after a failure has a new age.
    """
    if own.glance is None or not all(map(os.path.exists, outputs)):
        return digest
    made_from = own.glance()
    return digest if made_from in (None, digest) else f"{digest}, not {made_from} of {os.stat(outputs[0]).st_mtime_ns}"


def _is_about(record: OutputRecord | None, path: str, claimed: str | None) -> bool:
    """Whether a record is about the file as it is; `claimed` is the digest that the file names, where that is known."""
    if record is None or claimed not in (None, record.digest):
        return False
    return os.path.isdir(path) or abs(os.stat(path).st_mtime - record.age) < _CLOCK
