"""Whether results are still those that were made: told by digests that change where they are not."""

import ast
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from segchips.chips.chip_file import is_intact
from segchips.grids.tile import Tile
from segchips.pipeline.messages import log_warning

_CLOCK = 0.001


class OutputRecord(Protocol):
    """What Snakemake keeps of a file it made: the params of the job, as Python literals, and the file's age."""

    params: list[str] | None
    endtime: float | None


def chip_digest_or_changed(digest: str, chip: Path, tile: Tile, record: OutputRecord | None) -> str:
    """The digest as Snakemake keeps it while the chip is the one that was made; else one that says it is not.

    Only a chip of another age than recorded is read.
    """
    kept = _kept(digest, record)
    if record is None or not kept or not chip.exists():
        return digest
    age = chip.stat().st_mtime
    if abs(age - (record.endtime or 0)) < _CLOCK or is_intact(chip, tile):
        return kept
    log_warning(f"{chip} is not the chip that was made; it is made again")
    return f"{digest}, not the file of {_moment(age)}"


def shard_digest_or_missing(digest: str, shard: Path, chips: Sequence[str], record: OutputRecord | None) -> str:
    """The digest as Snakemake keeps it while all chips of the shard are there; else one that says they are not."""
    missing = 0 if record is None or not shard.exists() else sum(not os.path.exists(chip) for chip in chips)
    if missing:
        return f"{digest}, {missing} chips missing beside the file of {_moment(shard.stat().st_mtime)}"
    return _kept(digest, record) or digest


def _kept(digest: str, record: OutputRecord | None) -> str:
    """The param that Snakemake has recorded for this digest, with what may have been added to it."""
    texts = map(ast.literal_eval, (record and record.params) or ())
    return next((text for text in texts if digest in str(text)), "")


def _moment(age: float) -> str:
    return f"{datetime.fromtimestamp(age, UTC):%Y-%m-%d %H:%M:%S.%f}"
