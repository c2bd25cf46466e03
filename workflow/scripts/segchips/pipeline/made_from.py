"""What results say themselves of what they were made from: a rerun digest that goes wherever they are copied.

Chips hold their digest in a tag. Every other result has a hidden file beside it, with the digest of its job and what
tells the job's outputs from other files: a digest of the content, or the size where a file is large.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from segchips.files import atomic_write, content_digest

_LARGE = 16 * 2**20
"""Bytes from which a file is told by its size; `segchips verify` checks the records of shards."""


def write_made_from(digest: str, outputs: Sequence[str]) -> None:
    """Record the rerun digest of a finished job beside the first of its outputs."""
    content = {"made_from": digest, "outputs": {Path(path).name: _fingerprint(Path(path)) for path in outputs}}
    atomic_write(_record(outputs), json.dumps(content))


def read_made_from(outputs: Sequence[str]) -> str | None:
    """The rerun digest that a job's outputs were made from; None where they are not what the job wrote, or unknown."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads(_record(outputs).read_bytes())
        if content["outputs"] == {Path(path).name: _fingerprint(Path(path)) for path in outputs}:
            return str(content["made_from"])
    return None


def glance_made_from(outputs: Sequence[str]) -> str | None:
    """The rerun digest beside a job's outputs, whether or not they are still what the job wrote."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(_record(outputs).read_bytes())["made_from"])
    return None


def forget_made_from(outputs: Sequence[str]) -> None:
    """Remove the record of outputs that are removed."""
    _record(outputs).unlink(missing_ok=True)


def _record(outputs: Sequence[str]) -> Path:
    first = Path(outputs[0])
    return first.with_name(f".{first.name}.made_from")


def _fingerprint(path: Path) -> str:
    if path.is_dir():
        return " ".join(f"{file.name}:{file.stat().st_size}" for file in sorted(path.iterdir()) if file.name[0] != ".")
    size = path.stat().st_size
    return f"{size} bytes" if size >= _LARGE else content_digest(path)
